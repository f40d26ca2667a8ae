"""The next sample of each patient: planned with every replay, and told when it is overdue.

What depends on the day (an overdue sample or result, no restart after a loss) is raised by the clock, looked at once a
day for each patient; what a replay answers is closed in the classifying transaction.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.off_treatment import RULE_ID as STATE
from monitoring.domain.course.off_treatment import UNEVALUABLE_IN_A_ROW
from monitoring.domain.course.series import Assessed, FactKind, assess
from monitoring.domain.course.treatment import Phase, treatment_on
from monitoring.domain.following.findings import NO_MMR_AFTER_RESTART_MONTHS, is_without_mmr_after_restart
from monitoring.domain.following.findings import RULE_ID as FINDINGS
from monitoring.domain.following.milestones import Milestone, last_failure, milestones
from monitoring.domain.following.schedule import PlanState, SamplePlan, last_record, next_sample_due
from monitoring.domain.replay import Replay, replay
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.vocabulary.dates import add_months
from monitoring.models import Alert, MonitoringPlan, Observation, Patient, SetAsideKind, TfrEpisode
from monitoring.models.alerts import AlertState, ClosingReason
from monitoring.selectors.clinical import rules_of
from monitoring.selectors.series import LoadedSeries, load_series
from monitoring.services.alerts.escalation import close_worked_off
from monitoring.services.alerts.lifecycle import BY_THE_PLAN, HISTORY_AFTER_DAYS, open_by_the_clock
from monitoring.services.foundation import set_aside

CHECKED_AT_ONCE = 200
OVERDUE = (AlertKind.OVERDUE_SAMPLE, AlertKind.OVERDUE_RESULT)
NO_RESTART_AFTER_DAYS = 28
DESIGN = "plan.1"
_FIELDS = ("state", "earliest_on", "due_on", "latest_on", "result_late_on", "followed_until", "rule_id", "text_code")


def store_plans(loaded: Mapping[int, LoadedSeries], replays: Mapping[int, Replay], *, now: dt.datetime) -> None:
    """Plan the next sample of these patients. Must run inside the classifying transaction."""
    today = now.date()
    standing = {plan.patient_id: plan for plan in MonitoringPlan.objects.filter(patient__in=list(loaded))}
    fresh: list[MonitoringPlan] = []
    changed: list[MonitoringPlan] = []
    plans: dict[int, SamplePlan] = {}
    for pk, one in loaded.items():
        rules = rules_of(one.patient.centre.protocol).schedule
        plans[pk] = _plan_of(one, today, replays[pk].assessed)
        wanted = _values(one, replays[pk], plans[pk], rules, today)
        row = standing.get(pk)
        if row is None:
            fresh.append(MonitoringPlan(patient_id=pk, slot_known_on=today, **wanted))
        elif any(getattr(row, name) != value for name, value in wanted.items()):
            if row.due_on != wanted["due_on"]:
                row.slot_known_on, row.checked_on = today, None
            for name, value in wanted.items():
                setattr(row, name, value)
            changed.append(row)
    MonitoringPlan.objects.bulk_create(fresh, ignore_conflicts=True)
    MonitoringPlan.objects.bulk_update(changed, [*_FIELDS, "slot_known_on", "checked_on"], batch_size=500)
    failed = {pk: _failed_milestones(one, replays[pk], today) for pk, one in loaded.items()}
    lost = {pk: _is_lost(plans[pk]) for pk in loaded}
    _close_answered(plans, replays, failed, lost, now)
    for pk, found in failed.items():
        if found:
            _open_milestone(loaded[pk], found[0], now)
        _open_without_evidence(loaded[pk].patient, replays[pk], plans[pk], now)
        if plans[pk].ended_by is FactKind.LOST_TO_FOLLOW_UP:
            _open_lost(loaded[pk], replays[pk], now)


def _plan_of(one: LoadedSeries, today: dt.date, assessed: Sequence[Assessed] | None = None) -> SamplePlan:
    rules = rules_of(one.patient.centre.protocol)
    assessed = assess(one.series) if assessed is None else assessed
    failed_on = last_failure(milestones(one.series, today, rules.milestones, assessed))
    return next_sample_due(one.series, today, rules.schedule, assessed, failed_on=failed_on)


def _without_evidence(said: Replay, plan: SamplePlan) -> tuple[str, dt.date] | None:
    """The time off treatment of which nothing evaluable is known any more, and since when; None where something is.

    Two samples in a row proved nothing, or the next one is overdue although one came: a sample that simply does not
    come is told as overdue.
    """
    if not said.episodes or plan.state in (PlanState.ENDED, PlanState.NOT_FOLLOWED, PlanState.NO_PLAN):
        return None
    last = said.episodes[-1]
    rests_on = last.evidence
    if last.episode.state != "off_treatment" or rests_on.doubt_on is not None or rests_on.raw_on is not None:
        return None
    enough = 1 if plan.state is PlanState.OVERDUE_SAMPLE else UNEVALUABLE_IN_A_ROW
    if rests_on.unevaluable < enough:
        return None
    return last.subject_key, rests_on.proof_on or last.episode.stopped_on


def _open_without_evidence(patient: Patient, said: Replay, plan: SamplePlan, now: dt.datetime) -> bool:
    found = _without_evidence(said, plan)
    if found is None:
        return False
    since = plan.slot.latest if plan.slot else now.date()
    return _open(AlertKind.NO_EVIDENCE, patient, found[0], found[1], STATE, now, since=since)


def _is_lost(plan: SamplePlan) -> bool:
    """Whether somebody said that the patient is lost to follow-up, or nothing at all was recorded for so long."""
    if plan.state is PlanState.ENDED:
        return plan.ended_by is FactKind.LOST_TO_FOLLOW_UP
    return plan.state is PlanState.NOT_FOLLOWED


def _open_lost(one: LoadedSeries, said: Replay, now: dt.datetime, waits: Collection[str] = ()) -> bool:
    if set(waits) - {AlertKind.LOST_TO_FOLLOW_UP}:
        return False
    last = last_record(one.series, said.assessed, now.date())
    followed = rules_of(one.patient.centre.protocol).schedule.value("followed_within_days", int)
    since = last + dt.timedelta(days=followed)
    return _open(AlertKind.LOST_TO_FOLLOW_UP, one.patient, one.series.patient_key, last, DESIGN, now, since=since)


def _values(one: LoadedSeries, said: Replay, plan: SamplePlan, rules: RuleSet, today: dt.date) -> dict[str, object]:
    limit = dt.timedelta(days=rules.value("result_overdue_days", int) + 1)
    last = last_record(one.series, said.assessed, today)
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


def _failed_milestones(one: LoadedSeries, said: Replay, today: dt.date) -> list[Milestone]:
    """The failed milestones of a patient on treatment that rest on a sample of the last weeks, or on the last one.

    A milestone that was failed long ago and followed by other samples is over.
    """
    if not said.points:
        return []
    since = min(said.points[-1].on, today - dt.timedelta(days=HISTORY_AFTER_DAYS))
    treatment = treatment_on(one.series, said.points, today)
    if treatment is None or treatment.phase is not Phase.ON:
        return []
    found = milestones(one.series, today, rules_of(one.patient.centre.protocol).milestones, said.assessed)
    return [m for m in found if m.is_failure and m.sample_on is not None and m.sample_on >= since]


def _open_milestone(one: LoadedSeries, failed: Milestone, now: dt.datetime) -> None:
    assert failed.sample_on is not None
    rule_id = failed.reasons[0].rule_id
    on = failed.sample_on
    _open(AlertKind.MILESTONE_FAILED, one.patient, one.series.patient_key, on, rule_id, now, since=on)


def _close_answered(
    plans: Mapping[int, SamplePlan],
    replays: Mapping[int, Replay],
    failed: Mapping[int, Sequence[Milestone]],
    lost: Mapping[int, bool],
    now: dt.datetime,
) -> None:
    """Close what has been answered: by a sample, a result, a restart, a response, or an end of the plan."""
    worklists: set[int] = set()
    for alert in Alert.objects.live().filter(patient__in=list(plans), kind__in=BY_THE_PLAN):
        assert alert.patient_id is not None
        plan, said = plans[alert.patient_id], replays[alert.patient_id]
        if alert.kind == AlertKind.OVERDUE_SAMPLE:
            late = plan.state in (PlanState.OVERDUE_SAMPLE, PlanState.NOT_FOLLOWED)
            still = late and plan.slot is not None and plan.slot.due == alert.evidence_on
        elif alert.kind == AlertKind.OVERDUE_RESULT:
            still = alert.evidence_on in plan.results_overdue
        elif alert.kind == AlertKind.NO_EVIDENCE:
            found = _without_evidence(said, plan)
            still = found is not None and found[0] == alert.subject_key
        elif alert.kind == AlertKind.LOST_TO_FOLLOW_UP:
            still = lost[alert.patient_id]
        elif alert.kind == AlertKind.MILESTONE_FAILED:
            still = bool(failed[alert.patient_id])
        elif alert.kind == AlertKind.NO_MMR_AFTER_RESTART:
            mine = (e.episode for e in said.episodes if e.subject_key == alert.subject_key)
            still = any(is_without_mmr_after_restart(episode, now.date()) for episode in mine)
        else:
            still = any(e.subject_key == alert.subject_key and e.episode.state == "loss_of_mmr" for e in said.episodes)
        if not still:
            alert.state, alert.closed_at, alert.next_action_at = AlertState.CLOSED, now, None
            alert.closing_reason = ClosingReason.ANSWERED.value
            alert.save(update_fields=["state", "closed_at", "next_action_at", "closing_reason"])
            worklists |= {alert.hand_over_id} if alert.hand_over_id else set()
    close_worked_off(worklists, now=now)


# --- by the clock ------------------------------------------------------------------------------------------------


def late_plans(today: dt.date) -> QuerySet[MonitoringPlan]:
    """Plans of followed patients whose sample or result may be late today."""
    late = Q(latest_on__lt=today) | Q(result_late_on__lte=today)
    return MonitoringPlan.objects.filter(late, followed_until__gte=today, due_on__isnull=False)


def raise_overdue(*, now: dt.datetime, limit: int = CHECKED_AT_ONCE) -> int:
    """Open alerts for samples and results that are overdue; each plan is looked at once a day.

    What was overdue when first known is told from the next day on, the long overdue as a row of the worklist.
    """
    today = now.date()
    watched = Q(latest_on__gte=F("slot_known_on")) | Q(result_late_on__gte=F("slot_known_on"))
    plans = late_plans(today).filter(watched | Q(slot_known_on__lt=today), _unchecked(today))
    return set_aside.work_off(
        SetAsideKind.OVERDUE, plans.order_by("pk"), lambda pks: _check_overdue(pks, now),
        key="patient__public_id", centre="patient__centre_id", limit=limit, now=now,
    )  # fmt: skip


def _unchecked(today: dt.date) -> Q:
    return Q(checked_on__isnull=True) | Q(checked_on__lt=today)


def raise_lost(*, now: dt.datetime, limit: int = CHECKED_AT_ONCE) -> int:
    """Open an alert for each patient with a plan of whom nothing was recorded for as long as the schedule says."""
    told = Alert.objects.filter(
        kind=AlertKind.LOST_TO_FOLLOW_UP, patient=OuterRef("patient"), opened_at__date__gt=OuterRef("followed_until")
    )
    today = now.date()
    plans = MonitoringPlan.objects.filter(
        _unchecked(today), slot_known_on__lt=today, followed_until__lt=today, due_on__isnull=False
    ).exclude(Exists(told))
    return set_aside.work_off(
        SetAsideKind.OVERDUE, plans.order_by("pk"), lambda pks: _check_overdue(pks, now),
        key="patient__public_id", centre="patient__centre_id", limit=limit, now=now,
    )  # fmt: skip


def _check_overdue(plan_ids: Sequence[int], now: dt.datetime) -> int:
    rows = list(MonitoringPlan.objects.filter(pk__in=plan_ids).order_by("pk"))
    opened = 0
    loaded = load_series([row.patient_id for row in rows])
    waiting = _waiting_in_worklists(list(loaded))
    for row in rows:
        one = loaded[row.patient_id]
        said = replay(one.series)
        plan = _plan_of(one, now.date(), said.assessed)
        waits = waiting[row.patient_id]
        if _is_lost(plan):
            opened += _open_lost(one, said, now, waits)
            continue
        opened += _open_without_evidence(one.patient, said, plan, now)
        if _without_evidence(said, plan) is None:
            opened += _open_overdue(one, plan, now, waits)
    MonitoringPlan.objects.filter(pk__in=[row.pk for row in rows]).update(checked_on=now.date())
    return opened


def _open_overdue(one: LoadedSeries, plan: SamplePlan, now: dt.datetime, waits: Collection[str]) -> int:
    opened = 0
    for kind, on in _overdue(plan):
        if _is_history(on, now) and set(waits) - {kind}:
            continue
        opened += _open(kind, one.patient, one.series.patient_key, on, plan.reason.rule_id, now, since=on)
    return opened


def _waiting_in_worklists(patient_ids: Collection[int]) -> dict[int, set[str]]:
    """The kinds of the rows of these patients that nobody has signed off: whoever does looks at the samples too."""
    rows = Alert.objects.live().filter(patient__in=patient_ids, hand_over__isnull=False, acted_at__isnull=True)
    found: dict[int, set[str]] = defaultdict(set)
    for alert in rows.only("patient_id", "kind"):
        found[alert.patient_id or 0].add(alert.kind)
    return found


def _overdue(plan: SamplePlan) -> Iterable[tuple[AlertKind, dt.date]]:
    if plan.state is PlanState.OVERDUE_SAMPLE and plan.slot is not None:
        yield AlertKind.OVERDUE_SAMPLE, plan.slot.due
    if plan.results_overdue:
        yield AlertKind.OVERDUE_RESULT, plan.results_overdue[0]


def raise_no_restart(*, now: dt.datetime, limit: int = CHECKED_AT_ONCE) -> int:
    """Open an alert where no restart is on record 28 days after loss of MMR (ELN 2020: restart within 4 weeks).

    In pregnancy it asks for a specialist's review instead. Losses that were history when first known stay in their
    hand-over.
    """
    latest = now.date() - dt.timedelta(days=NO_RESTART_AFTER_DAYS)
    earliest = latest - dt.timedelta(days=HISTORY_AFTER_DAYS)
    kinds = [AlertKind.NO_RESTART, AlertKind.LOSS_IN_PREGNANCY]
    known = Alert.objects.filter(kind__in=kinds).values("subject_key")
    episodes = (
        TfrEpisode.objects.filter(state="loss_of_mmr", loss_on__gte=earliest, loss_on__lte=latest)
        .exclude(subject_key__in=known)
        .order_by("pk")
    )
    return _work_off_episodes(SetAsideKind.NO_RESTART, episodes, _open_no_restart, limit, now)


def _open_no_restart(episode_ids: Sequence[int], now: dt.datetime) -> int:
    opened = 0
    for episode in TfrEpisode.objects.filter(pk__in=episode_ids).select_related("patient__centre").order_by("pk"):
        assert episode.loss_on is not None
        kind = AlertKind.LOSS_IN_PREGNANCY if is_pregnant(episode.patient, now.date()) else AlertKind.NO_RESTART
        opened += _open(kind, episode.patient, episode.subject_key, episode.loss_on, episode.rule_version, now)
    return opened


def raise_no_mmr_after_restart(*, now: dt.datetime, limit: int = CHECKED_AT_ONCE) -> int:
    """Open an alert where MMR is not back three months after a restart for its loss (NCCN: mutation test, adherence)."""
    latest = add_months(now.date(), -NO_MMR_AFTER_RESTART_MONTHS)
    known = Alert.objects.filter(kind=AlertKind.NO_MMR_AFTER_RESTART).values("subject_key")
    episodes = (
        TfrEpisode.objects.filter(
            state="restarted",
            loss_on__isnull=False,
            mmr_regained_on__isnull=True,
            restarted_on__lte=latest,
        )
        .exclude(subject_key__in=known)
        .order_by("pk")
    )
    return _work_off_episodes(SetAsideKind.NO_MMR_AFTER_RESTART, episodes, _open_no_mmr, limit, now)


def _open_no_mmr(episode_ids: Sequence[int], now: dt.datetime) -> int:
    opened = 0
    for episode in TfrEpisode.objects.filter(pk__in=episode_ids).select_related("patient__centre").order_by("pk"):
        assert episode.restarted_on is not None
        kind, on = AlertKind.NO_MMR_AFTER_RESTART, episode.restarted_on
        since = add_months(on, NO_MMR_AFTER_RESTART_MONTHS)
        opened += _open(kind, episode.patient, episode.subject_key, on, FINDINGS, now, since=since)
    return opened


def _work_off_episodes(
    kind: SetAsideKind,
    episodes: QuerySet[TfrEpisode],
    work: Callable[[Sequence[int], dt.datetime], int],
    limit: int,
    now: dt.datetime,
) -> int:
    return set_aside.work_off(
        kind, episodes, lambda pks: work(pks, now), key="patient__public_id", centre="patient__centre_id", limit=limit,
        now=now,
    )  # fmt: skip


def is_pregnant(patient: Patient, on: dt.date) -> bool:
    """Whether a pregnancy is on record that has not ended."""
    facts = Observation.objects.filter(patient=patient, kind__in=["pregnancy", "pregnancy_end"], observed_on__lte=on)
    latest = facts.order_by("-observed_on", "-pk").first()
    return latest is not None and latest.kind == "pregnancy"


def _open(
    kind: AlertKind,
    patient: Patient,
    subject_key: str,
    on: dt.date,
    rule_version: str,
    now: dt.datetime,
    *,
    since: dt.date | None = None,
) -> bool:
    """Open an alert on the evidence of a day; what has been so ``since`` long before we knew it goes to the worklist."""
    return open_by_the_clock(
        kind,
        patient=patient,
        subject_key=subject_key,
        evidence_key=f"{subject_key}/{on.isoformat()}",
        evidence_on=on,
        rule_version=rule_version,
        now=now,
        is_history=since is not None and _is_history(since, now),
    )


def _is_history(since: dt.date, now: dt.datetime) -> bool:
    return (now.date() - since).days > HISTORY_AFTER_DAYS
