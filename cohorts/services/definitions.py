"""Creating and changing cohorts, each by people who may analyse every centre that it takes patients from."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils.translation import gettext as _

from cohorts.domain.definition import Definition
from cohorts.domain.definition_file import DefinitionProblem, as_json, parse_definition
from cohorts.models import Cohort
from monitoring.models import Centre, Role
from monitoring.permissions import centres_with_role, is_operator
from monitoring.services.classification.readings import keep
from monitoring.services.foundation.actors import recorded_as
from tasks import hints

CODES_SHOWN = 20


def define_cohort(data: object, *, by: str, centres: Collection[int] | None = None) -> tuple[Cohort, str]:
    """Create or change a cohort from JSON; returns it and ``created``, ``changed`` or ``unchanged``.

    ``centres`` are those (by id) that the author may analyse; None is the operator, who may analyse all.
    Raises ``DefinitionProblem`` with every problem of the definition.
    """
    definition = check_definition(data, centres)
    stored = as_json(definition)
    with transaction.atomic(), recorded_as(by, "define cohort"):
        keep(definition.event_rule, definition.dmr)
        hints.after_commit(hints.BUILD_READINGS)
        cohort = Cohort.objects.select_for_update().filter(slug=definition.slug).first()
        if cohort is None:
            return Cohort.objects.create(slug=definition.slug, title=definition.title, definition=stored), "created"
        _check_standing(cohort, centres)
        if cohort.definition == stored and cohort.title == definition.title:
            return cohort, "unchanged"
        cohort.title, cohort.definition = definition.title, stored
        cohort.save(update_fields=["title", "definition"])
        return cohort, "changed"


def centres_of_author(user: AbstractBaseUser | AnonymousUser) -> frozenset[int] | None:
    """The centres (by id) whose patients a person may analyse; None is the operator."""
    if is_operator(user):
        return None
    return frozenset(centres_with_role(user, (Role.ANALYST, Role.ADMINISTRATOR)))


def check_definition(data: object, centres: Collection[int] | None) -> Definition:
    """The definition, if its author may store it: its own centres, and a slug that is free or theirs.

    Raises ``DefinitionProblem``; an unknown centre and one of others get the same message.
    """
    definition = parse_definition(data)
    if centres is None:
        return definition
    own_codes = sorted(_codes(centres))
    shown = ", ".join(own_codes[:CODES_SHOWN]) or "–"
    problems = [
        _("include.centre %(centre)s: is not one of the centres you may analyse, which are %(mine)s")
        % {"centre": repr(named), "mine": shown}
        for named in _named(definition)
        if named not in own_codes
    ]
    if not _named(definition) and not _takes_only(definition, own_codes):
        problems.append(
            _("include.centre: without it a cohort takes in every centre; name your centres: %(mine)s")
            % {"mine": shown}
        )
    if problems:
        raise DefinitionProblem(problems)
    standing = Cohort.objects.filter(slug=definition.slug).first()
    if standing is not None:
        _check_standing(standing, centres)
    return definition


def analysable_cohorts(centres: Collection[int] | None) -> list[int]:
    """The cohorts (by id) that take patients only from these centres; all of them for the operator."""
    return [cohort.pk for cohort in Cohort.objects.all() if may_change(cohort, centres)]


def may_change(cohort: Cohort, centres: Collection[int] | None) -> bool:
    """Whether an author of these centres (by id; None: the operator) may change a cohort.

    One whose definition cannot be read is the operator's to mend.
    """
    if centres is None:
        return True
    try:
        definition = parse_definition(cohort.definition)
    except DefinitionProblem:
        return False
    return bool(centres) and _takes_only(definition, _codes(centres))


def _check_standing(cohort: Cohort, centres: Collection[int] | None) -> None:
    """Refuse a change of a cohort with patients of other centres; the message does not say which centres."""
    if centres is not None and not _takes_only(parse_definition(cohort.definition), _codes(centres)):
        raise DefinitionProblem([_("slug %(slug)s: this slug cannot be used") % {"slug": repr(cohort.slug)}])


def _takes_only(definition: Definition, codes: Collection[str]) -> bool:
    """Whether a cohort takes patients from these centres alone; one that names none takes them from all there are."""
    named = _named(definition) or Centre.objects.filter(is_canary=False).values_list("code", flat=True)
    return set(named) <= set(codes)


def _named(definition: Definition) -> tuple[str, ...]:
    return tuple(definition.categories.get("centre", ()))


def _codes(centres: Collection[int]) -> set[str]:
    return set(Centre.objects.filter(pk__in=centres).values_list("code", flat=True))
