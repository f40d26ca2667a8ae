"""The decision table as it stands, and every worked example (EUTOS, Cross 2015)."""

import dataclasses
from decimal import Decimal

import pytest

from monitoring.domain.scoring.response import score
from monitoring.domain.scoring.response_rules import EUTOS_2015
from monitoring.domain.vocabulary.measurement import (
    FactorState,
    Measurement,
    Method,
    Reading,
    Reported,
    Transcript,
    flags_text,
)
from monitoring.domain.vocabulary.scale import ResponseClass
from tests.builders import copies, reported

WORKED_EXAMPLES = [
    # id, replicates, gene, factor, IS % (six decimals), MR, class, flags
    ("A", "60/52,000; 44/48,000", "ABL1", "1.0", "0.104000", "2.98", "NO_MMR", ""),
    ("B", "50/50,000; 50/50,000", "ABL1", "1.0", "0.100000", "3.00", "MMR", ""),
    ("C", "50.1/50,000; 50/50,000", "ABL1", "1.0", "0.100100", "3.00", "NO_MMR", ""),
    ("D", "6/49,000; 4/49,000", "ABL1", "0.8", "0.008163", "4.09", "MR4", ""),
    ("E", "nd/18,000; nd/17,000", "ABL1", "0.8", "", "", "MR4_5", ""),
    ("F", "nd/15,000; nd/15,000", "ABL1", "0.8", "", "", "MR4", ""),
    ("G", "nd/6,000; nd/5,500", "ABL1", "0.8", "", "", "INEVALUABLE_MR4", ""),
    ("H", "nd/4,000; nd/3,500", "ABL1", "0.8", "", "", "INEVALUABLE_MR4", ""),
    ("I", "1.2/24,000; nd/28,000", "ABL1", "0.8", "0.004615", "4.34", "MR4", ""),
    ("J", "3/20,000", "ABL1", "0.13", "0.001950", "4.71", "MR4", "CAPPED_BY_CONTROL"),
    ("K", "nd/60,000; nd/55,000", "ABL1", "1.25", "", "", "MR5", ""),
    ("L", "nd/40,000; nd/40,000", "GUSB", "0.4", "", "", "MR4_5", ""),
    ("M", "nd/130,000; nd/120,000", "GUSB", "0.4", "", "", "MR5", ""),
    ("N", "3/13,000; 3/12,500", "ABL1", "0.35", "0.008235", "4.08", "MR4", ""),
    ("O", "8/4,000; 7/3,500", "ABL1", "0.8", "0.160000", "2.80", "NO_MMR", "LOW_CONTROL"),
    ("U", "557/7,358; nd/126,323", "ABL1", "2.22", "0.924993", "2.03", "NO_MMR", "LOW_CONTROL;REPLICATES_DISCORDANT"),
    ("V", "27.63/7,042; nd/5,787", "ABL1", "0.35", "0.137326", "2.86", "NO_MMR", "LOW_CONTROL"),
    ("P", "3/150,000; nd/150,000", "ABL1", "1.0", "0.001000", "5.00", "MR5", ""),
]


@pytest.mark.parametrize(
    ("name", "tubes", "gene", "factor", "percent", "mr", "expected", "flags"), WORKED_EXAMPLES,
    ids=[e[0] for e in WORKED_EXAMPLES]
)  # fmt: skip
def test_worked_example(
    name: str, tubes: str, gene: str, factor: str, percent: str, mr: str, expected: str, flags: str
) -> None:
    found = score(copies(tubes, gene=gene, factor=factor))
    assert found.response_class == expected
    assert flags_text(found.flags) == flags
    assert (f"{found.is_percent:.6f}" if found.is_percent is not None else "") == percent
    assert (str(found.mr_value) if found.mr_value is not None else "") == mr


@pytest.mark.parametrize(
    ("text", "expected", "has_number"),
    [("0.0032", "MR4_5", True), ("0.0100", "MR4", True), ("<0.0030", "MR4_5", False), (">55", "NO_MMR", False)],
    ids=["Q", "R", "S", "T"],
)
def test_worked_example_of_a_kit(text: str, expected: str, has_number: bool) -> None:
    found = score(reported(text))
    assert found.response_class == expected
    assert (found.is_percent is not None) == has_number
    assert found.detected


def one(text: str, **more: object) -> str:
    return score(copies(text, **more)).response_class.value  # type: ignore[arg-type]


# --- rows of the table, the odd cases ---------------------------------------------------------------------------


def test_row_1_every_run_invalid_is_invalid() -> None:
    tubes = (Reading(Decimal(5), Decimal(50_000), run_valid=False), Reading(None, Decimal(50_000), run_valid=False))
    assert score(Measurement(readings=tubes, conversion_factor=Decimal(1))).response_class == "INVALID"


def test_row_1_no_control_signal_is_invalid() -> None:
    assert one("5/0; nd/0") == "INVALID"


def test_row_1_an_assay_that_cannot_see_the_transcript_proves_nothing() -> None:
    blind = copies("nd/120000", assay_sees_transcript=False, transcript=Transcript.E1A2)
    assert score(blind).response_class == "INVALID"


@pytest.mark.parametrize("transcript", [Transcript.E1A2, Transcript.E19A2, Transcript.OTHER])
def test_row_2_atypical_transcripts_are_not_on_the_scale(transcript: Transcript) -> None:
    assert one("5/50000", transcript=transcript) == "NOT_ON_IS"


@pytest.mark.parametrize(
    ("control", "expected"),
    [("9999", "INEVALUABLE_MR4"), ("10000", "MR4"), ("31999", "MR4"), ("32000", "MR4_5"), ("99999", "MR4_5"), ("100000",
    "MR5")],
)  # fmt: skip
def test_rows_3_to_6_undetected_abl1(control: str, expected: str) -> None:
    assert one(f"nd/{control}") == expected


def test_undetected_needs_no_factor() -> None:
    assert one("nd/60000", factor=None) == "MR4_5"


def test_a_failed_undetected_replicate_is_dropped_from_the_sum() -> None:
    assert one("nd/9999; nd/31000") == "MR4"


def test_row_7_without_factor_is_not_on_the_scale_and_may_hide_a_loss() -> None:
    found = score(copies("100/50000", factor=None))
    assert (found.response_class, flags_text(found.flags), found.may_exceed_mmr) == ("NOT_ON_IS", "CF_MISSING", True)
    assert not score(copies("10/50000", factor=None)).may_exceed_mmr


def test_row_7_an_expired_factor_is_used_and_flagged() -> None:
    expired = dataclasses.replace(copies("10/50000"), factor_state=FactorState.EXPIRED)
    assert flags_text(score(expired).flags) == "CF_EXPIRED"


def test_row_10_a_poor_sample_cannot_prove_a_deep_response() -> None:
    found = score(copies("3/9000", factor="0.1"))
    assert (found.response_class, flags_text(found.flags)) == ("MMR", "LOW_CONTROL;CAPPED_BY_CONTROL")


def test_row_11_positive_samples_are_capped_by_their_control_copies() -> None:
    found = score(copies("3/31999", factor="0.1"))
    assert (found.response_class, flags_text(found.flags)) == ("MR4", "CAPPED_BY_CONTROL")
    free = dataclasses.replace(EUTOS_2015, cap_positive_by_control=False)
    assert score(copies("3/31999", factor="0.1"), free).response_class == "MR5"


def test_row_12_a_limit_above_mmr_proves_nothing() -> None:
    found = score(reported("<0.2"))
    assert (found.response_class, "BELOW_LOQ" in found.flags, found.may_exceed_mmr) == ("INEVALUABLE_MR4", True, False)


def test_row_12_is_capped_by_control_copies() -> None:
    tubes = (Reading(None, Decimal(15_000)),)
    below = Measurement(readings=tubes, copies_reported=False, reported=Reported(Decimal("0.003"), "<"), detected=True)
    assert score(below).response_class == "MR4"


@pytest.mark.parametrize(("text", "expected", "doubt"), [(">0.1", "NO_MMR", False), (">0.05", "INEVALUABLE_MR4", True)])
def test_row_13_above_a_limit(text: str, expected: str, doubt: bool) -> None:
    found = score(reported(text))
    assert (found.response_class, found.may_exceed_mmr) == (expected, doubt)


def test_row_14_a_reported_value_without_copies_has_unknown_sensitivity() -> None:
    found = score(reported("0.002"))
    assert (found.response_class, flags_text(found.flags), found.sensitivity) == (
        "MR4_5",
        "SENSITIVITY_UNKNOWN",
        "NONE",
    )


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, "INEVALUABLE_MR4"), ("0.2", "INEVALUABLE_MR4"), ("0.05", "MMR"), ("0.0032", "MR4_5")]
)
def test_row_15_undetected_without_copies_has_the_class_of_its_limit(limit: str | None, expected: str) -> None:
    said = Measurement(
        copies_reported=False, detected=False, limit_of_detection_percent=Decimal(limit) if limit else None
    )
    assert score(said).response_class == expected


def test_rows_14_and_15_copies_without_control_do_not_void_a_reported_value() -> None:
    tubes = (Reading(Decimal(12), None),)
    found = score(Measurement(readings=tubes, reported=Reported(Decimal("0.3"))))
    assert (found.response_class, flags_text(found.flags)) == ("NO_MMR", "SENSITIVITY_UNKNOWN")
    nothing = Measurement(readings=(Reading(None, None),), limit_of_detection_percent=Decimal("0.003"))
    assert score(nothing).response_class == "MR4_5"


@pytest.mark.parametrize("tube", [Reading(None, None, run_valid=False), Reading(None, Decimal(0))])
def test_row_1_an_invalid_run_is_invalid_whatever_value_was_reported(tube: Reading) -> None:
    said = Measurement(readings=(tube,), copies_reported=False, reported=Reported(Decimal("0.05")))
    assert score(said).response_class == "INVALID"


def test_copies_that_contradict_a_limit_are_flagged_and_doubted() -> None:
    found = score(dataclasses.replace(copies("200/20000"), reported=Reported(Decimal("0.0032"), "<")))
    assert flags_text(found.flags) == "CAPPED_BY_CONTROL;BELOW_LOQ;IS_MISMATCH"
    assert found.may_exceed_mmr
    above = score(dataclasses.replace(copies("3/200000"), reported=Reported(Decimal(55), ">")))
    assert ("IS_MISMATCH" in above.flags, above.may_exceed_mmr) == (True, True)


def test_detected_below_the_limit_of_quantification_has_its_class_and_no_number() -> None:
    found = score(reported("0.0020", limit_of_quantification_percent=Decimal("0.0030")))
    assert (found.response_class, found.is_percent, "BELOW_LOQ" in found.flags) == ("MR4_5", None, True)


def test_a_dropped_positive_tube_leaves_an_undetected_sample_and_never_a_zero() -> None:
    for factor in ("1", None):
        found = score(copies("0.5/9000; nd/30000", factor=factor))
        assert (found.response_class, found.is_percent, found.detected) == ("MR4", None, False)


# --- replicates, methods, reported values -----------------------------------------------------------------------


def test_a_positive_failed_replicate_is_dropped_where_the_class_is_no_deeper_without_it() -> None:
    found = score(copies("1/5000; 20/40000"))
    assert (found.response_class, flags_text(found.flags)) == ("MMR", "")
    assert f"{found.is_percent:.2f}" == "0.05"


def test_a_positive_failed_replicate_beside_an_undetected_good_one_never_makes_dmr() -> None:
    found = score(copies("3/9000; nd/120000"))
    assert (found.response_class, flags_text(found.flags)) == ("MMR", "LOW_CONTROL;REPLICATES_DISCORDANT")


def test_the_low_positive_floor_is_three_copies_and_none_in_digital_pcr() -> None:
    assert score(copies("1/100000")).is_percent == Decimal("0.003")
    assert score(copies("1/100000", method=Method.DPCR)).is_percent == Decimal("0.001")


def test_digital_pcr_below_the_limit_of_blank_is_not_detected() -> None:
    digital = copies("2/100000", method=Method.DPCR, limit_of_blank_copies=Decimal(3))
    assert not score(digital).detected
    assert score(dataclasses.replace(digital, limit_of_blank_copies=Decimal(2))).detected


def test_the_reported_value_stands_and_the_copies_cap_it() -> None:
    found = score(dataclasses.replace(copies("3/20000"), reported=Reported(Decimal("0.0150"))))
    assert (found.response_class, found.sensitivity, flags_text(found.flags)) == ("MMR", "MR4", "")


def test_a_reported_value_far_from_the_copies_is_flagged_and_doubted_across_mmr() -> None:
    found = score(dataclasses.replace(copies("100/50000"), reported=Reported(Decimal("0.02"))))
    assert "IS_MISMATCH" in found.flags
    assert found.may_exceed_mmr
    assert found.response_class == "MMR"


def test_half_the_last_printed_digit_is_no_mismatch() -> None:
    assert not score(dataclasses.replace(copies("7/50000"), reported=Reported(Decimal("0.01")))).flags


@pytest.mark.parametrize(
    ("mr", "near"), [("3.0", True), ("3.50", False), ("4.5", True), ("4.49", True), ("5.2", False)]
)
def test_an_mr_value_whose_rounding_could_change_the_class_is_near_the_threshold(mr: str, near: bool) -> None:
    found = score(Measurement(copies_reported=False, reported=Reported(mr_value=Decimal(mr))))
    assert ("NEAR_THRESHOLD" in found.flags) == near


def test_bcr_without_the_laboratorys_minimum_never_claims_depth() -> None:
    assert one("nd/500000", gene="BCR") == "INEVALUABLE_MR4"
    assert score(copies("3/500000", gene="BCR")).flags == {"SENSITIVITY_UNKNOWN"}
    assert one("nd/500000", gene="BCR", bcr_minimum_copies=Decimal(20_000)) == "MR5"


def test_what_undetected_really_proves_is_told() -> None:
    assert score(copies("nd/10000")).upper_bound_percent == Decimal("0.03")


@pytest.mark.parametrize(
    ("named", "more", "expected", "flags"),
    [
        ("MR4_5", {}, "MR4_5", "SENSITIVITY_UNKNOWN"),
        ("NO_MMR", {}, "NO_MMR", "SENSITIVITY_UNKNOWN"),
        ("MR4_5", {"detected": False}, "MR4_5", "SENSITIVITY_UNKNOWN"),
        ("MR5", {"detected": False, "limit_of_detection_percent": Decimal("0.01")}, "MR4", ""),
        ("INVALID", {}, "INVALID", ""),
        ("INEVALUABLE_MR4", {}, "INEVALUABLE_MR4", ""),
        ("MR4_5", {"transcript": Transcript.E19A2}, "NOT_ON_IS", ""),
        ("MR4_5", {"readings": (Reading(None, Decimal(12_000)),)}, "MR4", "CAPPED_BY_CONTROL"),
        ("MR4_5", {"readings": (Reading(None, None, run_valid=False),)}, "INVALID", ""),
    ],
)
def test_a_class_that_is_only_named_stands_as_reported(
    named: str, more: dict[str, object], expected: str, flags: str
) -> None:
    measured = Measurement(copies_reported=False, reported=Reported(response_class=ResponseClass(named)), **more)  # type: ignore[arg-type]
    found = score(measured)
    assert (found.response_class, flags_text(found.flags)) == (expected, flags)
    assert found.is_percent is None


@pytest.mark.parametrize(
    ("tubes", "factor", "one_copy"),
    [("nd/170,000", "1", True), ("nd/170,000", "0.3", False), ("nd/35,000", "0.8", True), ("3/150,000", "1", False)],
)
def test_a_bound_that_contradicts_the_class_is_known_as_such(tubes: str, factor: str, one_copy: bool) -> None:
    assert score(copies(tubes, factor=factor)).counts_one_copy == one_copy
