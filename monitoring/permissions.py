"""Who may do what: roles per centre, today. Deny is the default; every page names what it needs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Now, TruncDate
from django.http import HttpRequest, HttpResponseBase

from monitoring.models import Membership, Role

ANY_ROLE: tuple[Role, ...] = tuple(Role)
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def memberships_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[tuple[int, str]]:
    """The centres (by id) and the roles that a person has in them today."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    mine = Membership.objects.valid_on(TruncDate(Now())).filter(user_id=user.pk)
    return frozenset(mine.values_list("centre_id", "role"))


def roles_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """The roles that a person has today in any centre."""
    return frozenset(role for _centre, role in memberships_of(user))


def has_role_in(user: AbstractBaseUser | AnonymousUser, centre_id: int, roles: Iterable[Role]) -> bool:
    """Whether a person has one of these roles in a centre today."""
    if not user.is_authenticated or not user.is_active:
        return False
    mine = Membership.objects.valid_on(TruncDate(Now())).filter(user_id=user.pk, centre_id=centre_id)
    return mine.filter(role__in=list(roles)).exists()


def centres_with_role(user: AbstractBaseUser | AnonymousUser, roles: Iterable[Role]) -> QuerySet[Membership, int]:
    """The ids of the centres in which a person has one of these roles today."""
    mine = Membership.objects.filter(user_id=user.pk or 0, role__in=[r.value for r in roles])
    if not user.is_authenticated or not user.is_active:
        mine = mine.none()
    return mine.valid_on(TruncDate(Now())).values_list("centre_id", flat=True)


def check_role_in_all(user: AbstractBaseUser | AnonymousUser, centre_ids: Iterable[int], role: Role) -> None:
    """Raise ``PermissionDenied`` unless a person has the role today in each of these centres."""
    if not set(centre_ids) <= set(centres_with_role(user, (role,))):
        raise PermissionDenied


def requires_role(roles: Iterable[Role]) -> Callable[[View[P]], View[P]]:
    """Let a view be seen only by people who have one of these roles in some centre today."""
    wanted = frozenset(role.value for role in roles)

    def decorate(view: View[P]) -> View[P]:
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not wanted & roles_of(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        functools.update_wrapper(guarded, view)
        return guarded

    return decorate
