"""A laboratory report of one sample as an entry point receives it, before anything is decided.

Form, API, file import and the ``score`` command all make this record; ``measurement`` is the only way from it (or
from a stored result) to what the decision table reads.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from monitoring.domain.rules.values import SdRange
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.domain.vocabulary.measurement import FactorState, Measurement, Method, Reading, Reported, Transcript
from monitoring.domain.vocabulary.scale import ControlGene, class_named


@dataclass(frozen=True, slots=True)
class ReplicateReport:
    """One tube. ``reported`` tells a tube that was not detected (no copies) from one without a BCR::ABL1 count."""

    number: int
    bcr_abl1_copies: Decimal | None
    control_gene_copies: Decimal | None
    run_valid: bool = True
    reported: bool = True


@dataclass(frozen=True, slots=True)
class LaboratoryReport:
    """What a laboratory says about one sample. None or an empty text means not known.

    ``stated_version`` is how the laboratory itself counts its reports of the sample; ``run`` names the run of its bench
    in which the sample was measured.
    """

    laboratory: str
    accession_number: str
    patient_id: str
    centre: str
    collected: PartialDate
    collected_at: dt.datetime | None = None
    received_on: date | None = None
    received_at: dt.datetime | None = None
    tested_on: date | None = None
    issued_at: dt.datetime | None = None
    control_gene: str = "ABL1"
    method: str = ""
    assay_name: str = ""
    kit_lot: str = ""
    run: str = ""
    specimen: str = "PB"
    conversion_factor: Decimal | None = None
    is_percent: Decimal | None = None
    is_comparator: str = "="
    mr_value: Decimal | None = None
    reported_class: str = ""
    detected: bool | None = None
    limit_of_detection: Decimal | None = None
    limit_of_quantification: Decimal | None = None
    status: str = "final"
    stated_version: int | None = None
    reason: str = ""
    replicates: tuple[ReplicateReport, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisteredFactor:
    """A conversion factor of a laboratory with the days on which it holds; an empty assay means all of them."""

    factor: Decimal
    valid_from: date
    valid_to: date | None = None
    assay_name: str = ""
    control_gene: str = "ABL1"


@dataclass(frozen=True, slots=True)
class LaboratoryProfile:
    """What the laboratory's own settings add to a report; the mappings are by name of the assay."""

    factors: tuple[RegisteredFactor, ...] = ()
    bcr_minimum_copies: Decimal | None = None
    assays_without_p210: frozenset[str] = frozenset()
    assays_with_p190: frozenset[str] = frozenset()
    limit_of_blank: Mapping[str, Decimal] = field(default_factory=dict)
    minimum_control_copies: Mapping[str, Decimal] = field(default_factory=dict)
    limit_of_quantification_percent: Mapping[str, Decimal] = field(default_factory=dict)
    sd_ranges: Mapping[str, tuple[SdRange, ...]] = field(default_factory=dict)

    def sees(self, transcript: Transcript, assay_name: str) -> bool:
        """Whether the named assay detects the transcript; one without a profile is assumed to detect all but e1a2."""
        if transcript is Transcript.E1A2 and assay_name:
            return assay_name in self.assays_with_p190
        return not (transcript.is_on_scale and assay_name in self.assays_without_p210)


@dataclass(frozen=True, slots=True)
class FactorUsed:
    """The conversion factor of one result and where it came from."""

    factor: Decimal | None
    state: FactorState
    mismatch: bool = False


def find_factor(
    given: Decimal | None, registered: Iterable[RegisteredFactor], control_gene: str, assay_name: str, on: date
) -> FactorUsed:
    """The factor on the row, else the one in force on the day of the test, else the latest earlier one (expired).

    A registered factor that differs from the one on the row is flagged as a mismatch; the row is not refused.
    """
    known = sorted(
        (
            f
            for f in registered
            if f.control_gene == control_gene and f.assay_name in ("", assay_name) and f.valid_from <= on
        ),
        key=lambda f: (bool(f.assay_name), f.valid_from),
    )
    in_force = [f for f in known if f.valid_to is None or on <= f.valid_to]
    if given is not None:
        return FactorUsed(given, FactorState.GIVEN, bool(in_force) and in_force[-1].factor != given)
    if in_force:
        return FactorUsed(in_force[-1].factor, FactorState.REGISTERED)
    if known:
        latest = max(known, key=lambda f: f.valid_from)
        return FactorUsed(latest.factor, FactorState.EXPIRED)
    return FactorUsed(None, FactorState.MISSING)


def measurement(
    report: LaboratoryReport, transcript: Transcript, profile: LaboratoryProfile, factor: FactorUsed
) -> Measurement:
    """What the decision table reads of a report."""
    copies_reported = any(r.reported for r in report.replicates)
    return Measurement(
        readings=tuple(Reading(r.bcr_abl1_copies, r.control_gene_copies, r.run_valid) for r in report.replicates),
        control_gene=ControlGene(report.control_gene),
        copies_reported=copies_reported,
        reported=Reported(report.is_percent, report.is_comparator, report.mr_value, class_named(report.reported_class)),
        detected=report.detected,
        limit_of_detection_percent=report.limit_of_detection,
        conversion_factor=factor.factor,
        factor_state=factor.state,
        factor_mismatch=factor.mismatch,
        transcript=transcript,
        method=Method(report.method or Method.RT_QPCR),
        bcr_minimum_copies=profile.bcr_minimum_copies,
        assay_sees_transcript=profile.sees(transcript, report.assay_name),
        limit_of_quantification_percent=report.limit_of_quantification
        if report.limit_of_quantification is not None
        else profile.limit_of_quantification_percent.get(report.assay_name),
        replicate_minimum_copies=profile.minimum_control_copies.get(report.assay_name),
        limit_of_blank_copies=profile.limit_of_blank.get(report.assay_name),
    )


def factor_day(report: LaboratoryReport) -> date:
    """The day whose conversion factor counts: of the test, else of receipt, else of collection."""
    return report.tested_on or report.received_on or report.collected.on


def hours_to_laboratory(report: LaboratoryReport) -> float | None:
    """Hours from collection to receipt, from times where both are given, else from dates; None where not known."""
    if report.collected_at is not None and report.received_at is not None:
        return (report.received_at - report.collected_at).total_seconds() / 3600
    if report.received_on is not None:
        return (report.received_on - report.collected.on).days * 24.0
    return None
