"""Who is told: the roles and people of a step, deputies in the stead of the absent, and never nobody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from monitoring.models import Absence, Membership, Role
from monitoring.services.alerts.ladders import Step

MAY_ACT = (Role.CLINICIAN, Role.ADMINISTRATOR)  # who acknowledges an alert and records what was done
MOST_DEPUTIES = 5  # of deputies who are absent themselves


@dataclass
class _House:
    """Who works in a centre today, and who of them may do what."""

    people: dict[int, User] = field(default_factory=dict)
    roles: dict[int, set[str]] = field(default_factory=dict)

    def named(self, step: Step) -> list[User]:
        """Whoever has a role of the step, and the people it names who work here."""
        return [one for pk, one in self.people.items() if self.roles[pk] & set(step.roles) or pk in step.people]

    def may_act(self, pk: int) -> bool:
        return bool(self.roles[pk] & set(MAY_ACT))


def people_of(centre_ids: Iterable[int], roles: Sequence[Role], on: dt.date) -> dict[int, list[User]]:
    """Who has one of these roles in each centre on a day, present or not; closed accounts are left out."""
    step = Step(tuple(roles), dt.timedelta())
    return {centre: house.named(step) for centre, house in _houses(list(centre_ids), on).items()}


def audience(centre_ids: Collection[int], step: Step, on: dt.date) -> dict[int, list[User]]:
    """Whom a step tells in each centre on a day: absent people give way to their deputies.

    A deputy needs a role in the centre, and one in which somebody may act where the absent person may. Where everybody
    of a step is absent and no deputy is there, they are told nevertheless: an alert that waits in a mailbox is still
    better than one that nobody got.
    """
    houses = _houses(centre_ids, on)
    named = {centre: house.named(step) for centre, house in houses.items()}
    away = Absence.objects.filter(is_over=False, first_on__lte=on, last_on__gte=on).select_related("noted_by")
    if not away.filter(person__in={person.pk for people in named.values() for person in people}).exists():
        return named
    absences = list(away.order_by("pk"))
    return {
        centre: _present(people, houses[centre], _absent_in(houses[centre], absences)) or people
        for centre, people in named.items()
    }


def operators() -> list[User]:
    """Those who run the service: open accounts of superusers."""
    return list(User.objects.filter(is_active=True, is_superuser=True).order_by("pk"))


def _houses(centre_ids: Collection[int], on: dt.date) -> dict[int, _House]:
    houses = {pk: _House() for pk in centre_ids}
    rows = Membership.objects.valid_on(on).filter(centre__in=houses, user__is_active=True)
    for row in rows.select_related("user").order_by("user_id"):
        house = houses[row.centre_id]
        house.people[row.user_id] = row.user
        house.roles.setdefault(row.user_id, set()).add(row.role)
    return houses


def _absent_in(house: _House, absences: Iterable[Absence]) -> dict[int, int | None]:
    """Who is away from a centre, with the deputy: by their own word, or by that of an administrator of the centre."""
    return {
        one.person_id: one.deputy_id
        for one in absences
        if one.noted_by_id == one.person_id
        or one.noted_by.is_superuser
        or Role.ADMINISTRATOR in house.roles.get(one.noted_by_id, ())
    }


def _present(people: Sequence[User], house: _House, absent: Mapping[int, int | None]) -> list[User]:
    found: dict[int, User] = {}
    for person in people:
        stands_in: int | None = person.pk
        for _ in range(MOST_DEPUTIES):
            if stands_in is None or stands_in not in absent:
                break
            stands_in = absent[stands_in]
        if stands_in is None or stands_in in absent or stands_in not in house.people:
            continue
        if house.may_act(stands_in) or not house.may_act(person.pk):
            found[stands_in] = house.people[stands_in]
    return list(found.values())
