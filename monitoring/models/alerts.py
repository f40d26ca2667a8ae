"""Alerts: one open at a time for each kind and subject, by the database."""

import hashlib

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.domain.alerting.kinds import OF_THE_SERVICE, WITHOUT_PATIENT, Urgency
from monitoring.models import choices
from monitoring.models.centres import Centre, Membership
from monitoring.models.channels import AlertEndpoint
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

    def told_alone(self) -> "AlertQuerySet":
        """All but the rows of a worklist that nobody has signed off yet: those are told by their worklist."""
        return self.filter(Q(hand_over__isnull=True) | Q(acted_at__isnull=False))

    def by_kind_and_state(self) -> models.QuerySet["Alert", tuple[str, str, int]]:
        """How many there are of each kind and state."""
        return self.values_list("kind", "state").annotate(number=models.Count("pk")).order_by("kind", "state")

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "AlertQuerySet":
        """Alerts of the centres in which the person has a role today; nobody else's.

        The operator sees what concerns the service, the alerts of centres in which nobody is left to see them, and
        those that this very operator was told of, since nobody in the centre had acted for days.
        """
        mine = Q(centre__in=Membership.objects.centres_of(user))
        if user.is_authenticated and user.is_active and getattr(user, "is_superuser", False):
            mine |= Q(kind__in=OF_THE_SERVICE) | Q(centre__in=Membership.objects.deserted_centres())
            told = AlertDelivery.objects.filter(
                recipient=user.pk, round=models.F("alert__round"), alert__state=AlertState.OPEN
            )
            mine |= Q(pk__in=told.values("alert"))
        return self.filter(mine)


class ClosingReason(models.TextChoices):
    """Why an alert has ended."""

    EVIDENCE_GONE = "evidence_gone", _("the evidence no longer holds")
    VERIFIED = "verified", _("the result is no longer preliminary")
    EMPTIED = "emptied", _("nothing in it is open any more")
    NOTHING_ASIDE = "nothing_aside", _("nothing is set aside any more")
    ANSWERED = "answered", _("answered by what was recorded since")
    RESTART = "restart", _("restart on %(on)s")
    DEATH = "death", _("death on %(on)s")
    TRANSPLANT = "allogeneic_transplant", _("allogeneic transplant on %(on)s")
    LOSS_OF_MMR = "loss_of_mmr", _("loss of MMR on %(on)s")
    STOP = "stop", _("treatment stopped on %(on)s")
    RESPONSE_REGAINED = "response_regained", _("response regained on %(on)s")
    ACTED = "acted", _("acted on: %(words)s (%(by)s)")
    WITHDRAWN = "withdrawn", _("withdrawn: %(words)s (%(by)s)")
    NOT_KNOWN = "not_known", "%(words)s"


BY_A_PERSON = (ClosingReason.ACTED, ClosingReason.WITHDRAWN)


class DeliveryOutcome(models.TextChoices):
    """Why a message was not sent; empty where a mail server said what became of it."""

    WITHDRAWN = "withdrawn", _("withdrawn before it was sent")
    NOT_NEEDED = "not_needed", _("not sent: the alert is %(state)s")
    NO_ADDRESS = "no_address", _("not sent: the person has no e-mail address")
    REFUSED = "refused", _("refused for good: %(words)s")
    ENDED = "ended", _("not sent: the program is told nothing more")


@pghistory.track()
class Alert(models.Model):
    """What a person must hear of, with the facts and the rule that raised it.

    ``public_id`` is made from kind, subject and opening evidence, so a restored database makes the same one again. What
    was already old when it was first known, and is still so, is a row of its centre's worklist (``hand_over``) until
    somebody has signed it off.
    """

    public_id = models.UUIDField(unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=40, choices=choices.ALERT_KIND)
    subject_key = models.CharField(max_length=120)
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="alerts")
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, related_name="alerts")
    hand_over = models.ForeignKey("self", models.PROTECT, null=True, related_name="handed_over")
    by_rules = models.BooleanField(default=False)  # raised by a change of rules alone: a row of the worklist at any age
    rows_joined = models.PositiveIntegerField(default=0)  # how many rows this worklist has ever taken in
    certainty = models.CharField(_("certainty"), max_length=15, choices=choices.CERTAINTY)
    state = models.CharField(_("state"), max_length=15, choices=AlertState.choices, default=AlertState.OPEN)
    evidence = models.ForeignKey(PcrResult, models.PROTECT, null=True, related_name="+")
    evidence_key = models.CharField(max_length=150)
    evidence_on = models.DateField()
    is_percent = NumberField(_("% IS"), null=True)
    days_off_treatment = models.IntegerField(null=True)
    highest_percent = NumberField(_("highest value since, % IS"), null=True)
    level_percent = models.PositiveSmallIntegerField(
        _("above, % IS"), default=0
    )  # 0, 1 or 10: the rise people were told of
    doubling_days = NumberField(_("doubling time, days"), null=True)
    rule_version = models.CharField(max_length=40)
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    closed_at = models.DateTimeField(null=True)
    closing_reason = models.CharField(max_length=200, choices=ClosingReason.choices, blank=True)
    closing_values = models.JSONField(default=dict)  # the day that settled it, or what a person said and who
    round = models.PositiveIntegerField(default=1)
    step = models.PositiveIntegerField(default=0)
    next_action_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    note = models.CharField(_("note"), max_length=500, blank=True)
    action = models.CharField(_("action"), max_length=20, blank=True)
    action_drug = models.CharField(max_length=20, choices=choices.DRUG, blank=True)
    action_on = models.DateField(null=True)  # the first day of the drug, or the day on which it comes back
    acted_at = models.DateTimeField(null=True)
    acted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

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
            models.CheckConstraint(
                condition=Q(patient__isnull=False) | Q(kind__in=[kind.value for kind in WITHOUT_PATIENT]),
                name="alert_has_patient",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True, acknowledged_by__isnull=True)
                | Q(acknowledged_at__isnull=False, acknowledged_by__isnull=False),
                name="alert_acknowledged_at_and_by",
            ),
        ]
        indexes = [
            models.Index(fields=["centre", "opened_at"], condition=Q(state__in=LIVE_STATES), name="alert_live"),
            models.Index(fields=["patient"], name="alert_of_patient"),
            models.Index(fields=["next_action_at"], condition=Q(state__in=LIVE_STATES), name="alert_due"),
        ]

    @property
    def version_tag(self) -> str:
        """Changes whenever something changes that a person decides on: what was read is then no longer what stands.

        That somebody was told once more is no such thing: a reminder makes no page stale.
        """
        seen = (
            self.state,
            self.certainty,
            self.level_percent,
            self.evidence_key,
            self.acknowledged_at,
            self.action,
            self.rows_joined,
        )
        return hashlib.sha256("|".join(map(str, seen)).encode()).hexdigest()[:16]


class DeliveryAbout(models.TextChoices):
    """What a message tells."""

    OPENED = "opened", _("opened")
    WITHDRAWN = "withdrawn", _("withdrawn")


class AlertDelivery(models.Model):
    """One message about one alert to one person or program: owed, claimed with a lease, sent, recorded.

    ``key`` is the same however often it is sent, so a repeat can be recognised by whoever receives it.
    """

    alert = models.ForeignKey(Alert, models.PROTECT, related_name="deliveries")
    key = models.CharField(max_length=200, unique=True)
    about = models.CharField(max_length=15, choices=DeliveryAbout.choices, default=DeliveryAbout.OPENED)
    channel = models.CharField(max_length=15, default="email")
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    endpoint = models.ForeignKey(AlertEndpoint, models.PROTECT, null=True, related_name="+")
    urgency = models.PositiveSmallIntegerField(default=Urgency.CONFIRMED)  # the order in which messages leave
    owed_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    settled_at = models.DateTimeField(null=True)
    delivered = models.BooleanField(null=True)
    outcome_code = models.CharField(max_length=20, choices=DeliveryOutcome.choices, blank=True)
    outcome = models.CharField(max_length=300, blank=True)  # what the mail server said, or the state of the alert
    round = models.PositiveIntegerField(default=1)
    step = models.PositiveIntegerField(default=0)
    certainty = models.CharField(max_length=15, choices=choices.CERTAINTY, blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")  # sent again

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            models.Index(fields=["urgency", "owed_at"], condition=Q(settled_at__isnull=True), name="delivery_due"),
            models.Index(fields=["alert"], name="delivery_of_alert"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(channel="email", recipient__isnull=False, endpoint__isnull=True)
                | Q(channel__in=["webhook", "gateway"], recipient__isnull=True, endpoint__isnull=False),
                name="delivery_to_one",
            )
        ]

    @property
    def addressee(self) -> str:
        """Who or what is told, by name."""
        if self.endpoint is not None:
            return self.endpoint.name
        assert self.recipient is not None  # as the table demands
        return self.recipient.get_username()


class DeliveryAttempt(models.Model):
    """One try to send a message, and what came of it in the words of the mail server or of its failure."""

    delivery = models.ForeignKey(AlertDelivery, models.PROTECT, related_name="tries")
    at = models.DateTimeField()
    is_taken = models.BooleanField()
    words = models.CharField(max_length=300)

    class Meta:
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]
