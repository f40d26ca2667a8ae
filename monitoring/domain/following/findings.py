"""What happened in each treatment-free episode, and what to know about the series, as statements with their reasons.

Facts in order of time; no decision rests on them. The limits for the time after a restart, the late recurrence and the
gap are defined here with their sources; all else comes from the other rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from monitoring.domain.course.episodes import DmrRule, Episode, response_before_stop
from monitoring.domain.course.off_scale import ratios_of
from monitoring.domain.course.series import Assessed, FactKind, Series, StopReason, TimePoint, tki_courses
from monitoring.domain.vocabulary.dates import add_months, whole_months
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import ResponseClass

RULE_ID = "findings.1"
NO_MMR_AFTER_RESTART_MONTHS = 3
LATE_RECURRENCE_MONTHS = 24
LONG_GAP_DAYS = 213  # seven months: two quarterly samples were missed
_DESIGN = "design"
_CITATIONS = {
    "late_recurrence": "A-STIM: 14 % of recurrences came after 2 years",
    "restart": "NCCN; KIDS, ASH 2013: monthly, 37 of 37 in MMR, median 3.9 months",
    "withdrawal": "RU-SKI; KIDS; CTCAE grades, unconfirmed",
    "transcript": "Cross 2015, doi 10.1038/leu.2015.29",
    "factor": "Qin: 5 of 15 laboratories failed re-validation, new factors 1.8 to 6.3 times the old",
    "laboratory": "Griffiths: between laboratories more than 5-fold",
}


@dataclass(frozen=True, slots=True)
class EpisodeFindings:
    """An episode with the statements about it, in order of time."""

    episode: Episode
    statements: tuple[Reason, ...]


def _statement(line: str, code: str, **facts: FactValue) -> Reason:
    return Reason(RULE_ID, line, _CITATIONS.get(line, _DESIGN), tuple(facts.items()), f"findings.{code}")


def episode_findings(
    series: Series, points: Sequence[TimePoint], episodes: Sequence[Episode], as_of: date, *, is_off_scale: bool = False
) -> tuple[EpisodeFindings, ...]:
    """What happened in each episode up to a day.

    A series off the International Scale cannot have an evaluable result: statements about missing ones are left out.
    """
    by_episode = ((e, tuple(_of_episode(series, points, e, as_of))) for e in episodes)
    return tuple(
        EpisodeFindings(e, tuple(r for r in statements if not (is_off_scale and r.line in _OF_THE_SCALE)))
        for e, statements in by_episode
    )


_OF_THE_SCALE = ("baseline", "dmr", "samples", "gap")


def _of_episode(series: Series, points: Sequence[TimePoint], episode: Episode, as_of: date) -> Iterator[Reason]:
    if episode.attempt:
        yield _statement("kind", "attempt", number=episode.attempt)
    elif episode.kind is StopReason.UNKNOWN:
        yield _statement("kind", "reason_unknown")
    else:
        yield _statement("kind", "other_stop")
    yield from _before_the_stop(series, points, episode)
    yield from _off_treatment(series, episode, as_of)
    yield from _after_a_restart(series, episode, as_of)


# --- up to the stop -----------------------------------------------------------------------------------------------


def _before_the_stop(series: Series, points: Sequence[TimePoint], episode: Episode) -> Iterator[Reason]:
    baseline, stopped_on = episode.baseline, episode.stopped_on
    if baseline is None:
        yield _statement("baseline", "no_baseline", stopped_on=stopped_on)
        return
    code = "baseline" if baseline.in_mmr else "baseline_not_in_mmr"
    yield _statement("baseline", code, response_class=baseline.response_class.value, on=baseline.on)
    tkis = tki_courses(series.courses)
    before = response_before_stop(
        stopped_on, tkis[0].started_on if tkis else None, points, series.first_dmr_on, DmrRule()
    )
    if before.dmr is None:
        yield _statement("dmr", "no_dmr")
    elif before.left_censored and before.dmr.start == points[0].on:
        yield _statement("dmr", "dmr_at_least", months=whole_months(before.dmr), since=before.dmr.start)
    elif series.first_dmr_on == before.dmr.start:
        yield _statement("dmr", "dmr_elsewhere", months=whole_months(before.dmr), since=before.dmr.start)
    else:
        yield _statement("dmr", "dmr", months=whole_months(before.dmr), since=before.dmr.start)
    if before.dmr is not None and before.first_dmr_on is not None and before.first_dmr_on < before.dmr.start:
        yield _statement("dmr", "dmr_interrupted", first_on=before.first_dmr_on, since=before.dmr.start)
    run = [p.on for p in points if before.dmr is not None and before.dmr.start <= p.on <= stopped_on]
    yield from _gaps([*run, stopped_on] if run else [], "gap_in_dmr")


def _gaps(days: Sequence[date], code: str) -> Iterator[Reason]:
    """The longest time without an evaluable result, where it is long."""
    first, second = max(pairwise(days), key=lambda gap: gap[1] - gap[0], default=(date.max, date.max))
    if (second - first).days > LONG_GAP_DAYS:
        yield _statement("gap", code, first=first, second=second, days=(second - first).days)


# --- off treatment ------------------------------------------------------------------------------------------------


def _off_treatment(series: Series, episode: Episode, as_of: date) -> Iterator[Reason]:
    stopped_on = episode.stopped_on
    until = episode.restarted_on or as_of
    if not episode.points_off:
        yield _statement("samples", "no_pcr_after_stop", stopped_on=stopped_on)
    yield from _gaps([stopped_on, *(p.on for p in episode.points_off)], "gap_off")
    for fact in sorted(series.facts, key=lambda f: f.observed_on):
        if stopped_on <= fact.observed_on <= until:
            yield from _observed(fact.kind, fact.observed_on, fact.grade, episode)
    if episode.loss is not None:
        yield from _lost(episode, episode.loss.first)


def _observed(kind: FactKind, on: date, grade: int | None, episode: Episode) -> Iterator[Reason]:
    days = (on - episode.stopped_on).days
    if kind is FactKind.WITHDRAWAL_SYNDROME and grade is not None:
        yield _statement("withdrawal", "withdrawal_syndrome_graded", on=on, days=days, grade=grade)
    elif kind is FactKind.WITHDRAWAL_SYNDROME:
        yield _statement("withdrawal", "withdrawal_syndrome", on=on, days=days)
    elif kind is FactKind.DEATH and episode.loss is None and episode.baseline is not None and episode.baseline.in_mmr:
        yield _statement("end", "death_in_remission", on=on)
    elif kind not in (FactKind.LAST_CONTACT, FactKind.SAMPLE_TAKEN):
        yield _statement("observed", "observed", kind=kind.value, on=on, days=days)


def _lost(episode: Episode, first: TimePoint) -> Iterator[Reason]:
    assert episode.loss is not None
    days = (first.on - episode.stopped_on).days
    if first.is_percent is not None:
        yield _statement("loss", "loss", value=first.is_percent, on=first.on, days=days)
    else:
        yield _statement("loss", "loss_above_range", on=first.on, days=days)
    following = next((p for p in episode.points_off if p.on > first.on), None)
    if episode.loss.confirmed_on is not None and episode.loss.confirmed_on != episode.restarted_on:
        yield _statement("loss", "loss_confirmed", on=episode.loss.confirmed_on)
    elif following is not None and following.in_mmr:
        yield _statement("loss", "loss_not_repeated", on=following.on)
    if add_months(episode.stopped_on, LATE_RECURRENCE_MONTHS) < first.on:
        yield _statement("late_recurrence", "late_recurrence", months=LATE_RECURRENCE_MONTHS)


# --- after a restart ----------------------------------------------------------------------------------------------


def _after_a_restart(series: Series, episode: Episode, as_of: date) -> Iterator[Reason]:
    restart = episode.restart
    if restart is None:
        return
    on, drug = restart.started_on, restart.drug.value
    if episode.loss is None:
        delivered = max(
            (
                f.observed_on
                for f in series.facts
                if f.kind is FactKind.PREGNANCY_END and episode.stopped_on <= f.observed_on <= on
            ),
            default=None,
        )
        if episode.kind is StopReason.PREGNANCY and delivered is not None:
            yield _statement("restart", "restart_planned", drug=drug, on=on, delivered_on=delivered)
        else:
            yield _statement("restart", "restart_without_loss", drug=drug, on=on)
        return
    yield _statement("restart", "restart_after_loss", drug=drug, on=on, days=(on - episode.loss.first.on).days)
    if episode.mmr_regained_on is not None:
        days = (episode.mmr_regained_on - on).days
        yield _statement("restart", "mmr_regained", on=episode.mmr_regained_on, days=days)
    if episode.dmr_regained_on is not None:
        yield _statement(
            "restart", "dmr_regained", on=episode.dmr_regained_on, days=(episode.dmr_regained_on - on).days
        )
    if is_without_mmr_after_restart(episode, as_of):
        yield _statement("restart", "no_mmr_after_restart", months=NO_MMR_AFTER_RESTART_MONTHS, since=on)


def is_without_mmr_after_restart(episode: Episode, as_of: date) -> bool:
    """Whether MMR was lost, the drug restarted three months ago or more, and MMR is not back."""
    if episode.loss is None or episode.restarted_on is None or episode.mmr_regained_on is not None:
        return False
    return add_months(episode.restarted_on, NO_MMR_AFTER_RESTART_MONTHS) <= as_of


# --- the series ---------------------------------------------------------------------------------------------------


def series_findings(assessed: Sequence[Assessed]) -> tuple[Reason, ...]:
    """What a reader of the whole series must know: results of one day, changes of laboratory, transcripts."""
    items = sorted(assessed, key=lambda i: (i.result.collected_on, i.result.key))
    return (*_same_day(items), *_changes(items), *_unseen(items), *_off_scale(items))


def _same_day(items: Sequence[Assessed]) -> Iterator[Reason]:
    by_day: dict[date, list[Assessed]] = defaultdict(list)
    for item in items:
        if item.counts:
            by_day[item.result.collected_on].append(item)
    for on, same_day in by_day.items():
        if len(same_day) > 1:
            classes = [i.score.response_class for i in same_day]
            worst = min(classes, key=list(ResponseClass).index)
            yield _statement("same_day", "same_day", on=on, results=len(same_day), response_class=worst.value)


def _changes(items: Sequence[Assessed]) -> Iterator[Reason]:
    """The latest change of laboratory, method, control gene and conversion factor; the chart marks every one."""
    latest = {reason.text_code: reason for before, item in pairwise(items) for reason in _change(before, item)}
    yield from latest.values()


def _change(before: Assessed, item: Assessed) -> Iterator[Reason]:
    old, new, on = before.result, item.result, item.result.collected_on
    if old.laboratory != new.laboratory:
        yield _statement("laboratory", "laboratory_changed", on=on, first=old.laboratory, second=new.laboratory)
    elif old.measurement.method != new.measurement.method:
        first, second = old.measurement.method.value, new.measurement.method.value
        yield _statement("laboratory", "method_changed", on=on, first=first, second=second)
    elif old.measurement.control_gene != new.measurement.control_gene:
        first, second = old.measurement.control_gene.value, new.measurement.control_gene.value
        yield _statement("laboratory", "control_gene_changed", on=on, first=first, second=second)
    elif old.measurement.conversion_factor != new.measurement.conversion_factor:
        factors = (old.measurement.conversion_factor, new.measurement.conversion_factor)
        yield _statement("factor", "factor_changed", on=on, first=factors[0], second=factors[1])


def _unseen(items: Sequence[Assessed]) -> Iterator[Reason]:
    for item in items:
        m = item.result.measurement
        if not m.assay_sees_transcript and not item.score.detected:
            yield _statement("transcript", "wrong_assay", on=item.result.collected_on, transcript=m.transcript.value)


def _off_scale(items: Sequence[Assessed]) -> Iterator[Reason]:
    """An atypical transcript has no International Scale: only the change from the patient's own first value is
    given.
    """
    atypical = [m for i in items if not (m := i.result.measurement).transcript.is_on_scale and m.assay_sees_transcript]
    if not atypical:
        return
    yield _statement("transcript", "off_scale", transcript=atypical[-1].transcript.value)
    detected = [r for r in ratios_of(items) if r.percent]
    if len(detected) < 2 or detected[0].assay != detected[-1].assay:
        return
    first, last = detected[0], detected[-1]
    change = (last.percent / first.percent).log10().quantize(Decimal("0.01"))
    yield _statement("transcript", "off_scale_change", change=change, first_on=first.on, on=last.on)
