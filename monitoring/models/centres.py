"""Hospitals and who works there, in which role, from when to when."""

import datetime as dt
import functools
import logging
import zoneinfo

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, TruncDate
from django.utils.translation import gettext_lazy as _

from monitoring.domain.text.plain_text import odd_characters, plain_pattern
from monitoring.models.fields import LookField

logger = logging.getLogger(__name__)

UTC = zoneinfo.ZoneInfo("UTC")
# What a name of no zone raises: not found, not a plain relative name, a folder of the database of zones.
ZONE_PROBLEMS = (KeyError, ValueError, OSError)


class Role(models.TextChoices):
    """What a person may do in a centre."""

    TECHNICIAN = "technician", _("technician")
    VERIFIER = "verifier", _("verifier")
    CLINICIAN = "clinician", _("clinician")
    ANALYST = "analyst", _("analyst")
    ADMINISTRATOR = "administrator", _("administrator")


def validate_plain(value: str) -> None:
    """A code stands in headers, addresses and files: one line, nothing invisible."""
    odd = odd_characters(value)
    if odd:
        raise ValidationError(
            _("holds invisible or line-breaking characters (%(odd)s); write it without them"),
            params={"odd": ", ".join(odd[:5])},
        )


@functools.cache
def known_zones() -> frozenset[str]:
    """The time zones that this machine knows."""
    return frozenset(zoneinfo.available_timezones())


def validate_time_zone(value: str) -> None:
    """A zone of the IANA database."""
    if value not in known_zones():
        raise ValidationError(
            _("%(zone)s is no time zone; write it as Europe/Berlin or Asia/Shanghai"), params={"zone": repr(value)}
        )


CANARY_CODE = "CANARY-OF-THE-SERVICE"


@pghistory.track(exclude=["look"])  # derived from the identifier
class Centre(models.Model):
    """A hospital; its time zone decides which calendar day a sample belongs to."""

    code = models.CharField(_("code"), max_length=60, unique=True, validators=[validate_plain])
    look = LookField(of="code", unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True, validators=[validate_plain])
    time_zone = models.CharField(
        _("time zone"), max_length=60, blank=True, validators=[validate_time_zone],
        help_text=_("Empty until somebody has said it: days are then counted as they are written, else in UTC."),
    )  # fmt: skip
    protocol = models.ForeignKey(
        "monitoring.Protocol", models.PROTECT, null=True, blank=True, related_name="centres",
        verbose_name=_("protocol"),
        help_text=_("Which rule sets are followed here; without one the defaults."),
    )  # fmt: skip
    is_synthetic = models.BooleanField(_("synthetic data"), default=False)
    # The fenced centre of the hourly canary: the database lets nobody in and keeps no reading of it.
    is_canary = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        verbose_name = _("centre")
        verbose_name_plural = _("centres")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=plain_pattern()), name="centre_code_plain"),
            models.CheckConstraint(condition=Q(is_canary=False) | Q(code=CANARY_CODE), name="centre_canary_code"),
            models.CheckConstraint(condition=Q(time_zone__regex="^[A-Za-z0-9_+/-]*$"), name="centre_time_zone_plain"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="canary_stays",
                operation=pgtrigger.UpdateOf("is_canary"),
                condition=pgtrigger.Condition("OLD.is_canary IS DISTINCT FROM NEW.is_canary"),
            )
        ]

    def __str__(self) -> str:
        return self.name or self.code


def zone_of(centre: Centre) -> zoneinfo.ZoneInfo:
    """The time zone of a centre; UTC where nobody has said one, or what is stored names none (which is watched)."""
    return said_zone_of(centre) or UTC


def said_zone_of(centre: Centre) -> zoneinfo.ZoneInfo | None:
    """The time zone that a person has given to a centre, None as long as nobody has."""
    if not centre.time_zone:
        return None
    try:
        return zoneinfo.ZoneInfo(centre.time_zone)
    except ZONE_PROBLEMS:
        logger.error("centre %s has a time zone that is none; its days are counted in UTC", centre.pk)
        return UTC


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Dated memberships."""

    def valid_on(self, day: dt.date | TruncDate) -> "MembershipQuerySet":
        """Memberships in force on a day: confirmed where two administrators are needed, begun, and not ended.

        Everything that asks who has a role asks here. What was ended by hand is over on its last day already.
        """
        lasts = Q(valid_to__isnull=True) | Q(valid_to__gt=day) | Q(valid_to=day, ended_at__isnull=True)
        return self.filter(lasts, valid_from__lte=day, waits=False)

    def open_on(self, day: dt.date) -> "MembershipQuerySet":
        """Memberships that are in force on a day or may be later: also those that wait or begin later."""
        return self.filter(Q(valid_to__isnull=True) | Q(valid_to__gte=day), ended_at__isnull=True)

    def deserted_centres(self) -> models.QuerySet[Centre]:
        """The centres in which nobody treats or administers today: whoever runs the service hears of their alerts."""
        there = self.valid_on(TruncDate(Now())).filter(
            role__in=[Role.CLINICIAN, Role.ADMINISTRATOR], user__is_active=True, centre=models.OuterRef("pk")
        )
        return Centre.objects.filter(~models.Exists(there))

    def centres_of(self, user: AbstractBaseUser | AnonymousUser) -> models.QuerySet["Membership", int]:
        """The ids of the centres in which a person has a role today; nothing for strangers and closed accounts."""
        mine = self.filter(user_id=user.pk) if user.is_authenticated and user.is_active else self.none()
        return mine.valid_on(TruncDate(Now())).values_list("centre_id", flat=True)


@pghistory.track()
class Membership(models.Model):
    """One role of one person in one centre, for a time; one that ``waits`` for a second administrator gives nothing."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="memberships")
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    valid_from = models.DateField(_("valid from"))
    valid_to = models.DateField(_("valid to"), null=True, blank=True)
    waits = models.BooleanField(_("waits for a second administrator"), default=False)
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("given by")
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("confirmed by"),
    )
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["user", "centre", "role", "valid_from"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")), name="membership_dates_in_order"
            ),
            # Where a column is null, the comparison is not false, and the row stands.
            models.CheckConstraint(condition=~Q(given_by=F("user")), name="membership_given_by_another"),
            models.CheckConstraint(
                condition=~Q(confirmed_by=F("user")) & ~Q(confirmed_by=F("given_by")),
                name="membership_confirmed_by_another",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True, confirmed_at__isnull=True)
                | Q(waits=False, confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="membership_confirmed_once",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(valid_to__isnull=False), name="membership_end_has_a_day"
            ),
        ]
        triggers = [
            pgtrigger.Trigger(  # the centre of the canary is for its account alone, and that account for no other
                name="canary_is_alone",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func="""
                    IF (SELECT is_canary FROM monitoring_centre WHERE id = NEW.centre_id)
                       IS DISTINCT FROM (SELECT username = 'canary' FROM auth_user WHERE id = NEW.user_id) THEN
                        RAISE insufficient_privilege
                            USING message = 'Nobody but the canary is of its centre, nor it of another';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.centre} · {self.get_role_display()}"
