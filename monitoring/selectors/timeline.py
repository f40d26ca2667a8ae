"""One patient over time: what a chart draws, and the same rows for a table and a screen reader."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from django.db.models import Q, QuerySet

from monitoring.domain.course.episodes import Episode
from monitoring.domain.course.off_scale import Ratio, change_log10
from monitoring.domain.vocabulary.measurement import Method
from monitoring.domain.vocabulary.scale import CLASS_LIMIT_PERCENT, ResponseClass
from monitoring.models import Observation, Patient, PcrResult, ResponseAssessment, ResultStatus, TkiCourse
from monitoring.selectors.as_of import as_known, standing_results

MOST_POINTS = 2000  # of one person: more than anybody's lifetime of samples


class Shape(StrEnum):
    """How a point is drawn: what was proved decides, not colour alone."""

    QUANTIFIED = "quantified"
    BELOW = "below"
    ABOVE = "above"
    UNDETECTED = "undetected"
    OFF_SCALE = "off_scale"
    NOT_EVALUABLE = "not_evaluable"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One result in the order of collection. ``percent`` is where it is drawn, None in the lane below the scale.

    ``ratio_percent`` is the raw ratio of a transcript off the International Scale, ``ratio_change_log10`` how far it
    lies above the lowest before on its assay.
    """

    result: PcrResult
    assessment: ResponseAssessment | None
    shape: Shape
    percent: Decimal | None
    days_after_stop: int | None
    way_changed: bool  # of measuring: laboratory, method, control gene or conversion factor
    ratio_percent: Decimal | None = None
    ratio_change_log10: Decimal | None = None

    @property
    def is_marrow(self) -> bool:
        return self.result.is_bone_marrow

    @property
    def response_class(self) -> ResponseClass | None:
        return ResponseClass(self.assessment.response_class) if self.assessment else None


def current_results(patient: Patient, known_at: dt.datetime | None = None) -> QuerySet[PcrResult]:
    """The standing versions of a patient's results, those entered in error left out, latest collection first."""
    return (
        standing_results(known_at)
        .filter(patient=patient)
        .exclude(status=ResultStatus.ENTERED_IN_ERROR)
        .select_related("laboratory")
        .order_by("-collected_on", "-pk")
    )


def timeline_rows(
    patient: Patient, episodes: Sequence[Episode], ratios: Sequence[Ratio], known_at: dt.datetime | None = None
) -> list[TimelineRow]:
    """Every standing result with its class, oldest first; with ``known_at`` what stood and was said then."""
    raw = {ratio.result_id: ratio for ratio in ratios}
    results = list(reversed(current_results(patient, known_at)[:MOST_POINTS]))
    stood = Q(superseded_at__isnull=True)
    if known_at is not None:
        stood = Q(assessed_at__lte=known_at) & (stood | Q(superseded_at__gt=known_at))
    classes = {a.result_id: a for a in ResponseAssessment.objects.filter(stood, result__in=[r.pk for r in results])}
    rows: list[TimelineRow] = []
    before: tuple[object, ...] | None = None
    for result in results:
        assessment = classes.get(result.pk)
        shape, percent = drawn(result, assessment)
        factor = assessment.conversion_factor if assessment else None
        way = (result.laboratory_id, result.method or Method.RT_QPCR, result.control_gene, factor)
        changed = before is not None and before != way
        before = way
        ratio = raw.get(result.pk)
        if ratio is not None and assessment is not None:
            shape, percent = Shape.OFF_SCALE, ratio.percent or None
        rows.append(
            TimelineRow(
                result, assessment, shape, percent, _days_after_stop(result.collected_on, episodes), changed,
                ratio.percent if ratio else None, change_log10(ratio, ratios) if ratio else None,
            )
        )  # fmt: skip
    return rows


def drawn(result: PcrResult, assessment: ResponseAssessment | None) -> tuple[Shape, Decimal | None]:
    """The shape of a result and the height at which it stands on the scale, in % IS."""
    if assessment is None:
        return Shape.WAITING, None
    response_class = ResponseClass(assessment.response_class)
    if assessment.is_percent:
        return Shape.QUANTIFIED, assessment.is_percent
    if not response_class.is_evaluable:
        return Shape.NOT_EVALUABLE, None
    if not assessment.detected:
        return Shape.UNDETECTED, CLASS_LIMIT_PERCENT[response_class]  # what this sample could have seen
    if response_class is ResponseClass.NO_MMR:
        return Shape.ABOVE, result.is_percent
    return Shape.BELOW, assessment.upper_bound_percent or CLASS_LIMIT_PERCENT[response_class]


def _days_after_stop(on: dt.date, episodes: Iterable[Episode]) -> int | None:
    for episode in episodes:
        if episode.stopped_on <= on and (episode.restarted_on is None or on <= episode.restarted_on):
            return (on - episode.stopped_on).days
    return None


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """Everything the page of a patient shows beside the results."""

    courses: list[TkiCourse]
    observations: list[Observation]


def patient_record(patient: Patient, known_at: dt.datetime | None = None) -> PatientRecord:
    """Courses and observations of a patient, in order of time."""
    courses = as_known(TkiCourse, known_at).filter(patient_id=patient.pk)
    observations = as_known(Observation, known_at).filter(patient_id=patient.pk)
    return PatientRecord(
        sorted(courses, key=lambda c: c.started_on),
        sorted(observations, key=lambda o: o.observed_on),
    )
