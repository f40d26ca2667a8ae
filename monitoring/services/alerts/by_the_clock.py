"""Alerts that a day brings: an overdue sample or result, nobody seen, no restart after a loss, no MMR after a restart.

Each patient is looked at once a day; what is recorded later closes the alert in the classifying transaction
(``plans``).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.following.findings import NO_MMR_AFTER_RESTART_MONTHS
from monitoring.domain.following.findings import RULE_ID as FINDINGS
from monitoring.domain.following.schedule import PlanState, SamplePlan
from monitoring.domain.replay import replay
from monitoring.domain.vocabulary.dates import add_months
from monitoring.models import Alert, MonitoringPlan, Observation, Patient, SetAsideKind, TfrEpisode
from monitoring.selectors.series import LoadedSeries, load_series
from monitoring.services.alerts.lifecycle import HISTORY_AFTER_DAYS, is_history, open_on_a_day
from monitoring.services.alerts.plans import (
    is_lost,
    late_plans,
    open_lost,
    open_without_evidence,
    plan_of,
    without_evidence,
)
from monitoring.services.foundation import set_aside

CHECKED_AT_ONCE = 200
NO_RESTART_AFTER_DAYS = 28


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
        loaded_series = loaded[row.patient_id]
        replayed = replay(loaded_series.series)
        plan = plan_of(loaded_series, now.date(), replayed.assessed)
        waits = waiting[row.patient_id]
        if is_lost(plan):
            opened += open_lost(loaded_series, replayed, now, waits, by_rules=row.by_rules)
            continue
        opened += open_without_evidence(loaded_series.patient, replayed, plan, now, by_rules=row.by_rules)
        if without_evidence(replayed, plan) is None:
            opened += _open_overdue(loaded_series, plan, now, waits, by_rules=row.by_rules)
    MonitoringPlan.objects.filter(pk__in=[row.pk for row in rows]).update(checked_on=now.date())
    return opened


def _open_overdue(
    loaded_series: LoadedSeries, plan: SamplePlan, now: dt.datetime, waits: Collection[str], *, by_rules: bool
) -> int:
    opened = 0
    for kind, on in _overdue(plan):
        if is_history(on, now) and set(waits) - {kind}:
            continue
        opened += open_on_a_day(
            kind, loaded_series.patient, loaded_series.series.patient_key, on, plan.reason.rule_id, now, since=on,
            by_rules=by_rules,
        )  # fmt: skip
    return opened


def _waiting_in_worklists(patient_ids: Collection[int]) -> dict[int, set[str]]:
    """The kinds of the rows of these patients that nobody has signed off: whoever does looks at the samples too."""
    rows = Alert.objects.live().filter(patient__in=patient_ids, hand_over__isnull=False, acted_at__isnull=True)
    kinds: dict[int, set[str]] = defaultdict(set)
    for alert in rows.only("patient_id", "kind"):
        kinds[alert.patient_id or 0].add(alert.kind)
    return kinds


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
        opened += open_on_a_day(kind, episode.patient, episode.subject_key, episode.loss_on, episode.rule_version, now)
    return opened


def raise_no_mmr_after_restart(*, now: dt.datetime, limit: int = CHECKED_AT_ONCE) -> int:
    """Open an alert where MMR is not back three months after a restart for its loss (NCCN: mutation test,
    adherence).
    """
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
        opened += open_on_a_day(kind, episode.patient, episode.subject_key, on, FINDINGS, now, since=since)
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
