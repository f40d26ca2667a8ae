"""How changed time points of some patients would change the cohorts: members and events, before and after."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cohorts.domain.definition import Definition
from cohorts.domain.definition_file import parse_definition
from cohorts.domain.members import cohort_of
from cohorts.domain.readings import read_histories
from cohorts.models import Cohort
from monitoring.domain.course.series import TimePoint
from monitoring.domain.following.reading import PatientHistory
from monitoring.selectors.histories import load_histories_of


@dataclass(frozen=True, slots=True)
class CohortChange:
    """Members and events of a cohort among these patients, before and after. The curve changes with the next night."""

    cohort: Cohort
    members: tuple[int, int]
    events: tuple[int, int]


def cohort_changes(points: Mapping[int, Sequence[TimePoint]], as_of: dt.date) -> list[CohortChange]:
    """The active cohorts whose members or events would change if these were the patients' time points."""
    before = load_histories_of(sorted(points))
    after = [dataclasses.replace(history, points=tuple(points[pk])) for pk, history in before.items()]
    changes = []
    for cohort in Cohort.objects.filter(is_active=True).order_by("slug"):
        definition = parse_definition(cohort.definition)
        old, new = _counts(list(before.values()), definition, as_of), _counts(after, definition, as_of)
        if old != new:
            changes.append(CohortChange(cohort, (old[0], new[0]), (old[1], new[1])))
    return changes


def _counts(histories: Sequence[PatientHistory], definition: Definition, as_of: dt.date) -> tuple[int, int]:
    known = (history.until(as_of) for history in histories)
    table, _passed_over = cohort_of(read_histories(known, definition.event_rule, definition.dmr), definition)
    members = table.members
    return len(members), int(members["event"].sum())
