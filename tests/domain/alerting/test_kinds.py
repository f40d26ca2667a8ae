"""One table of alert kinds: complete, without contradictions, and with a sentence for each kind."""

import pytest

from monitoring.domain.alerting.kinds import (
    EARLY_SIGNS,
    KINDS,
    WITHOUT_PATIENT,
    AlertKind,
    LadderName,
    Part,
    Severity,
    closed_by,
)
from monitoring.domain.following.early_signs import Sign
from monitoring.services.alerts import plans
from monitoring.wording.reason_texts import TEXTS


def test_each_kind_has_one_row_in_the_order_of_the_kinds() -> None:
    assert list(KINDS) == list(AlertKind)


@pytest.mark.parametrize("kind", AlertKind)
def test_each_kind_can_say_why_it_stands(kind: AlertKind) -> None:
    assert f"alert.{kind.value}" in TEXTS


def test_words_are_told_apart() -> None:
    assert len({row.words for row in KINDS.values()}) == len(AlertKind)


def test_a_confirmed_or_possible_relapse_is_never_less_than_urgent() -> None:
    urgent = {kind for kind, row in KINDS.items() if row.severity is Severity.URGENT}
    assert urgent == {
        "loss_of_mmr", "not_in_mmr_off_treatment", "loss_of_mmr_on_treatment", "relapse_after_transplant",
        "off_scale_relapse", "suspicious_value", "milestone_failed", "no_restart", "loss_in_pregnancy", "hand_over",
    }  # fmt: skip


def test_early_signs_are_those_that_are_looked_for_and_only_asked_to_be_watched() -> None:
    assert {kind.value for kind in EARLY_SIGNS} == {sign.value for sign in Sign}
    assert {kind for kind, row in KINDS.items() if row.ladder is LadderName.WATCH} == set(EARLY_SIGNS)
    assert all(KINDS[kind].ends_with_the_time_off for kind in EARLY_SIGNS)


def test_a_relapse_off_treatment_goes_to_the_ladder_that_a_centre_signs() -> None:
    assert {KINDS[kind].ladder for kind in AlertKind if KINDS[kind].rung == "A4"} == {LadderName.CLINICAL}


def test_what_the_replay_opens_the_replay_closes() -> None:
    assert all(row.closed_by is row.opened_by for row in KINDS.values() if row.opened_by is not Part.LADDER)
    assert not set(WITHOUT_PATIENT) & {*closed_by(Part.REPLAY), *closed_by(Part.PLAN), *closed_by(Part.VERIFICATION)}


def test_the_plan_knows_when_each_of_its_alerts_is_answered() -> None:
    assert set(plans._IS_STILL_SO) == set(closed_by(Part.PLAN))
