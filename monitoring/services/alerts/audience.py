"""Who is told: the roles and people of a step, deputies in the stead of the absent, and never nobody."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from django.contrib.auth.models import User

from monitoring.models import Absence, Membership, Role
from monitoring.services.alerts.ladders import Step

MOST_DEPUTIES = 5  # of deputies who are absent themselves


def people_of(centre_ids: Iterable[int], roles: Sequence[Role], on: dt.date) -> dict[int, list[User]]:
    """Who has one of these roles in each centre on a day, present or not; closed accounts are left out."""
    step = Step(tuple(roles), dt.timedelta())
    return _named(_members(list(centre_ids), on), step)


def audience(centre_ids: Collection[int], step: Step, on: dt.date) -> dict[int, list[User]]:
    """Whom a step tells in each centre on a day: absent people give way to their deputies.

    A deputy needs a role in the centre. Where everybody of a step is absent and no deputy is there, they are told
    nevertheless: an alert that waits in a mailbox is still better than one that nobody got.
    """
    members = _members(centre_ids, on)
    named = _named(members, step)
    absent = _absent({person.pk for people in named.values() for person in people}, on)
    if not absent:
        return named
    return {
        centre: _present(people, {m.user_id: m.user for m in members[centre]}, absent) or people
        for centre, people in named.items()
    }


def operators() -> list[User]:
    """Those who run the service: open accounts of superusers."""
    return list(User.objects.filter(is_active=True, is_superuser=True).order_by("pk"))


Members = Mapping[int, list[Membership]]


def _members(centre_ids: Collection[int], on: dt.date) -> Members:
    members: dict[int, list[Membership]] = {pk: [] for pk in centre_ids}
    rows = Membership.objects.valid_on(on).filter(centre__in=members, user__is_active=True)
    for row in rows.select_related("user").order_by("user_id"):
        members[row.centre_id].append(row)
    return members


def _named(members: Members, step: Step) -> dict[int, list[User]]:
    """Whoever has a role of the step, and the people it names who work in the centre."""
    people: dict[int, dict[int, User]] = defaultdict(dict)
    for centre, rows in members.items():
        people[centre] = {m.user_id: m.user for m in rows if m.role in step.roles or m.user_id in step.people}
    return {centre: list(found.values()) for centre, found in people.items()}


def _absent(ids: Collection[int], on: dt.date) -> dict[int, int | None]:
    """Who of all is away on a day, with the deputy; only asked where one of ``ids`` is."""
    away = Absence.objects.filter(is_over=False, first_on__lte=on, last_on__gte=on)
    if not away.filter(person__in=ids).exists():
        return {}
    return dict(away.order_by("pk").values_list("person", "deputy"))


def _present(people: Sequence[User], there: Mapping[int, User], absent: Mapping[int, int | None]) -> list[User]:
    found: dict[int, User] = {}
    for person in people:
        stands_in: int | None = person.pk
        for _ in range(MOST_DEPUTIES):
            if stands_in is None or stands_in not in absent:
                break
            stands_in = absent[stands_in]
        if stands_in is not None and stands_in not in absent and stands_in in there:
            found[stands_in] = there[stands_in]
    return list(found.values())
