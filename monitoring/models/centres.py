"""Hospitals and who works there, in which role, from when to when."""

import datetime as dt

import pghistory
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, TruncDate
from django.utils.translation import gettext_lazy as _

from monitoring.models.fields import LookField


class Role(models.TextChoices):
    """What a person may do in a centre."""

    TECHNICIAN = "technician", _("technician")
    VERIFIER = "verifier", _("verifier")
    CLINICIAN = "clinician", _("clinician")
    ANALYST = "analyst", _("analyst")
    ADMINISTRATOR = "administrator", _("administrator")


@pghistory.track(exclude=["look"])  # derived from the identifier
class Centre(models.Model):
    """A hospital; its time zone decides which calendar day a sample belongs to."""

    code = models.CharField(_("code"), max_length=60, unique=True)
    look = LookField(of="code", unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=60, default="UTC")
    protocol = models.ForeignKey(
        "monitoring.Protocol", models.PROTECT, null=True, blank=True, related_name="centres", verbose_name=_("protocol"),
        help_text=_("Which rule sets are followed here; without one the defaults."),
    )  # fmt: skip
    is_synthetic = models.BooleanField(_("synthetic data"), default=False)

    class Meta:
        verbose_name = _("centre")
        verbose_name_plural = _("centres")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name or self.code


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Dated memberships."""

    def valid_on(self, day: dt.date | TruncDate) -> "MembershipQuerySet":
        """Memberships in force on a day."""
        return self.filter(Q(valid_to__isnull=True) | Q(valid_to__gte=day), valid_from__lte=day)

    def centres_of(self, user: AbstractBaseUser | AnonymousUser) -> models.QuerySet["Membership", int]:
        """The ids of the centres in which a person has a role today; nothing for strangers and closed accounts."""
        mine = self.filter(user_id=user.pk) if user.is_authenticated and user.is_active else self.none()
        return mine.valid_on(TruncDate(Now())).values_list("centre_id", flat=True)


@pghistory.track()
class Membership(models.Model):
    """One role of one person in one centre, for a time."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="memberships")
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    valid_from = models.DateField(_("valid from"))
    valid_to = models.DateField(_("valid to"), null=True, blank=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["user", "centre", "role", "valid_from"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")), name="membership_dates_in_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.centre} · {self.get_role_display()}"
