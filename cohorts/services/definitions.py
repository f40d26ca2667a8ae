"""Creating and changing cohorts."""

from __future__ import annotations

from django.db import transaction

from cohorts.domain.definition import as_json, parse_definition
from cohorts.models import Cohort
from monitoring.services.actors import recorded_as


def define_cohort(data: object, *, by: str) -> tuple[Cohort, str]:
    """Create or change a cohort from JSON; returns it and ``created``, ``changed`` or ``unchanged``.

    Raises ``DefinitionProblem`` with every problem of the definition.
    """
    definition = parse_definition(data)
    stored = as_json(definition)
    with transaction.atomic(), recorded_as(by, "define cohort"):
        cohort = Cohort.objects.select_for_update().filter(slug=definition.slug).first()
        if cohort is None:
            return Cohort.objects.create(slug=definition.slug, title=definition.title, definition=stored), "created"
        if cohort.definition == stored and cohort.title == definition.title:
            return cohort, "unchanged"
        cohort.title, cohort.definition = definition.title, stored
        cohort.save(update_fields=["title", "definition"])
        return cohort, "changed"
