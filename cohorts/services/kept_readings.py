"""The readings that cohorts choose from: built when a rule is new, read once for all cohorts of a run."""

from __future__ import annotations

import logging
import time

from django.db import DatabaseError, transaction

from cohorts.domain.definition import Definition
from cohorts.domain.definition_file import DefinitionProblem, parse_definition
from cohorts.domain.readings import Columns
from cohorts.models import Cohort
from cohorts.selectors.readings import load_readings
from monitoring import clock
from monitoring.models import ReadingRule
from monitoring.services.classification import readings

logger = logging.getLogger(__name__)


class KeptReadings:
    """The readings of one run. Cohorts with the same rules share one read, and so the same state of the data."""

    def __init__(self) -> None:
        self._columns: dict[str, Columns] = {}

    def of(self, definition: Definition) -> Columns:
        """Every time off treatment by the rules of a definition; builds what is not built yet."""
        key = readings.rule_key(definition.event_rule, definition.dmr)
        while key not in self._columns:
            build(readings.keep(definition.event_rule, definition.dmr))
            with transaction.atomic():  # a rule that was forgotten meanwhile is not read as one without patients
                rule = ReadingRule.objects.select_for_update(no_key=True).filter(key=key).first()
                if rule is not None and rule.built_at is not None:
                    self._columns[key] = load_readings(rule)
        return self._columns[key]


def build(rule: ReadingRule, *, seconds: float = float("inf")) -> bool:
    """Read every patient by a rule, from where an earlier run came to, for so long; returns whether more are left."""
    until = time.monotonic() + seconds
    while readings.build_next(rule, now=clock.now()):
        if time.monotonic() > until:
            return True
    return False


def build_some(*, seconds: float) -> bool:
    """Build the rules that are not whole yet for so long; returns whether more is left to do."""
    until = time.monotonic() + seconds
    return any(
        build(rule, seconds=until - time.monotonic()) for rule in ReadingRule.objects.filter(built_at__isnull=True)
    )


def forget_unused() -> None:
    """Delete the readings of rules that no cohort asks for any more; what cannot be deleted tonight is tried again."""
    try:
        readings.forget_all_but(_keys_in_use)
    except DefinitionProblem as problem:
        logger.warning("no reading is forgotten, a stored definition cannot be read: %s", problem)
    except DatabaseError:
        logger.warning("the readings that nobody asks for are not forgotten tonight", exc_info=True)


def _keys_in_use() -> set[str]:
    definitions = [parse_definition(stored) for stored in Cohort.objects.values_list("definition", flat=True)]
    return {readings.rule_key(d.event_rule, d.dmr) for d in definitions}
