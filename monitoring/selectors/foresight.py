"""What a result would mean if it were stored: class, change since the last one, and the alerts it would raise or end.

The answer is the difference between two replays, with and without the result: the same function that decides later.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.alerting.changes import AlertChanges, alert_changes
from monitoring.domain.alerting.intention import Intention
from monitoring.domain.course.series import Assessed, FactKind, ResultFact, Series, TimePoint, assess, time_points
from monitoring.domain.following.kinetics import change_between, value_of, values_of
from monitoring.domain.following.plausibility import Question, questions
from monitoring.domain.replay import Replay, replay
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.scoring.laboratory_report import FactorUsed, LaboratoryProfile, LaboratoryReport
from monitoring.domain.scoring.response import Score
from monitoring.models import Laboratory, Patient, PcrResult, Protocol
from monitoring.selectors.clinical import rules_of
from monitoring.selectors.series import LoadedSeries, load_profiles, load_series, result_fact, result_key

LAST_VALUES = 5
UNSTORED = 0  # the id of a result that has none yet


@dataclass(frozen=True, slots=True)
class ForeseenChange:
    """The change since the last evaluable value: days between, and its size in log10 where both are numbers."""

    last: TimePoint
    days: int
    log10: Decimal | None


@dataclass(frozen=True, slots=True)
class Foresight:
    """What storing a result would say and do."""

    score: Score
    factor: FactorUsed
    change: ForeseenChange | None
    off_treatment_since: dt.date | None
    opened: tuple[Intention, ...]
    told_again: tuple[Intention, ...]
    ended: tuple[Intention, ...]
    questions: tuple[Question, ...]
    last_values: tuple[TimePoint, ...]
    is_first: bool


def foresee(patient: Patient, report: LaboratoryReport) -> Foresight:
    """What this report would mean for this patient. Nothing is stored; a known accession is replaced, not doubled."""
    (foresight,) = foresee_each([(patient, report)])
    return foresight


_UNKNOWN = LaboratoryProfile()  # of a laboratory that nothing is known of


def _profiles_of(reports: Sequence[LaboratoryReport]) -> dict[str, LaboratoryProfile]:
    """The settings of the laboratories of these reports, by code."""
    known = Laboratory.objects.filter(code__in={report.laboratory for report in reports})
    laboratories = dict(known.values_list("code", "pk"))
    profiles = load_profiles(list(laboratories.values()))
    return {code: profiles[pk] for code, pk in laboratories.items()}


def foresee_each(pairs: Sequence[tuple[Patient, LaboratoryReport]]) -> list[Foresight]:
    """What each of these reports would mean if it alone were stored; the patients are read together."""
    series = load_series([patient.pk for patient, _report in pairs])
    profiles = _profiles_of([report for _patient, report in pairs])
    chosen = {patient.centre.protocol_id for patient, _report in pairs} - {None}
    protocols: dict[int | None, Protocol] = dict(Protocol.objects.in_bulk(chosen)) if chosen else {}
    return [
        _foresee(
            patient,
            report,
            series[patient.pk].series,
            profiles.get(report.laboratory, _UNKNOWN),
            rules_of(protocols.get(patient.centre.protocol_id)).kinetics,
        )
        for patient, report in pairs
    ]


@dataclass(frozen=True, slots=True)
class ForeseenSeries:
    """A patient with several new results at once: the score of each, in their order, and what becomes of alerts."""

    patient: Patient
    scores: tuple[Score, ...]
    alerts: AlertChanges


def foresee_series(given: Mapping[int, Sequence[LaboratoryReport]]) -> Iterator[ForeseenSeries]:
    """What these reports would mean if all of a patient were stored together; patients by id, read together."""
    series = load_series(given)
    profiles = _profiles_of([report for reports in given.values() for report in reports])
    for pk, reports in given.items():
        loaded, facts = series[pk], []
        for number, report in enumerate(reports, start=1):
            profile = profiles.get(report.laboratory, _UNKNOWN)
            key = result_key(report.laboratory, report.accession_number, 0)
            facts.append(result_fact(report, loaded.patient, profile, id=-number, key=key)[0])
        replaced = {_without_version(fact.key) for fact in facts}
        others = tuple(fact for fact in loaded.series.results if _without_version(fact.key) not in replaced)
        after = replay(dataclasses.replace(loaded.series, results=(*others, *facts)))
        scores = {one.result.id: one.score for one in after.assessed}
        yield ForeseenSeries(
            loaded.patient,
            tuple(scores[fact.id] for fact in facts),
            alert_changes(replay(loaded.series).intentions, after.intentions),
        )


def _without_version(key: str) -> str:
    return key.rpartition("/")[0]


def _foresee(
    patient: Patient, report: LaboratoryReport, series: Series, profile: LaboratoryProfile, rules: RuleSet
) -> Foresight:
    prefix = result_key(report.laboratory, report.accession_number, 1).rpartition("/")[0] + "/"
    others = tuple(r for r in series.results if not r.key.startswith(prefix))
    fact, factor = result_fact(report, patient, profile, id=UNSTORED, key=f"{prefix}new")
    return _difference(series, others, fact, factor, rules)


def _difference(
    series: Series, others: tuple[ResultFact, ...], fact: ResultFact, factor: FactorUsed, rules: RuleSet
) -> Foresight:
    """What changes where the series as it stands becomes its other results and this one."""
    before, without = replay(series), dataclasses.replace(series, results=others)
    after = replay(dataclasses.replace(series, results=(*others, fact)))
    new = next(item for item in after.assessed if item.result.id == fact.id)
    earlier = [point for point in time_points(assess(without)) if point.on < fact.collected_on]
    alerts = alert_changes(before.intentions, after.intentions)
    return Foresight(
        score=new.score,
        factor=factor,
        change=_change(without, fact.collected_on, new.score),
        off_treatment_since=_off_treatment_since(after, fact.collected_on),
        opened=alerts.opened,
        told_again=alerts.told_again,
        ended=alerts.ended,
        questions=tuple(_questions(new, after, series, rules)),
        last_values=tuple(sorted(earlier, key=lambda point: point.on)[-LAST_VALUES:]),
        is_first=not others,
    )


@dataclass(frozen=True, slots=True)
class Release:
    """What verifying a preliminary result would do; ``factor_before`` is that of the patient's result before it from
    the same laboratory, where it was another.
    """

    foresight: Foresight
    factor_before: Decimal | None


def foresee_release(results: Sequence[PcrResult]) -> dict[int, Release]:
    """What verifying each of these stored results would do, each by itself; by id. Their patients are read together."""
    series = load_series({result.patient_id for result in results})
    found = {}
    for result in results:
        loaded = series[result.patient_id]
        fact = next((one for one in loaded.series.results if one.id == result.pk), None)
        if fact is None:
            continue
        others = tuple(one for one in loaded.series.results if one.id != result.pk)
        rules = rules_of(loaded.patient.centre.protocol).kinetics
        final = dataclasses.replace(fact, is_preliminary=False)
        foresight = _difference(loaded.series, others, final, loaded.factors[fact.id], rules)
        found[result.pk] = Release(foresight, _other_factor(loaded, fact, others))
    return found


def _other_factor(loaded: LoadedSeries, fact: ResultFact, others: Sequence[ResultFact]) -> Decimal | None:
    earlier = [one for one in others if one.laboratory == fact.laboratory and one.collected_on < fact.collected_on]
    if not earlier:
        return None
    before = loaded.factors[max(earlier, key=lambda one: one.collected_on).id].factor
    return before if before != loaded.factors[fact.id].factor else None


def is_doubtful_loss(result: PcrResult) -> bool:
    """Whether a stored value may be above 0.1 % after a last value in MMR, and looks like a slip rather than a
    value.
    """
    series = load_series([result.patient_id])[result.patient_id].series
    replayed = replay(series)
    new = next((item for item in replayed.assessed if item.result.id == result.pk), None)
    last = max((p for p in replayed.points if new and p.on < new.result.collected_on), key=lambda p: p.on, default=None)
    if new is None or last is None or not last.in_mmr:
        return False
    asked = _questions(new, replayed, series, rules_of(result.patient.centre.protocol).kinetics)
    return any(question.is_suspicious for question in asked)


def _questions(new: Assessed, after: Replay, series: Series, rules: RuleSet) -> list[Question]:
    others = [item for item in after.assessed if item.result.id != new.result.id]
    before = [item for item in others if item.result.collected_on < new.result.collected_on]
    values = values_of(before, series.courses)
    change = change_between(values[-1], value_of(_as_if_final(new), series.courses), rules) if values else None
    died_on = min((f.observed_on for f in series.facts if f.kind is FactKind.DEATH), default=None)
    return questions(new, others, change, died_on)


def _as_if_final(new: Assessed) -> Assessed:
    """Entered results are preliminary; the change is still worth a word."""
    return dataclasses.replace(new, result=dataclasses.replace(new.result, is_preliminary=False))


def _change(others: Series, on: dt.date, score: Score) -> ForeseenChange | None:
    last = max((p for p in replay(others).points if p.on < on), key=lambda p: p.on, default=None)
    if last is None:
        return None
    log10 = None
    if score.is_percent and last.is_percent:
        log10 = Decimal(str(round(math.log10(score.is_percent / last.is_percent), 2)))
    return ForeseenChange(last, (on - last.on).days, log10)


def _off_treatment_since(replayed: Replay, on: dt.date) -> dt.date | None:
    """The stop of the episode in which this day lies, None on treatment."""
    for summary in reversed(replayed.episodes):
        episode = summary.episode
        if episode.stopped_on < on and (episode.restarted_on is None or on <= episode.restarted_on):
            return episode.stopped_on
    return None
