"""A patient's record that goes to another centre, or into another record of the same person."""

import pghistory
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models.centres import Centre
from monitoring.models.patients import Patient


class RecordChangeKind(models.TextChoices):
    """What becomes of the record."""

    TRANSFER = "transfer", _("transfer to another centre")
    MERGE = "merge", _("merge of two records of one person")


@pghistory.track()
class RecordChange(models.Model):
    """A change of a whole record: one person asks for it, a second person carries it out or declines.

    ``patient`` is the record that goes; of a merge it goes into ``into``, and ``moved`` names what went, so that the
    merge can be undone.
    """

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=RecordChangeKind.choices)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="record_changes")
    into = models.ForeignKey(Patient, models.PROTECT, null=True, related_name="+")
    from_centre = models.ForeignKey(Centre, models.PROTECT, related_name="+")
    to_centre = models.ForeignKey(Centre, models.PROTECT, related_name="+")
    to_patient_id = models.CharField(_("pseudonym there"), max_length=60, blank=True)
    reason = models.CharField(_("reason"), max_length=500)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    is_done = models.BooleanField(null=True)  # None while it waits
    note = models.CharField(_("note"), max_length=500, blank=True)
    moved = models.JSONField(default=dict)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient"], condition=Q(is_done__isnull=True), name="record_change_one_waiting"
            ),
            models.CheckConstraint(
                condition=Q(kind="merge", into__isnull=False) | Q(kind="transfer", into__isnull=True),
                name="record_change_merge_into",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | Q(is_done=False) | ~Q(decided_by=models.F("asked_by")),
                name="record_change_second_person",
            ),
        ]
        indexes = [models.Index(fields=["-asked_at"], name="record_change_latest")]
