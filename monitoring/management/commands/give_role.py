"""The operator gives a role at once, or ends one: for the first administrator of a centre, or where it has one only."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from monitoring import clock
from monitoring.management.door import DoorCommand
from monitoring.management.named import named_centre
from monitoring.models import Centre, Membership, Role
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.settings.people import end_role, give_role


class Command(DoorCommand):
    help = "Give a role in a centre, in force at once and without a second administrator; or end one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name of an account that is open")
        parser.add_argument("--centre", required=True, help="code of the centre")
        parser.add_argument("--role", required=True, choices=Role.values)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--until", type=dt.date.fromisoformat, metavar="DATE", help="the role's last day, YYYY-MM-DD")
        what.add_argument("--end", action="store_true", help="end the role instead")

    def work(self, **options: Any) -> bool:
        person = User.objects.filter(username=options["user"]).first()
        if person is None:
            raise CommandError(f"{options['user']}: there is no such user", returncode=2)
        centre = named_centre("--centre", options["centre"])
        role, now = Role(options["role"]), clock.now()
        try:
            if options["end"]:
                self._end(person, centre, role)
            else:
                give_role(person=person, centre=centre, role=role, by=None, now=now, until=options["until"])
        except FieldProblem as problem:
            raise CommandError(problem.words, returncode=2) from None
        self.tell(f"{person.get_username()}: {role.value} in {centre.code} {'ended' if options['end'] else 'given'}")
        return True

    def _end(self, person: User, centre: Centre, role: Role) -> None:
        rows = Membership.objects.open_on(clock.now().date()).filter(user=person, centre=centre, role=role)
        if not rows:
            raise CommandError(f"{person.get_username()} is no {role.value} in {centre.code}", returncode=2)
        for row in rows:
            end_role(membership=row, by=None, now=clock.now())
