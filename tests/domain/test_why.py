"""Why a class or an alert stands, as tables: what is stored, and the sentence that is shown."""

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest

from monitoring.domain.alerting.kinds import KINDS, AlertKind
from monitoring.domain.alerting.why import why_alert
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.scoring.decision import Decision
from monitoring.domain.scoring.response import score
from monitoring.domain.scoring.why import StoredClass, guessed_decision, why_class
from monitoring.domain.vocabulary.measurement import Flag, Measurement, Reported, Transcript
from monitoring.wording.reason_texts import in_english
from tests.builders import copies, reported

# replicates or report -> row of the decision table and sentence
COPIES = [
    ("nd/0", "row 1",
    "Every replicate failed its run controls or has no control signal, or the assay does not see the transcript."),
    ("nd/9999", "row 3",
    "Not detected, but no replicate is good enough: at most 9999 control gene copies, MR4 needs 10000."),
    ("nd/10000", "rows 4 to 6", "Not detected in 10000 control gene copies of good replicates: enough for MR4."),
    ("nd/60000; nd/4000", "rows 4 to 6",
    "Not detected in 60000 control gene copies of good replicates: enough for MR4_5."),
    ("nd/60000; nd/50000", "rows 4 to 6",
    "Not detected in 110000 control gene copies of good replicates: enough for MR5."),
    ("51/50000", "row 8", "0.102 % IS is above 0.1 %."),
    ("50/50000", "rows 9 and 11", "0.1 % IS is at most 0.1 %."),
    ("3/40000", "rows 9 and 11", "0.0075 % IS is at most 0.01 %."),
    ("3/100000", "rows 9 and 11", "0.003 % IS is at most 0.0032 %."),
    ("3/31000; nd/10000", "rows 9 and 11", "0.0073 % IS is at most 0.01 %."),
]  # fmt: skip
REPORTED = [
    ("0.05", "row 14", "0.05 % IS is at most 0.1 %."),
    ("<0.0032", "row 12", "Detected below 0.0032 %: MR4_5, by that limit and the control gene copies."),
    ("<0.5", "row 12", "Detected below 0.5 %: says nothing of MMR."),
    (">55", "row 13", "Above 55 %, the upper end of the assay: above 0.1 %."),
    (">0.05", "row 13", "Above 0.05 %, which is below 0.1 %: a loss of MMR is possible, nothing is proved."),
]


def said(decided: Decision, measurement: Measurement) -> tuple[str, str]:
    """The row and the sentence, a value of two digits as a page would show it."""
    facts = tuple((name, _shown(number) if name == "value" else number) for name, number in decided.facts)
    reason = why_class(score(measurement).response_class, "eutos-2015.1", dataclasses.replace(decided, facts=facts))
    return reason.line, in_english(reason)


def _shown(number: Decimal | None) -> Decimal | None:
    return Decimal(f"{number:.2g}") if number is not None and number < Decimal("0.01") else number


def guess_of(measurement: Measurement) -> Decision:
    """What is worked out from a class that was stored without its row."""
    found = score(measurement)
    return guessed_decision(
        StoredClass(
            found.response_class, found.detected, found.flags, found.is_percent, found.upper_bound_percent,
            measurement.control_gene,
            [r.control_gene_copies for r in measurement.readings if r.run_valid and r.control_gene_copies is not None],
            measurement.reported.is_percent,
        )
    )  # fmt: skip


@pytest.mark.parametrize(("replicates", "row", "sentence"), COPIES)
def test_why_a_class_by_copies_stands(replicates: str, row: str, sentence: str) -> None:
    measurement = copies(replicates)
    assert said(score(measurement).decided, measurement) == (row, sentence)
    assert said(guess_of(measurement), measurement) == (row, sentence)


@pytest.mark.parametrize(("report", "row", "sentence"), REPORTED)
def test_why_a_reported_class_stands(report: str, row: str, sentence: str) -> None:
    measurement = reported(report)
    assert said(score(measurement).decided, measurement) == (row, sentence)
    assert said(guess_of(measurement), measurement) == (row, sentence)


@pytest.mark.parametrize(
    ("measurement", "row", "code"),
    [
        (copies("60/50000", factor=None), "row 7", "class.no_factor"),
        (copies("60/50000", transcript=Transcript.E1A2), "row 2", "class.off_scale"),
        (copies("nd/60000", assay_sees_transcript=False), "row 1", "class.invalid"),
        (copies("3/9000; nd/60000"), "replicates", "class.discordant"),
        (copies("1/20000"), "rows 9 and 11", "class.value"),
        (copies("nd/60000", gene="BCR", bcr_minimum_copies=Decimal(10000)), "rows 4 to 6", "class.undetected"),
        (copies("nd/60000", replicate_minimum_copies=Decimal(70000)), "row 3", "class.undetected_below_own"),
        (copies("nd/9000", gene="BCR", bcr_minimum_copies=Decimal(10000)), "row 3", "class.undetected_below_own"),
        (Measurement(copies_reported=False, detected=False), "row 15", "class.undetected_nothing_known"),
        (
            Measurement(copies_reported=False, detected=False, limit_of_detection_percent=Decimal("0.003")),
            "row 15",
            "class.undetected_by_limit",
        ),
    ],
)
def test_why_the_rarer_classes_stand(measurement: Measurement, row: str, code: str) -> None:
    found = score(measurement)
    assert (found.decided.row, f"class.{found.decided.code}") == (row, code)
    guess = guess_of(measurement)
    assert (guess.row, f"class.{guess.code}") == (row, code)
    assert "None" not in in_english(why_class(found.response_class, "eutos-2015.1", found.decided))


def test_a_class_that_control_copies_capped_says_so() -> None:
    found = score(dataclasses.replace(copies("3/15000"), reported=Reported(Decimal("0.002"))))
    assert found.decided.row == "rows 10 and 11"
    capped = StoredClass(found.response_class, True, frozenset({Flag.CAPPED_BY_CONTROL}), Decimal("0.005"))
    assert guessed_decision(capped).row == "rows 10 and 11"


def test_a_guess_is_marked() -> None:
    found = score(copies("50/50000"))
    assert not why_class(found.response_class, "r.1", found.decided).is_guess
    assert why_class(found.response_class, "r.1", guess_of(copies("50/50000")), is_guess=True).is_guess


@pytest.mark.parametrize("kind", list(AlertKind))
def test_every_kind_of_alert_says_why(kind: AlertKind) -> None:
    reason = why_alert(
        kind, Certainty.SUSPECTED, "r.1", on=dt.date(2025, 3, 10), value=Decimal("0.2"), days=40, highest=Decimal("0.3")
    )
    assert "None" not in in_english(reason)
    assert (reason.line, reason.citation) == (KINDS[kind].rung, KINDS[kind].source)


def test_a_loss_says_how_sure_it_is() -> None:
    def line(certainty: Certainty, value: str | None) -> tuple[str, str]:
        found = why_alert(
            AlertKind.LOSS_OF_MMR,
            certainty,
            "r.1",
            on=dt.date(2025, 3, 10),
            value=Decimal(value) if value else None,
            days=40,
            highest=Decimal("0.3"),
        )
        return found.line, in_english(found)

    assert line(Certainty.CONFIRMED, "0.2") == (
        "A5",
        "0.2 % IS on 2025-03-10, 40 days after the stop, is above 0.1 %; the highest since is 0.3 %.",
    )
    assert line(Certainty.PROVISIONAL, None)[0] == "A4"
    assert "it has no value" in line(Certainty.PROVISIONAL, None)[1]


def test_the_copies_named_are_those_that_were_counted_under_the_laboratorys_own_minimum() -> None:
    measured = dataclasses.replace(copies("nd/15000; nd/90000"), replicate_minimum_copies=Decimal(20_000))
    found = score(measured)
    stored = StoredClass(
        found.response_class, found.detected, control_copies=[Decimal(15_000), Decimal(90_000)],
        counted_control_copies=found.counted_control_copies,
    )  # fmt: skip
    assert found.response_class == "MR4_5"
    assert dict(guessed_decision(stored).facts)["control"] == Decimal(90_000)
    assert dict(found.decided.facts)["control"] == Decimal(90_000)
