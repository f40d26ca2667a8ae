"""Reading whole series: a handful of queries for any number of patients."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from monitoring.domain.course.series import Course, Drug, Fact, FactKind, ResultFact, Series, StopReason
from monitoring.domain.rules.values import SdRange
from monitoring.domain.scoring.laboratory_report import (
    FactorUsed,
    LaboratoryProfile,
    LaboratoryReport,
    RegisteredFactor,
    ReplicateReport,
    factor_day,
    find_factor,
    hours_to_laboratory,
    measurement,
)
from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.models import (
    Assay,
    ConversionFactor,
    Laboratory,
    Observation,
    Patient,
    Replicate,
    ResultStatus,
    TkiCourse,
)
from monitoring.selectors.as_of import as_known, known_rows, row_key, standing_results

# The columns of a result that make a report, in the order in which they are read.
REPORT_COLUMNS = (
    "collected_on", "collected_precision", "collected_at", "received_on", "received_at", "tested_on", "issued_at",
    "control_gene", "method", "assay_name", "kit_lot", "run", "specimen", "conversion_factor", "is_percent",
    "is_comparator", "mr_value", "reported_class", "detected", "limit_of_detection", "limit_of_quantification",
    "status", "stated_version", "reason",
)  # fmt: skip


def result_key(laboratory: str, accession_number: str, version: int) -> str:
    """The name of one result version in ledger and alerts; the same after a restored backup."""
    return f"{laboratory}/{accession_number}/v{version}"


def report_of(values: dict[str, Any], replicates: tuple[ReplicateReport, ...], laboratory: str) -> LaboratoryReport:
    """A stored result as the report it came from."""
    return LaboratoryReport(
        laboratory=laboratory,
        accession_number=values["accession_number"],
        patient_id="",
        centre="",
        collected=PartialDate(values["collected_on"], Precision(values["collected_precision"])),
        replicates=replicates,
        **{
            name: values[name] for name in REPORT_COLUMNS if not name.startswith("collected_") or name == "collected_at"
        },
    )


def load_replicates(result_ids: Collection[int]) -> dict[int, tuple[ReplicateReport, ...]]:
    """Replicates of the named results, by result, in order of their number."""
    tubes_by_result: dict[int, list[ReplicateReport]] = defaultdict(list)
    rows = Replicate.objects.filter(result_id__in=result_ids).order_by("result_id", "number")
    for result_id, number, copies, control, valid, reported in rows.values_list(
        "result_id", "number", "bcr_abl1_copies", "control_gene_copies", "run_valid", "bcr_abl1_reported"
    ):
        tubes_by_result[result_id].append(ReplicateReport(number, copies, control, valid, reported))
    return {result_id: tuple(tubes) for result_id, tubes in tubes_by_result.items()}


def load_profiles(laboratory_ids: Collection[int], known_at: dt.datetime | None = None) -> dict[int, LaboratoryProfile]:
    """Settings of the named laboratories: factors, BCR minimum, what their assays can see; as they were at an
    instant.
    """
    factors: dict[int, list[ConversionFactor]] = defaultdict(list)
    for f in as_known(ConversionFactor, known_at).filter(laboratory_id__in=laboratory_ids):
        factors[f.laboratory_id].append(f)
    assays: dict[int, list[Assay]] = defaultdict(list)
    for assay in as_known(Assay, known_at).filter(laboratory_id__in=laboratory_ids):
        assays[assay.laboratory_id].append(assay)
    minimum = {row_key(row): row.bcr_minimum_copies for row in known_rows(Laboratory, laboratory_ids, known_at)}
    return {pk: profile_of(minimum.get(pk), factors[pk], assays[pk]) for pk in laboratory_ids}


def load_profile_with(row: Laboratory | Assay | ConversionFactor) -> LaboratoryProfile:
    """The settings of a laboratory with this row in the place of the stored one, or beside the others if it is new."""
    laboratory = row if isinstance(row, Laboratory) else row.laboratory
    factors = [f for f in laboratory.conversion_factors.all() if f != row]
    assays = [assay for assay in laboratory.assays.all() if assay != row]
    if isinstance(row, ConversionFactor):
        factors.append(row)
    elif isinstance(row, Assay):
        assays.append(row)
    return profile_of(laboratory.bcr_minimum_copies, factors, assays)


def profile_of(
    bcr_minimum_copies: Decimal | None, factors: Iterable[ConversionFactor], assays: Sequence[Assay]
) -> LaboratoryProfile:
    """A laboratory's settings as the rules read them."""
    registered = (RegisteredFactor(f.factor, f.valid_from, f.valid_to, f.assay_name, f.control_gene) for f in factors)
    return LaboratoryProfile(
        tuple(registered),
        bcr_minimum_copies,
        frozenset(a.name for a in assays if not a.sees_p210),
        frozenset(a.name for a in assays if a.sees_p190),
        {a.name: a.limit_of_blank_copies for a in assays if a.limit_of_blank_copies is not None},
        {a.name: a.minimum_control_copies for a in assays if a.minimum_control_copies is not None},
        {a.name: a.limit_of_quantification_percent for a in assays if a.limit_of_quantification_percent is not None},
        {a.name: sd_ranges(a) for a in assays},
    )


def sd_ranges(assay: Assay) -> tuple[SdRange, ...]:
    """The SD that a laboratory has measured for an assay, in the ranges of the kinetic rules."""
    measured = (
        (Decimal(0), False, assay.sd_log10_below_mr_3_5),
        (Decimal("3.5"), False, assay.sd_log10_from_mr_3_5),
        (Decimal("4.25"), True, assay.sd_log10_beyond_mr_4_25),
    )
    return tuple(SdRange(from_mr, exclusive, sd) for from_mr, exclusive, sd in measured if sd is not None)


class LoadedSeries:
    """A series with the factor that each of its results used, which the stored class must name."""

    __slots__ = ("factors", "patient", "series")

    def __init__(self, patient: Patient, series: Series, factors: dict[int, FactorUsed]) -> None:
        self.patient = patient
        self.series = series
        self.factors = factors


def load_series(
    patient_ids: Collection[int],
    known_at: dt.datetime | None = None,
    profiles: Mapping[int, LaboratoryProfile] | None = None,
) -> dict[int, LoadedSeries]:
    """The whole series of each patient, in eight queries however many patients there are.

    As it is known now, or as everything it rests on was known at an instant. ``profiles`` stand for the settings of
    their laboratories, to see what others would make of the same results.
    """
    patients = _load_patients(patient_ids, known_at)
    results, factors = _load_results(patients, known_at, profiles or {})
    courses: dict[int, list[Course]] = defaultdict(list)
    for course in as_known(TkiCourse, known_at).filter(patient_id__in=patient_ids):
        courses[course.patient_id].append(course_of(course))
    facts: dict[int, list[Fact]] = defaultdict(list)
    for row in as_known(Observation, known_at).filter(patient_id__in=patient_ids):
        facts[row.patient_id].append(Fact(FactKind(row.kind), row.observed_on, row.detail, row.grade, row.is_confirmed))
    return {
        pk: LoadedSeries(
            patient,
            Series(
                patient_key=str(patient.public_id),
                results=tuple(results[pk]),
                courses=tuple(courses[pk]),
                facts=tuple(facts[pk]),
                first_mmr_on=patient.first_mmr_on,
                first_dmr_on=patient.first_dmr_on,
            ),
            factors[pk],
        )
        for pk, patient in patients.items()
    }


def _load_patients(patient_ids: Collection[int], known_at: dt.datetime | None) -> dict[int, Patient]:
    """Patients with their centres; with ``known_at`` their own columns are those of that instant."""
    patients = {p.pk: p for p in Patient.objects.filter(pk__in=patient_ids).select_related("centre__protocol")}
    if known_at is not None:
        for row in known_rows(Patient, patient_ids, known_at):
            for field in Patient._meta.concrete_fields:
                if field.attname not in ("id", "centre_id", "look"):  # what never changes has no history
                    setattr(patients[row_key(row)], field.attname, getattr(row, field.attname))
    return patients


def course_of(row: TkiCourse) -> Course:
    """A stored course as the rules read it."""
    return Course(
        key=f"{row.drug}/{row.started_on.isoformat()}",
        drug=Drug(row.drug),
        started_on=row.started_on,
        stopped_on=row.stopped_on,
        stop_reason=StopReason(row.stop_reason or StopReason.UNKNOWN),
        dose_mg_per_day=row.dose_mg_per_day,
        started_precision=Precision(row.started_precision),
        stopped_precision=Precision(row.stopped_precision),
        is_confirmed=row.is_confirmed,
    )


def _load_results(
    patients: dict[int, Patient], known_at: dt.datetime | None, profiles: Mapping[int, LaboratoryProfile]
) -> tuple[dict[int, list[ResultFact]], dict[int, dict[int, FactorUsed]]]:
    rows = list(
        standing_results(known_at)
        .filter(patient_id__in=patients)
        .exclude(status=ResultStatus.ENTERED_IN_ERROR)
        .values("id", "patient_id", "laboratory_id", "laboratory__code", "accession_number", "version", *REPORT_COLUMNS)
    )
    replicates = load_replicates([row["id"] for row in rows])
    profiles = {**load_profiles({row["laboratory_id"] for row in rows}, known_at), **profiles}
    results: dict[int, list[ResultFact]] = defaultdict(list)
    factors: dict[int, dict[int, FactorUsed]] = defaultdict(dict)
    for row in rows:
        laboratory = row["laboratory__code"]
        report = report_of(row, replicates.get(row["id"], ()), laboratory)
        patient = patients[row["patient_id"]]
        key = result_key(laboratory, report.accession_number, row["version"])
        fact, factor = result_fact(report, patient, profiles[row["laboratory_id"]], id=row["id"], key=key)
        factors[patient.pk][row["id"]] = factor
        results[patient.pk].append(fact)
    return results, factors


def result_fact(
    report: LaboratoryReport, patient: Patient, profile: LaboratoryProfile, *, id: int, key: str
) -> tuple[ResultFact, FactorUsed]:
    """A report as the rules read it, and the conversion factor that it uses."""
    factor = find_factor(
        report.conversion_factor, profile.factors, report.control_gene, report.assay_name, factor_day(report)
    )
    fact = ResultFact(
        id=id,
        key=key,
        collected_on=report.collected.on,
        laboratory=report.laboratory,
        measurement=measurement(report, Transcript(patient.transcript), profile, factor),
        is_preliminary=report.status == ResultStatus.PRELIMINARY,
        is_bone_marrow=report.specimen == "BM",
        hours_to_laboratory=hours_to_laboratory(report),
        precision=report.collected.precision,
        sd_ranges=profile.sd_ranges.get(report.assay_name, ()),
    )
    return fact, factor
