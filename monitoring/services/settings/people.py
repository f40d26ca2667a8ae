"""Who works in a centre: invitations, roles, closed accounts. Nobody decides about a membership of their own.

A role that verifies, treats or administers is given by two administrators: it waits, and gives nothing, until another
one of the centre confirms it.
"""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from monitoring.domain.text.lookalike import look_of
from monitoring.models import ApiToken, Centre, Membership, Role
from monitoring.models.centres import MembershipQuerySet
from monitoring.services.foundation.actors import CLASSIFIER_ACTOR, IMPORT_ACTOR, recorded_as
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.settings.tokens import OPERATOR

NEEDS_TWO = (Role.VERIFIER, Role.CLINICIAN, Role.ADMINISTRATOR)
# The service signs its own deeds with these names.
OF_THE_SERVICE = (OPERATOR, IMPORT_ACTOR, CLASSIFIER_ACTOR, "demo", "alertd", "canary", "nightly", "root", "admin")


def invite(*, username: str, email: str, centre: Centre, role: Role, by: User, now: dt.datetime) -> User:
    """Make the account of a new person, which has no password, and give it a role. The link is sent afterwards."""
    if _reads_like_another(username):
        raise FieldProblem("username", _("%(name)s is taken; choose another name") % {"name": username})
    person = User(username=username, email=_address(email))
    person.set_unusable_password()
    try:
        person.full_clean(exclude=["password"])
    except ValidationError as problem:
        raise FieldProblem("username", " ".join(problem.messages)) from None
    try:
        with transaction.atomic(), recorded_as(by.get_username(), "invite"):
            person.save(force_insert=True)
            give_role(person=person, centre=centre, role=role, by=by, now=now)
    except IntegrityError:  # two invitations of one name at the same moment
        raise FieldProblem("username", _("%(name)s is taken; choose another name") % {"name": username}) from None
    return person


def _reads_like_another(username: str) -> bool:
    """Whether a reader of the history would take this name for another person's or the service's."""
    look = look_of(username)
    names = User.objects.values_list("username", flat=True).iterator()
    return any(look_of(name) == look for name in (*OF_THE_SERVICE, *names))


def _address(email: str) -> str:
    try:
        validate_email(email)
    except ValidationError:
        raise FieldProblem("email", _("%(email)s is not an e-mail address") % {"email": email}) from None
    return email


def give_role(
    *,
    person: User,
    centre: Centre,
    role: Role,
    by: User | None,
    now: dt.datetime,
    until: dt.date | None = None,
) -> Membership:
    """Give a role from today on. Where two administrators are needed it waits; the operator (``by`` None) is enough."""
    today = now.date()
    if by is not None:
        _check_decides(by, person, centre, today)
    if not person.is_active:
        raise FieldProblem("role", _("the account of %(name)s is closed") % {"name": person.get_username()})
    if until is not None and until < today:
        raise FieldProblem("until", _("%(day)s is past; name today or a later day") % {"day": until})
    with transaction.atomic(), recorded_as(by.get_username() if by else OPERATOR, "give role"):
        User.objects.select_for_update(no_key=True).get(pk=person.pk)  # one decision about a person at a time
        held = Membership.objects.filter(user=person, centre=centre, role=role)
        standing = held.open_on(today).first()
        if standing is not None and (by is not None or not standing.waits):
            words = _("%(name)s has this role in %(centre)s already, or it waits for a second administrator")
            raise FieldProblem("role", words % {"name": person.get_username(), "centre": centre.code})
        # The same role again on the day on which it ended: the row of that day begins anew.
        row = standing or held.filter(valid_from=today).first()
        row = row or Membership(user=person, centre=centre, role=role, valid_from=today)
        row.valid_to, row.ended_at, row.given_by = until, None, by
        row.waits = by is not None and role in NEEDS_TWO
        row.confirmed_by = row.confirmed_at = None
        row.save()
    return row


def confirm_role(*, membership: Membership, by: User, now: dt.datetime) -> None:
    """The second administrator: from now on the role is in force."""
    _check_decides(by, membership.user, membership.centre, now.date())
    if membership.given_by_id == by.pk:
        raise FieldProblem("role", _("you have given this role; another administrator of the centre confirms it"))
    waiting = Membership.objects.open_on(now.date()).filter(pk=membership.pk, waits=True)
    with transaction.atomic(), recorded_as(by.get_username(), "confirm role"):
        row = waiting.select_for_update().exclude(given_by=by).first()
        if row is None or not membership.user.is_active:
            raise FieldProblem("role", _("this role does not wait for anybody; load the page again"))
        row.waits, row.confirmed_by, row.confirmed_at = False, by, now
        row.save(update_fields=["waits", "confirmed_by", "confirmed_at"])


def end_role(*, membership: Membership, by: User | None, now: dt.datetime) -> None:
    """End a role at once, or decline one that waits."""
    if by is not None:
        _check_decides(by, membership.user, membership.centre, now.date())
    with transaction.atomic(), recorded_as(by.get_username() if by else OPERATOR, "end role"):
        if not _end(Membership.objects.filter(pk=membership.pk), now):
            raise FieldProblem("role", _("this role has ended; load the page again"))


def close_account(*, person: User, by: User, within: frozenset[int], now: dt.datetime) -> bool:
    """End a person's roles in these centres; where no other is left, close the account. Returns whether it was closed.

    A closed account has no password, no token and no way back in but the operator.
    """
    if person.pk == by.pk:
        raise FieldProblem("person", _("nobody closes an account of their own; ask another administrator"))
    if person.is_superuser:
        raise FieldProblem("person", _("this account belongs to the operator, who closes it"))
    with transaction.atomic(), recorded_as(by.get_username(), "close account"):
        locked = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        _end(Membership.objects.filter(user=locked, centre__in=within), now)
        if Membership.objects.open_on(now.date()).filter(user=locked).exists():
            return False
        locked.is_active = False
        locked.set_unusable_password()  # also the links that were sent, and every session, end with it
        locked.save(update_fields=["is_active", "password"])
        ApiToken.objects.filter(user=locked, revoked_at__isnull=True).update(revoked_at=now)
    return True


def _end(rows: MembershipQuerySet, now: dt.datetime) -> int:
    """End what is open of these rows. Returns how many were."""
    today = now.date()
    ended = 0
    for row in rows.open_on(today).select_for_update():
        row.valid_to, row.ended_at = max(today, row.valid_from), now
        row.save(update_fields=["valid_to", "ended_at"])
        ended += 1
    return ended


def _check_decides(by: User, person: User, centre: Centre, today: dt.date) -> None:
    """Roles of a centre are decided by its administrators, and by nobody for themselves."""
    if by.pk == person.pk:
        raise FieldProblem("role", _("nobody decides about a role of their own; ask another administrator"))
    administers = Membership.objects.valid_on(today).filter(user=by, centre=centre, role=Role.ADMINISTRATOR)
    if not by.is_active or not (by.is_superuser or administers.exists()):
        raise FieldProblem("centre", _("is not one of your centres"))
