"""Identifiers that a reader would take for one another."""

import pytest

from monitoring.domain.text.lookalike import LONGEST_LOOK, look_of


@pytest.mark.parametrize(
    "other",
    ["p-001", "Ｐ-001", "P-００１", "Р-001", "Ρ-001", " P-001", "P-001 ", "P -001", "P\u00a0-001",
    "P\u200b-001", "P–001",
    "P−001"],
)  # fmt: skip
def test_case_width_blanks_dashes_and_letters_of_the_same_shape_look_alike(other: str) -> None:
    assert other != "P-001"
    assert look_of(other) == look_of("P-001")


@pytest.mark.parametrize(("one", "other"), [("P01", "PO1"), ("P1", "P01"), ("P-1", "P1"), ("李1", "季1"), ("P1", "P2")])
def test_what_is_written_in_good_faith_stays_two(one: str, other: str) -> None:
    assert look_of(one) != look_of(other)


def test_one_character_that_stands_for_many_does_not_grow_without_bound() -> None:
    assert len(look_of("\ufdfa" * 60)) == LONGEST_LOOK
