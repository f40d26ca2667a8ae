"""What rules would have told of a history: which alerts on which day, and how many samples the schedule asks for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.series import Series
from monitoring.domain.course.treatment import TreatmentPhase, known_on, treatment_on
from monitoring.domain.following.milestones import last_failure, milestones
from monitoring.domain.following.schedule import next_sample_due
from monitoring.domain.replay import replay
from monitoring.domain.rules.rule_sets import RuleSet

Told = tuple[AlertKind, str]  # the kind, and what tells one alert of a patient from another


@dataclass(frozen=True, slots=True)
class Walked:
    """The first day of each alert, and the number of samples that were asked for."""

    alerts: Mapping[Told, date]
    samples: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sets of rules on one history: alerts gained, lost, and moved by so many days (earlier is less than 0)."""

    gained: tuple[tuple[Told, date], ...]
    lost: tuple[tuple[Told, date], ...]
    moved: tuple[tuple[Told, int], ...]
    extra_samples: int


def walk(series: Series, schedule: RuleSet, steps: RuleSet, until: date) -> Walked:
    """Walk a history day by day as it became known, up to a day.

    A day is looked at when something was collected, observed, started or stopped; between two such days nothing new is
    known, and only time passes: the next sample becomes overdue. Samples are asked for as if each were taken on its
    day with the same result, until the next thing is known.
    """
    alerts: dict[Told, date] = {}
    samples = 0
    days = [day for day in _days(series) if day <= until]
    for day, following in pairwise([*days, until + dt.timedelta(days=1)]):
        seen = known_on(series, day)
        replayed = replay(seen)
        for intention in replayed.intentions:
            if not intention.closing:
                alerts.setdefault((intention.kind, intention.subject_key), day)
        found = milestones(seen, day, steps, replayed.assessed)
        treatment = treatment_on(seen, replayed.points, day)
        if treatment is not None and treatment.phase is TreatmentPhase.ON:
            for failed in found:
                if failed.is_failure and failed.sample_on is not None:
                    alerts.setdefault((AlertKind.MILESTONE_FAILED, failed.sample_on.isoformat()), day)
        plan = next_sample_due(seen, day, schedule, replayed.assessed, failed_on=last_failure(found))
        if plan.slot is None:
            continue
        since = plan.counted_from or day
        overdue_on = max(day, plan.slot.latest + dt.timedelta(days=1))
        if overdue_on < following:
            alerts.setdefault((AlertKind.OVERDUE_SAMPLE, since.isoformat()), overdue_on)
        every = max((plan.slot.due - since).days, 1)
        samples += (following - since).days // every - (day - since).days // every
    return Walked(alerts, samples)


def _days(series: Series) -> list[date]:
    """The days on which something became known of a patient."""

    def each() -> Iterator[date]:
        yield from (result.collected_on for result in series.results)
        yield from (fact.observed_on for fact in series.facts)
        for course in series.courses:
            yield course.started_on
            if course.stopped_on is not None:
                yield course.stopped_on

    return sorted(set(each()))


def difference(old: Walked, new: Walked) -> Difference:
    """What other rules would have told otherwise."""
    moved = ((key, (new.alerts[key] - on).days) for key, on in old.alerts.items() if key in new.alerts)
    return Difference(
        gained=tuple((key, on) for key, on in new.alerts.items() if key not in old.alerts),
        lost=tuple((key, on) for key, on in old.alerts.items() if key not in new.alerts),
        moved=tuple((key, days) for key, days in moved if days),
        extra_samples=new.samples - old.samples,
    )
