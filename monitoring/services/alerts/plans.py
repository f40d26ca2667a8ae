"""The next sample of each patient, planned with every replay; and the alerts of the plan that a replay answers.

What depends on the day alone, such as an overdue sample, is opened in ``by_the_clock``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.off_treatment import RULE_ID as STATE
from monitoring.domain.course.off_treatment import UNEVALUABLE_IN_A_ROW
from monitoring.domain.course.series import Assessed, FactKind, assess
from monitoring.domain.course.treatment import TreatmentPhase, treatment_on
from monitoring.domain.following.findings import is_without_mmr_after_restart
from monitoring.domain.following.milestones import Milestone, last_failure, milestones
from monitoring.domain.following.schedule import PlanState, SamplePlan, last_record, next_sample_due
from monitoring.domain.replay import Replay
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.models import Alert, MonitoringPlan, Patient
from monitoring.models.alerts import AlertState, ClosingReason
from monitoring.selectors.clinical import rules_of
from monitoring.selectors.series import LoadedSeries
from monitoring.services.alerts.escalation import close_worked_off
from monitoring.services.alerts.lifecycle import BY_THE_PLAN, HISTORY_AFTER_DAYS, open_on_a_day

DESIGN = "plan.1"
_FIELDS = ("state", "earliest_on", "due_on", "latest_on", "result_late_on", "followed_until", "rule_id", "text_code")


_EDGES = ("due_on", "latest_on", "result_late_on", "followed_until")
_LATE = (PlanState.OVERDUE_SAMPLE, PlanState.OVERDUE_RESULT, PlanState.NOT_FOLLOWED)


def store_plans(
    loaded: Mapping[int, LoadedSeries],
    replays: Mapping[int, Replay],
    *,
    now: dt.datetime,
    by_rules: Collection[int] = (),
) -> None:
    """Plan the next sample of these patients. Must run inside the classifying transaction.

    A slot that only a change of rules has planned into the past, for the patients ``by_rules``, is marked as such.
    """
    today = now.date()
    standing = {plan.patient_id: plan for plan in MonitoringPlan.objects.filter(patient__in=list(loaded))}
    fresh: list[MonitoringPlan] = []
    changed: list[MonitoringPlan] = []
    plans: dict[int, SamplePlan] = {}
    for pk, loaded_series in loaded.items():
        rules = rules_of(loaded_series.patient.centre.protocol).schedule
        plans[pk] = plan_of(loaded_series, today, replays[pk].assessed)
        wanted = _values(loaded_series, replays[pk], plans[pk], rules, today)
        row = standing.get(pk)
        if row is None:
            fresh.append(MonitoringPlan(patient_id=pk, slot_known_on=today, **wanted))
        elif any(getattr(row, name) != value for name, value in wanted.items()):
            if row.due_on != wanted["due_on"]:
                row.slot_known_on, row.checked_on = today, None
            if any(getattr(row, name) != wanted[name] for name in _EDGES):
                row.by_rules = pk in by_rules and plans[pk].state in _LATE
            for name, value in wanted.items():
                setattr(row, name, value)
            changed.append(row)
    MonitoringPlan.objects.bulk_create(fresh, ignore_conflicts=True)
    MonitoringPlan.objects.bulk_update(changed, [*_FIELDS, "slot_known_on", "checked_on", "by_rules"], batch_size=500)
    known = {
        pk: _Known(plans[pk], replays[pk], _failed_milestones(loaded_series, replays[pk], today), today)
        for pk, loaded_series in loaded.items()
    }
    _close_answered(known, now)
    for pk, loaded_series in loaded.items():
        if known[pk].failed:
            _open_milestone(loaded_series, known[pk].failed[0], now, by_rules=pk in by_rules)
        is_by_rules = pk in by_rules
        open_without_evidence(loaded_series.patient, replays[pk], plans[pk], now, by_rules=is_by_rules)
        if plans[pk].ended_by is FactKind.LOST_TO_FOLLOW_UP:
            open_lost(loaded_series, replays[pk], now, by_rules=is_by_rules)


def plan_of(loaded_series: LoadedSeries, today: dt.date, assessed: Sequence[Assessed] | None = None) -> SamplePlan:
    rules = rules_of(loaded_series.patient.centre.protocol)
    assessed = assess(loaded_series.series) if assessed is None else assessed
    failed_on = last_failure(milestones(loaded_series.series, today, rules.milestones, assessed))
    return next_sample_due(loaded_series.series, today, rules.schedule, assessed, failed_on=failed_on)


def without_evidence(replayed: Replay, plan: SamplePlan) -> tuple[str, dt.date] | None:
    """The time off treatment of which nothing evaluable is known any more, and since when; None where something is.

    Two samples in a row proved nothing, or the next one is overdue although one came: a sample that simply does not
    come is told as overdue.
    """
    if not replayed.episodes or plan.state in (PlanState.ENDED, PlanState.NOT_FOLLOWED, PlanState.NO_PLAN):
        return None
    last = replayed.episodes[-1]
    rests_on = last.evidence
    if last.episode.state != "off_treatment" or rests_on.doubt_on is not None or rests_on.raw_on is not None:
        return None
    enough = 1 if plan.state is PlanState.OVERDUE_SAMPLE else UNEVALUABLE_IN_A_ROW
    if rests_on.unevaluable < enough:
        return None
    return last.subject_key, rests_on.proof_on or last.episode.stopped_on


def open_without_evidence(
    patient: Patient, replayed: Replay, plan: SamplePlan, now: dt.datetime, *, by_rules: bool = False
) -> bool:
    without = without_evidence(replayed, plan)
    if without is None:
        return False
    since = plan.slot.latest if plan.slot else now.date()
    return open_on_a_day(
        AlertKind.NO_EVIDENCE, patient, without[0], without[1], STATE, now, since=since, by_rules=by_rules
    )  # fmt: skip


def is_lost(plan: SamplePlan) -> bool:
    """Whether somebody said that the patient is lost to follow-up, or nothing at all was recorded for so long."""
    if plan.state is PlanState.ENDED:
        return plan.ended_by is FactKind.LOST_TO_FOLLOW_UP
    return plan.state is PlanState.NOT_FOLLOWED


def open_lost(
    loaded_series: LoadedSeries,
    replayed: Replay,
    now: dt.datetime,
    waits: Collection[str] = (),
    *,
    by_rules: bool = False,
) -> bool:
    if set(waits) - {AlertKind.LOST_TO_FOLLOW_UP}:
        return False
    last = last_record(loaded_series.series, replayed.assessed, now.date())
    followed = rules_of(loaded_series.patient.centre.protocol).schedule.value("followed_within_days", int)
    since = last + dt.timedelta(days=followed)
    return open_on_a_day(
        AlertKind.LOST_TO_FOLLOW_UP,
        loaded_series.patient,
        loaded_series.series.patient_key,
        last,
        DESIGN,
        now,
        since=since,
        by_rules=by_rules,
    )


def _values(
    loaded_series: LoadedSeries, replayed: Replay, plan: SamplePlan, rules: RuleSet, today: dt.date
) -> dict[str, object]:
    limit = dt.timedelta(days=rules.value("result_overdue_days", int) + 1)
    last = last_record(loaded_series.series, replayed.assessed, today)
    followed = dt.timedelta(days=rules.value("followed_within_days", int))
    return {
        "state": plan.state.value,
        "earliest_on": plan.slot.earliest if plan.slot else None,
        "due_on": plan.slot.due if plan.slot else None,
        "latest_on": plan.slot.latest if plan.slot else None,
        "result_late_on": plan.awaited[0] + limit if plan.awaited else None,
        "followed_until": last + followed if last != dt.date.min else None,
        "rule_id": rules.id,
        "text_code": plan.reason.text_code,
    }


def _failed_milestones(loaded_series: LoadedSeries, replayed: Replay, today: dt.date) -> list[Milestone]:
    """The failed milestones of a patient on treatment that rest on a sample of the last weeks, or on the last one.

    A milestone that was failed long ago and followed by other samples is over.
    """
    if not replayed.points:
        return []
    since = min(replayed.points[-1].on, today - dt.timedelta(days=HISTORY_AFTER_DAYS))
    treatment = treatment_on(loaded_series.series, replayed.points, today)
    if treatment is None or treatment.phase is not TreatmentPhase.ON:
        return []
    steps = milestones(
        loaded_series.series, today, rules_of(loaded_series.patient.centre.protocol).milestones, replayed.assessed
    )
    return [m for m in steps if m.is_failure and m.sample_on is not None and m.sample_on >= since]


def _open_milestone(loaded_series: LoadedSeries, failed: Milestone, now: dt.datetime, *, by_rules: bool) -> None:
    assert failed.sample_on is not None
    rule_id = failed.reasons[0].rule_id
    on = failed.sample_on
    open_on_a_day(
        AlertKind.MILESTONE_FAILED, loaded_series.patient, loaded_series.series.patient_key, on, rule_id, now, since=on,
        by_rules=by_rules,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a patient after a replay, from which each alert of the plan is answered."""

    plan: SamplePlan
    replay: Replay
    failed: Sequence[Milestone]
    today: dt.date


def _sample_is_late(known: _Known, alert: Alert) -> bool:
    late = known.plan.state in (PlanState.OVERDUE_SAMPLE, PlanState.NOT_FOLLOWED)
    return late and known.plan.slot is not None and known.plan.slot.due == alert.evidence_on


def _is_without_evidence(known: _Known, alert: Alert) -> bool:
    without = without_evidence(known.replay, known.plan)
    return without is not None and without[0] == alert.subject_key


def _is_without_mmr(known: _Known, alert: Alert) -> bool:
    mine = (e.episode for e in known.replay.episodes if e.subject_key == alert.subject_key)
    return any(is_without_mmr_after_restart(episode, known.today) for episode in mine)


def _is_lost_without_restart(known: _Known, alert: Alert) -> bool:
    mine = (e.episode for e in known.replay.episodes if e.subject_key == alert.subject_key)
    return any(episode.state == "loss_of_mmr" for episode in mine)


# For each kind that the plan closes: whether what it says is still so.
_IS_STILL_SO: Mapping[AlertKind, Callable[[_Known, Alert], bool]] = {
    AlertKind.OVERDUE_SAMPLE: _sample_is_late,
    AlertKind.OVERDUE_RESULT: lambda known, alert: alert.evidence_on in known.plan.results_overdue,
    AlertKind.NO_EVIDENCE: _is_without_evidence,
    AlertKind.LOST_TO_FOLLOW_UP: lambda known, _alert: is_lost(known.plan),
    AlertKind.MILESTONE_FAILED: lambda known, _alert: bool(known.failed),
    AlertKind.NO_MMR_AFTER_RESTART: _is_without_mmr,
    AlertKind.NO_RESTART: _is_lost_without_restart,
    AlertKind.LOSS_IN_PREGNANCY: _is_lost_without_restart,
}


def _close_answered(known: Mapping[int, _Known], now: dt.datetime) -> None:
    """Close what has been answered: by a sample, a result, a restart, a response, or an end of the plan."""
    worklists: set[int] = set()
    for alert in Alert.objects.live().filter(patient__in=list(known), kind__in=BY_THE_PLAN):
        assert alert.patient_id is not None
        if _IS_STILL_SO[AlertKind(alert.kind)](known[alert.patient_id], alert):
            continue
        alert.state, alert.closed_at, alert.next_action_at = AlertState.CLOSED, now, None
        alert.closing_reason = ClosingReason.ANSWERED.value
        alert.save(update_fields=["state", "closed_at", "next_action_at", "closing_reason"])
        worklists |= {alert.hand_over_id} if alert.hand_over_id else set()
    close_worked_off(worklists, now=now)


def late_plans(today: dt.date) -> QuerySet[MonitoringPlan]:
    """Plans of followed patients whose sample or result may be late today."""
    late = Q(latest_on__lt=today) | Q(result_late_on__lte=today)
    return MonitoringPlan.objects.filter(late, followed_until__gte=today, due_on__isnull=False)
