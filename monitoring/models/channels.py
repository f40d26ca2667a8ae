"""Programs that are told of a centre's alerts: signed webhooks, and chat or SMS gateways."""

import pghistory
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models.centres import Centre
from monitoring.models.escalation import SEVERITY


class EndpointKind(models.TextChoices):
    """How a program is told."""

    WEBHOOK = "webhook", _("signed webhook")
    GATEWAY = "gateway", _("chat or SMS gateway")


@pghistory.track(exclude=["sealed"])
class AlertEndpoint(models.Model):
    """A program that hears of the alerts of one centre, from one severity on.

    ``sealed`` is the key that signs a webhook, or the address of a gateway, which holds its password; encrypted.
    ``address`` is what may be shown of it.
    """

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="alert_endpoints", verbose_name=_("centre"))
    kind = models.CharField(_("kind"), max_length=10, choices=EndpointKind.choices)
    name = models.CharField(_("name"), max_length=60)
    address = models.CharField(_("address"), max_length=500)
    severity = models.CharField(_("told from severity"), max_length=10, choices=SEVERITY)
    sealed = models.BinaryField()
    added_at = models.DateTimeField(db_default=Now())
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("program that is told")
        verbose_name_plural = _("programs that are told")
        constraints = [
            models.UniqueConstraint(
                fields=["centre", "name"], condition=models.Q(ended_at__isnull=True), name="endpoint_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name
