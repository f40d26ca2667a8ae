"""Consistent objects by construction."""

import datetime as dt
from decimal import Decimal
from typing import Any

from monitoring.domain.course.series import Course, Drug, ResultFact, StopReason, TimePoint
from monitoring.domain.scoring.laboratory_report import LaboratoryReport, ReplicateReport
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.domain.vocabulary.measurement import FactorState, Measurement, Reading, Reported
from monitoring.domain.vocabulary.scale import ControlGene, ResponseClass, class_of_percent

STOP = dt.date(2020, 1, 31)


def readings(text: str) -> tuple[Reading, ...]:
    """``60/52000; nd/48000`` as replicates."""
    tubes = []
    for part in text.split(";"):
        copies, control = part.strip().split("/")
        tubes.append(Reading(None if copies == "nd" else Decimal(copies), Decimal(control.replace(",", ""))))
    return tuple(tubes)


def copies(text: str, *, gene: str = "ABL1", factor: str | None = "1", **more: Any) -> Measurement:
    """A measurement in copies."""
    return Measurement(
        readings=readings(text),
        control_gene=ControlGene(gene),
        conversion_factor=Decimal(factor) if factor else None,
        factor_state=FactorState.GIVEN if factor else FactorState.MISSING,
        **more,
    )


def reported(text: str, **more: Any) -> Measurement:
    """A measurement as a kit prints it: ``0.0032``, ``<0.0030``, ``>55``."""
    comparator = text[0] if text[0] in "<>" else "="
    return Measurement(copies_reported=False, reported=Reported(Decimal(text.lstrip("<> ")), comparator), **more)


def day(offset: int) -> dt.date:
    """So many days after the stop."""
    return STOP + dt.timedelta(days=offset)


def point(offset: int, percent: str, *, low_control: bool = False) -> TimePoint:
    """A time point with a value, so many days after the stop."""
    value = Decimal(percent)
    return TimePoint(day(offset), class_of_percent(value), value, low_control, key=f"L/{offset}/v1")


def deep(offset: int, response_class: ResponseClass = ResponseClass.MR4_5) -> TimePoint:
    """An undetected time point of a depth."""
    return TimePoint(day(offset), response_class, None, key=f"L/{offset}/v1")


def course(
    start: int,
    stop: int | None,
    *,
    drug: Drug = Drug.IMATINIB,
    reason: StopReason = StopReason.TFR_ATTEMPT,
    **more: Any,
) -> Course:
    """A course of a drug, in days from the stop."""
    return Course(
        f"{drug.value}/{day(start)}", drug, day(start), None if stop is None else day(stop),
        reason if stop is not None else StopReason.UNKNOWN, **more,
    )  # fmt: skip


def result(number: int, offset: int, percent: str | None, *, control: str = "60000", **more: Any) -> ResultFact:
    """A result with one replicate; ``percent`` None is not detected."""
    text = f"nd/{control}" if percent is None else f"{Decimal(percent) * Decimal(control) / 100}/{control}"
    return ResultFact(number, f"L/{number}/v1", day(offset), "L", copies(text), **more)


def report(accession: str = "A1", on: str = "2020-03-01", tubes: str = "50/50000", **more: Any) -> LaboratoryReport:
    """A laboratory report as a door receives it."""
    values: dict[str, Any] = {
        "laboratory": "LAB",
        "accession_number": accession,
        "patient_id": "P1",
        "centre": "",
        "collected": PartialDate(dt.date.fromisoformat(on)),
        "conversion_factor": Decimal(1),
        "replicates": tuple(
            ReplicateReport(n, r.bcr_abl1_copies, r.control_gene_copies) for n, r in enumerate(readings(tubes), start=1)
        ),
    }
    return LaboratoryReport(**{**values, **more})
