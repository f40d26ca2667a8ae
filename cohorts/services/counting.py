"""Counting who would be a member by a definition that is being written. Loads pandas: for the worker that counts."""

from __future__ import annotations

from typing import Any

from cohorts.domain.definition_file import parse_definition
from cohorts.domain.figures.whole import flow
from cohorts.domain.members import cohort_of
from cohorts.models import DefinitionCount
from cohorts.services.kept_readings import KeptReadings, build_some
from monitoring import clock
from monitoring.services.classification.readings import keep, progress
from monitoring.services.foundation.set_aside import is_database_lost

BUILD_SECONDS = 5


def count(pk: int) -> bool:
    """Count once; returns False while the readings of new rules are still being built, after writing how far they are.

    Nobody is classified first: the count is of what is classified now, and the night's figures are the ones that count.
    """
    asked = DefinitionCount.objects.filter(pk=pk, answered_at__isnull=True).first()
    if asked is None:
        return True
    try:
        return _count(asked)
    except Exception as problem:
        if not is_database_lost(problem):
            _answer(pk, {"failed": True}, is_final=True)  # and the task fails, with its traceback in the log
        raise


def _count(asked: DefinitionCount) -> bool:
    pk = asked.pk
    definition = parse_definition(asked.definition)
    keep(definition.event_rule, definition.dmr)
    building = progress(definition.event_rule, definition.dmr)
    if building is not None and build_some(seconds=BUILD_SECONDS):
        found = progress(definition.event_rule, definition.dmr)
        _answer(pk, {"building": found and {"done": found[0], "total": found[1]}}, is_final=False)
        return False
    table, passed_over = cohort_of(KeptReadings().of(definition), definition)
    members = table.members
    answer = {
        "members": len(members),
        "events": int(members["event"].sum()),
        "flow": flow(table, definition, passed_over),
        "groups": {
            factor: [
                {"label": label, "members": int((grouping.codes == code).sum())}
                for code, label in enumerate(grouping.labels)
                if (grouping.codes == code).any()
            ]
            for factor, grouping in members.groupings.items()
        },
    }
    _answer(pk, answer, is_final=True)
    return True


def _answer(pk: int, answer: dict[str, Any], *, is_final: bool) -> None:
    DefinitionCount.objects.filter(pk=pk).update(answer=answer, answered_at=clock.now() if is_final else None)
