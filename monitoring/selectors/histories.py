"""Reads patients for the statistics: as known now, or as known at an earlier instant."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q

from monitoring.domain.course.series import Course, Fact, FactKind, TimePoint, worst_of_each_date
from monitoring.domain.following.kinetics import Value, values_of
from monitoring.domain.following.reading import PatientHistory, for_doubling
from monitoring.domain.replay import Replay
from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.domain.vocabulary.measurement import Flag, Method
from monitoring.domain.vocabulary.scale import DEPTH, ControlGene, ResponseClass
from monitoring.models import Centre, Observation, Patient, ResponseAssessment, ResultStatus, TkiCourse
from monitoring.models.centres import CANARY_CODE
from monitoring.selectors.as_of import as_known, known_rows, row_key
from monitoring.selectors.series import LoadedSeries, course_of, result_key

BATCH_PATIENTS = 2000


def load_histories(known_at: dt.datetime | None = None) -> Iterator[PatientHistory]:
    """Every patient who ever stopped a drug, in order of id, in batches: memory does not grow with the registry."""
    stops = as_known(TkiCourse, known_at).values_list("patient_id", "stopped_on")
    ids = sorted({patient_id for patient_id, stopped_on in stops if stopped_on is not None})
    for start in range(0, len(ids), BATCH_PATIENTS):
        yield from load_histories_of(ids[start : start + BATCH_PATIENTS], known_at).values()


@contextmanager
def without_collecting() -> Iterator[None]:
    """Histories and readings hold no cycles, and each collection walks all that were made: half the cost of a read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@without_collecting()
def load_histories_of(ids: Sequence[int], known_at: dt.datetime | None = None) -> dict[int, PatientHistory]:
    """The named patients, in order of id."""
    centres = dict(Centre.objects.values_list("pk", "code"))
    courses: dict[int, list[Course]] = defaultdict(list)
    for row in as_known(TkiCourse, known_at).filter(patient_id__in=ids):
        courses[row.patient_id].append(course_of(row))
    facts: dict[int, list[Fact]] = defaultdict(list)
    for row in as_known(Observation, known_at).filter(patient_id__in=ids):
        facts[row.patient_id].append(Fact(FactKind(row.kind), row.observed_on, row.detail, row.grade))
    points, values, unseen, marrow = _load_points(ids, known_at)
    histories = {}
    for row in sorted(known_rows(Patient, ids, known_at), key=row_key):
        pk = row_key(row)
        if centres[row.centre_id] == CANARY_CODE:
            continue  # invented by the service, to see that alerts arrive
        worst = worst_of_each_date(points[pk])
        histories[pk] = PatientHistory(
            patient_id=row.patient_id,
            centre=centres[row.centre_id],
            sex=row.sex,
            born=_partial(row.born_on, row.born_precision),
            diagnosed=_partial(row.diagnosed_on, row.diagnosed_precision),
            transcript=row.transcript,
            risk_group=row.risk_group,
            first_dmr=_partial(row.first_dmr_on, row.first_dmr_precision),
            courses=tuple(courses[pk]),
            facts=tuple(facts[pk]),
            points=worst,
            unseen=frozenset(unseen[pk]),
            marrow=frozenset(marrow[pk]),
            risk_score=row.risk_score,
            values=tuple(_value(point, values[point.key]) for point in for_doubling(worst, courses[pk])),
        )
    return histories


def history_of(loaded: LoadedSeries, replayed: Replay) -> PatientHistory:
    """The same of one patient who was just replayed, without a query."""
    patient, series = loaded.patient, loaded.series
    return PatientHistory(
        patient_id=patient.patient_id,
        centre=patient.centre.code,
        sex=patient.sex,
        born=_partial(patient.born_on, patient.born_precision),
        diagnosed=_partial(patient.diagnosed_on, patient.diagnosed_precision),
        transcript=patient.transcript,
        risk_group=patient.risk_group,
        first_dmr=_partial(patient.first_dmr_on, patient.first_dmr_precision),
        courses=series.courses,
        facts=series.facts,
        points=replayed.points,
        unseen=frozenset(
            item.result.collected_on
            for item in replayed.assessed
            if item.counts and Flag.TRANSCRIPT_UNKNOWN in item.score.flags
        ),
        marrow=frozenset(
            item.result.collected_on
            for item in replayed.assessed
            if item.result.is_bone_marrow and not item.result.is_preliminary
        ),
        risk_score=patient.risk_score,
        values=tuple(
            dataclasses.replace(value, taken=(), sd_ranges=())  # no doubling time off treatment rests on these
            for value in for_doubling(values_of(replayed.assessed, series.courses), series.courses)
        ),
    )


def _partial(on: dt.date | None, precision: str) -> PartialDate | None:
    return PartialDate(on, Precision(precision)) if on else None


Days = dict[int, set[dt.date]]


class MeasuredColumns(NamedTuple):
    """What makes two values of a patient comparable, as stored."""

    laboratory: str
    method: str
    control_gene: str
    conversion_factor: Decimal | None
    detected: bool
    upper_bound_percent: Decimal | None


def _value(point: TimePoint, measured: MeasuredColumns) -> Value:
    return Value(
        on=point.on,
        is_percent=point.is_percent,
        detected=measured.detected,
        upper_bound_percent=measured.upper_bound_percent,
        laboratory=measured.laboratory,
        method=Method(measured.method or Method.RT_QPCR),
        control_gene=ControlGene(measured.control_gene),
        conversion_factor=measured.conversion_factor,
        exact_date=point.precision is Precision.DAY,
        key=point.key,
        low_control=point.low_control,
    )


def _load_points(
    ids: Iterable[int], known_at: dt.datetime | None
) -> tuple[dict[int, list[TimePoint]], dict[str, MeasuredColumns], Days, Days]:
    """Evaluable classes of final blood results, the days of an unknown transcript never detected, the days of marrow.

    Preliminary results and those entered in error never count.
    """
    standing = Q(superseded_at__isnull=True)
    if known_at is not None:
        standing = Q(assessed_at__lte=known_at) & (standing | Q(superseded_at__gt=known_at))
    rows = ResponseAssessment.objects.filter(
        standing,
        Q(response_class__in=[c.value for c in DEPTH]) | Q(result__specimen="BM"),
        result__patient_id__in=ids,
        result__status__in=[ResultStatus.FINAL, ResultStatus.CORRECTED],
    ).values_list(
        "result__patient_id", "result__collected_on", "response_class", "is_percent", "flags", "result__specimen",
        "result__laboratory__code", "result__accession_number", "result__version", "result__collected_precision",
        "result__method", "result__control_gene", "conversion_factor", "detected", "upper_bound_percent",
    )  # fmt: skip
    points: dict[int, list[TimePoint]] = defaultdict(list)
    values: dict[str, MeasuredColumns] = {}
    unseen: Days = defaultdict(set)
    marrow: Days = defaultdict(set)
    for (
        patient_id,
        on,
        response_class,
        percent,
        flags,
        specimen,
        laboratory,
        accession,
        version,
        precision,
        method,
        gene,
        factor,
        detected,
        bound,
    ) in rows.iterator(5000):
        if specimen == "BM":
            marrow[patient_id].add(on)
            continue
        if Flag.TRANSCRIPT_UNKNOWN in flags.split(";"):
            unseen[patient_id].add(on)
        key = result_key(laboratory, accession, version)
        low_control = Flag.LOW_CONTROL in flags.split(";")
        points[patient_id].append(
            TimePoint(on, ResponseClass(response_class), percent, low_control, key, Precision(precision))
        )
        values[key] = MeasuredColumns(laboratory, method, gene, factor, detected, bound)
    return points, values, unseen, marrow
