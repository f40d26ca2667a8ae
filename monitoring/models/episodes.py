"""Treatment-free episodes as they stand, and the append-only ledger of response events."""

import pgtrigger
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models import choices
from monitoring.models.patients import Patient
from monitoring.models.results import PcrResult


class TfrEpisode(models.Model):
    """One time off treatment, as the last replay says. A stop that turned out not to open one is ``void``."""

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="episodes")
    subject_key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(_("kind"), max_length=20, choices=choices.STOP_REASON)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    drug = models.CharField(_("drug"), max_length=20, choices=choices.DRUG)
    stopped_on = models.DateField(_("stopped on"))
    baseline_class = models.CharField(max_length=20, choices=choices.RESPONSE_CLASS, blank=True)
    tki_days = models.PositiveIntegerField(null=True)
    dmr_days = models.PositiveIntegerField(null=True)
    first_dmr_on = models.DateField(null=True)
    loss_on = models.DateField(_("loss of MMR on"), null=True)
    loss_confirmed_on = models.DateField(null=True)
    loss_result = models.ForeignKey(PcrResult, models.PROTECT, null=True, related_name="+")
    restarted_on = models.DateField(_("restarted on"), null=True)
    restart_drug = models.CharField(max_length=20, blank=True)
    mmr_regained_on = models.DateField(null=True)
    dmr_regained_on = models.DateField(null=True)
    state = models.CharField(_("state"), max_length=30)
    evidence = models.JSONField(default=dict)  # off_treatment.Evidence: what the state rests on, on whatever day
    rule_version = models.CharField(max_length=40)

    class Meta:
        verbose_name = _("treatment-free episode")
        verbose_name_plural = _("treatment-free episodes")
        indexes = [
            models.Index(fields=["patient", "stopped_on"], name="episode_of_patient"),
            # What alertd asks every other second: losses without a restart, restarts without MMR.
            models.Index(fields=["loss_on"], condition=Q(state="loss_of_mmr"), name="episode_lost"),
            models.Index(
                fields=["restarted_on"],
                condition=Q(state="restarted", loss_on__isnull=False, mmr_regained_on__isnull=True),
                name="episode_not_back",
            ),
        ]


class ResponseEvent(models.Model):
    """One line of the ledger. A line that no longer holds is not changed: another line retracts it."""

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="response_events")
    kind = models.CharField(_("kind"), max_length=30, choices=choices.EVENT_KIND)
    subject_key = models.CharField(max_length=120)
    occurred_on = models.DateField(_("occurred on"))
    result_key = models.CharField(max_length=150, blank=True)
    certainty = models.CharField(max_length=15, blank=True, choices=choices.CERTAINTY)
    rule_version = models.CharField(max_length=40)
    retracts = models.OneToOneField("self", models.PROTECT, null=True, related_name="retracted_by")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("response event")
        verbose_name_plural = _("response events")
        indexes = [
            models.Index(fields=["patient"], name="event_of_patient"),
            models.Index(fields=["occurred_on"], condition=Q(kind="loss_of_mmr"), name="event_losses"),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]
