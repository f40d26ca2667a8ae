"""The readings that cohorts choose from: built when a rule is new, read once for all cohorts of a run."""

from __future__ import annotations

from cohorts.domain.definition import Definition, parse_definition
from cohorts.domain.readings import Columns
from cohorts.models import Cohort
from cohorts.selectors.readings import load_readings
from monitoring import clock
from monitoring.models import ReadingRule
from monitoring.services.classification import readings


class KeptReadings:
    """The readings of one run. Cohorts with the same rules share one read, and so the same state of the data."""

    def __init__(self) -> None:
        self._columns: dict[int, Columns] = {}

    def of(self, definition: Definition) -> Columns:
        """Every time off treatment by the rules of a definition; builds what is not built yet."""
        rule = readings.keep(definition.event_rule, definition.dmr)
        if rule.pk not in self._columns:
            build(rule)
            self._columns[rule.pk] = load_readings(rule)
        return self._columns[rule.pk]


def build(rule: ReadingRule) -> None:
    """Read every patient by a rule, batch by batch, from where an earlier run came to."""
    while readings.build_next(rule, now=clock.now()):
        pass


def build_all() -> int:
    """Build every rule that is not whole yet; returns how many there were."""
    rules = list(ReadingRule.objects.filter(built_at__isnull=True))
    for rule in rules:
        build(rule)
    return len(rules)


def forget_unused() -> None:
    """Delete the readings of rules that no cohort asks for any more."""
    definitions = [parse_definition(stored) for stored in Cohort.objects.values_list("definition", flat=True)]
    readings.forget_all_but({readings.rule_key(d.event_rule, d.dmr) for d in definitions})
