"""A change of rules, thresholds or schedules run against history: alerts gained, lost, moved, and samples more.

A worker walks the patients in batches; each batch is a transaction that also says how far it is, so a killed worker's
successor goes on from there. Nothing of it changes a class, an alert or a plan.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core import serializers
from django.db import transaction
from django.db.models import Q, QuerySet

from monitoring import clock
from monitoring.domain.backtest import Difference, difference, walk
from monitoring.models import BackTest, Centre, Laboratory, LaboratorySetting, Patient, Protocol
from monitoring.models.protocols import KIND_OF
from monitoring.selectors.clinical import Rules, rules_of
from monitoring.selectors.series import LoadedSeries, load_profile_with, load_series
from monitoring.selectors.what_if import patients_of_setting
from monitoring.services.foundation import set_aside
from tasks import hints

logger = logging.getLogger(__name__)

BATCH_PATIENTS = 50
LEASE_SECONDS = 120
OWED_AFTER = dt.timedelta(seconds=30)
KEPT_FOR = dt.timedelta(days=30)
MOST_SHOWN = 50


def ask_protocol(protocol: Protocol, named: Mapping[str, str], *, by: User) -> BackTest:
    """Run other rule sets of a protocol against the history of everybody who follows it."""
    change = {"protocol": protocol.pk, "named": {name: named[name] for name in KIND_OF}}
    return _ask(protocol.title, change, by)


def ask_following(centre: Centre, protocol: Protocol | None, *, by: User) -> BackTest:
    """Run a protocol, or with None the defaults, against the history of a centre."""
    title = f"{centre.code}: {protocol.title if protocol else '–'}"
    return _ask(title, {"centre": centre.pk, "follows": protocol.pk if protocol else None}, by)


def ask_setting(row: LaboratorySetting, title: str, *, by: User) -> BackTest:
    """Run a setting of a laboratory, as it would be stored, against the history of its patients."""
    return _ask(title, {"setting": serializers.serialize("json", [row])}, by)


def _ask(title: str, change: dict[str, Any], by: User) -> BackTest:
    with transaction.atomic():
        asked = BackTest.objects.create(title=title[:200], change=change, asked_by=by, asked_at=clock.now())
        asked.refresh_from_db(fields=["public_id"])
        hints.after_commit(hints.RUN_BACKTEST, asked.pk)
    return asked


def backtest_of(public_id: UUID, user: User) -> BackTest | None:
    """The back-test that this person asked for; None for anybody else."""
    return BackTest.objects.filter(public_id=public_id, asked_by=user).first()


def owed_backtests(*, now: dt.datetime) -> list[int]:
    """Those that nobody is running: their hint was lost, or their worker was killed."""
    free = Q(lease_until__isnull=True, asked_at__lt=now - OWED_AFTER) | Q(lease_until__lt=now)
    return list(
        BackTest.objects.filter(free, finished_at__isnull=True).order_by("asked_at").values_list("pk", flat=True)[:5]
    )


def forget_old_backtests(*, now: dt.datetime) -> None:
    """Delete back-tests a month after they were asked for."""
    BackTest.objects.filter(asked_at__lt=now - KEPT_FOR).delete()


# --- running -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """Whom a change touches, and both histories of some of them."""

    patients: QuerySet[Patient]
    now: Callable[[LoadedSeries], Rules]
    then: Callable[[LoadedSeries], Rules]
    load_then: Callable[[list[int]], dict[int, LoadedSeries]] = field(default=load_series)


def run_backtest(pk: int, *, seconds: float) -> bool:
    """Look at more patients for so long; returns whether some are left. What cannot be run says so and ends."""
    until = time.monotonic() + seconds
    while True:
        try:
            more = _run_batch(pk)
        except Exception as problem:  # said on its page and in the log; trying again would meet the same
            if set_aside.is_database_lost(problem):
                raise
            logger.exception("back-test %s failed", pk)
            words = set_aside.describe(problem)[:300]
            BackTest.objects.filter(pk=pk).update(failed=words, finished_at=clock.now())
            return False
        if not more or time.monotonic() > until:
            break
    BackTest.objects.filter(pk=pk).update(lease_until=None)
    return more


def _run_batch(pk: int) -> bool:
    now = clock.now()
    with transaction.atomic():
        asked = BackTest.objects.select_for_update(skip_locked=True).filter(pk=pk, finished_at__isnull=True).first()
        if asked is None:
            return False
        case = _case_of(asked.change)
        if not asked.answer:
            asked.patients = case.patients.count()
        ids = list(
            case.patients.filter(pk__gt=asked.up_to).order_by("pk").values_list("pk", flat=True)[:BATCH_PATIENTS]
        )
        found = _Sums(asked.answer or {"centres": {}, "shown": [], "looked_at": 0})
        loaded, then = load_series(ids), case.load_then(ids)
        for patient_id, one in loaded.items():
            found.take(one, _difference(one, then[patient_id], case, now.date()))
        asked.answer, asked.up_to = found.answer, ids[-1] if ids else asked.up_to
        asked.lease_until = now + dt.timedelta(seconds=LEASE_SECONDS)
        if len(ids) < BATCH_PATIENTS:
            asked.finished_at = clock.now()
        asked.save(update_fields=["answer", "up_to", "patients", "lease_until", "finished_at"])
    return asked.finished_at is None


def _difference(one: LoadedSeries, other: LoadedSeries, case: _Case, until: dt.date) -> Difference:
    old, new = case.now(one), case.then(one)
    return difference(
        walk(one.series, old.schedule, old.milestones, until),
        walk(other.series, new.schedule, new.milestones, until),
    )  # fmt: skip


def _case_of(change: Mapping[str, Any]) -> _Case:
    def followed(one: LoadedSeries) -> Rules:
        return rules_of(one.patient.centre.protocol)

    if "protocol" in change:
        wanted = rules_of(Protocol(**change["named"]))
        theirs = Patient.objects.filter(centre__protocol=change["protocol"])
        return _Case(theirs, followed, lambda _one: wanted)
    if "centre" in change:
        follows = change["follows"]
        wanted = rules_of(Protocol.objects.get(pk=follows) if follows else None)
        return _Case(Patient.objects.filter(centre=change["centre"]), followed, lambda _one: wanted)
    (read,) = serializers.deserialize("json", change["setting"])
    row: Any = read.object
    laboratory = row.pk if isinstance(row, Laboratory) else row.laboratory_id
    profiles = {laboratory: load_profile_with(row)}
    patients = Patient.objects.filter(pk__in=patients_of_setting(row))
    return _Case(patients, followed, followed, lambda ids: load_series(ids, profiles=profiles))


class _Sums:
    """The sums per centre, and the first patients with what would be otherwise."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def take(self, one: LoadedSeries, found: Difference) -> None:
        self.answer["looked_at"] += 1
        code = one.patient.centre.code
        centre = self.answer["centres"].setdefault(
            code, {"patients": 0, "gained": {}, "lost": {}, "earlier": [], "later": [], "extra_samples": 0}
        )  # fmt: skip
        centre["patients"] += 1
        centre["extra_samples"] += found.extra_samples
        for name, told in (("gained", found.gained), ("lost", found.lost)):
            centre[name] = dict(Counter(centre[name]) + Counter(kind.value for (kind, _which), _on in told))
        centre["earlier"] += [-days for _told, days in found.moved if days < 0]
        centre["later"] += [days for _told, days in found.moved if days > 0]
        if not (found.gained or found.lost or found.moved) or len(self.answer["shown"]) >= MOST_SHOWN:
            return
        self.answer["shown"].append(
            {
                "patient": str(one.patient.public_id), "patient_id": one.patient.patient_id,
                "gained": [[kind.value, on.isoformat()] for (kind, _which), on in found.gained],
                "lost": [[kind.value, on.isoformat()] for (kind, _which), on in found.lost],
                "moved": [[kind.value, days] for (kind, _which), days in found.moved],
            }
        )  # fmt: skip
