"""Alerts: one open at a time for each kind and subject, by the database."""

import pghistory
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models import choices
from monitoring.models.centres import Centre
from monitoring.models.fields import NumberField
from monitoring.models.patients import Patient
from monitoring.models.results import PcrResult


class AlertState(models.TextChoices):
    """The life of an alert."""

    OPEN = "open", _("open")
    ACKNOWLEDGED = "acknowledged", _("acknowledged")
    CLOSED = "closed", _("closed")
    WITHDRAWN = "withdrawn", _("withdrawn")


LIVE_STATES = (AlertState.OPEN, AlertState.ACKNOWLEDGED)


class AlertQuerySet(models.QuerySet["Alert"]):
    """Alerts as lists need them."""

    def live(self) -> "AlertQuerySet":
        """Alerts that still wait for a person."""
        return self.filter(state__in=LIVE_STATES)


@pghistory.track()
class Alert(models.Model):
    """What a person must hear of, with the facts and the rule that raised it.

    ``public_id`` is made from kind, subject and opening evidence, so a restored database makes the same one again.
    A loss that was already old when it was first classified belongs to its centre's ``hand_over``.
    """

    public_id = models.UUIDField(unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=40, choices=choices.ALERT_KIND)
    subject_key = models.CharField(max_length=120)
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="alerts")
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, related_name="alerts")
    hand_over = models.ForeignKey("self", models.PROTECT, null=True, related_name="handed_over")
    certainty = models.CharField(_("certainty"), max_length=15, choices=choices.CERTAINTY)
    state = models.CharField(_("state"), max_length=15, choices=AlertState.choices, default=AlertState.OPEN)
    evidence = models.ForeignKey(PcrResult, models.PROTECT, null=True, related_name="+")
    evidence_key = models.CharField(max_length=150)
    evidence_on = models.DateField()
    is_percent = NumberField(_("% IS"), null=True)
    days_off_treatment = models.IntegerField(null=True)
    rule_version = models.CharField(max_length=40)
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    closed_at = models.DateTimeField(null=True)
    closing_reason = models.CharField(max_length=200, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_key"], condition=Q(state__in=LIVE_STATES), name="alert_one_open"
            ),
            models.CheckConstraint(
                condition=Q(state__in=LIVE_STATES, closed_at__isnull=True)
                | Q(state__in=["closed", "withdrawn"], closed_at__isnull=False),
                name="alert_closed_at_with_state",
            ),
            models.CheckConstraint(condition=Q(patient__isnull=False) | Q(kind="hand_over"), name="alert_has_patient"),
        ]
        indexes = [
            models.Index(fields=["centre", "opened_at"], condition=Q(state__in=LIVE_STATES), name="alert_live"),
            models.Index(fields=["patient"], name="alert_of_patient"),
        ]
