"""Who may do what: roles per centre, today. Deny is the default; every page names what it needs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Now, TruncDate
from django.http import HttpRequest, HttpResponseBase

from monitoring.models import Centre, Membership, Role

ANY_ROLE: tuple[Role, ...] = tuple(Role)
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def signed_in(request: HttpRequest) -> User:
    """Whoever asks, behind a page that strangers do not reach."""
    assert isinstance(request.user, User)
    return request.user


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


def is_operator(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether this is an open account of a superuser: the operator, who configures everything."""
    return bool(user.is_authenticated and user.is_active and getattr(user, "is_superuser", False))


def administered_centres(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Centre]:
    """The centres that a person administers today; all of them for the operator."""
    if is_operator(user):
        return Centre.objects.filter(is_canary=False)
    return Centre.objects.filter(pk__in=centres_with_role(user, (Role.ADMINISTRATOR,)))


def may_configure(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether a person administers some centre today, or is the operator."""
    return is_operator(user) or Role.ADMINISTRATOR.value in roles_of(user)


def check_administers_all(user: AbstractBaseUser | AnonymousUser, centre_ids: Iterable[int]) -> None:
    """Raise ``PermissionDenied`` unless a person administers each of these centres today."""
    if not set(centre_ids) <= set(administered_centres(user).values_list("pk", flat=True)):
        raise PermissionDenied


def requires_role(roles: Iterable[Role]) -> Callable[[View[P]], View[P]]:
    """Let a view be seen only by people who have one of these roles in some centre today.

    The operator enters where administrators do and, having no centre, sees there what is of no centre.
    """
    wanted = frozenset(role.value for role in roles)

    def decorate(view: View[P]) -> View[P]:
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            operates = Role.ADMINISTRATOR.value in wanted and is_operator(request.user)
            if not operates and not wanted & roles_of(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        functools.update_wrapper(guarded, view)
        return guarded

    return decorate
