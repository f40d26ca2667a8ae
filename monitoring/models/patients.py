"""Patients by pseudonym; names and hospital numbers stand apart, encrypted."""

import uuid

import pghistory
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models import choices
from monitoring.models.centres import Centre, Membership
from monitoring.models.fields import LookField, NumberField


class PatientQuerySet(models.QuerySet["Patient"]):
    """Patients as a person may see them."""

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "PatientQuerySet":
        """Patients of the centres in which the person has a role today; nobody else's."""
        return self.filter(centre__in=Membership.objects.centres_of(user))


@pghistory.track(exclude=["look"])  # derived from the identifier
class Patient(models.Model):
    """A person with CML. The key people use is (centre, patient_id); addresses use ``public_id``."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="patients")
    patient_id = models.CharField(_("patient id"), max_length=60)
    look = LookField(of="patient_id")
    sex = models.CharField(_("sex"), max_length=1, choices=choices.SEX, blank=True)
    born_on = models.DateField(_("date of birth"), null=True, blank=True)
    born_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    diagnosed_on = models.DateField(_("diagnosed on"), null=True, blank=True)
    diagnosed_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    transcript = models.CharField(_("transcript"), max_length=20, choices=choices.TRANSCRIPT, blank=True)
    risk_score = models.CharField(_("risk score"), max_length=10, blank=True)
    risk_group = models.CharField(_("risk group"), max_length=15, blank=True)
    spleen_cm = NumberField(_("spleen below the costal margin, cm"), null=True, blank=True)
    platelets_e9_per_l = NumberField(_("platelets, 10⁹/L"), null=True, blank=True)
    blasts_percent = NumberField(_("blasts in peripheral blood, %"), null=True, blank=True)
    phase = models.CharField(_("phase at diagnosis"), max_length=2, blank=True)
    first_mmr_on = models.DateField(_("first MMR, reached elsewhere"), null=True, blank=True)
    first_mmr_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    first_dmr_on = models.DateField(_("first DMR, reached elsewhere"), null=True, blank=True)
    first_dmr_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    merged_into = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="merged_here")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = PatientQuerySet.as_manager()

    class Meta:
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        constraints = [
            models.UniqueConstraint(fields=["centre", "patient_id"], name="patient_key"),
            models.UniqueConstraint(fields=["centre", "look"], name="patient_look"),
            models.CheckConstraint(condition=Q(sex__in=["", "F", "M", "X"]), name="patient_sex_known_code"),
            models.CheckConstraint(
                condition=Q(born_on__isnull=True)
                | Q(diagnosed_on__isnull=True)
                | Q(born_on__lte=F("diagnosed_on"))
                | ~Q(born_precision="day")
                | ~Q(diagnosed_precision="day"),
                name="patient_born_before_diagnosis",
            ),
        ]
        indexes = [
            models.Index(fields=["patient_id"], name="patient_by_pseudonym"),
            models.Index(fields=["born_on", "diagnosed_on"], name="patient_by_birth"),
        ]

    def __str__(self) -> str:
        return self.patient_id


class PatientIdentity(models.Model):
    """Name and hospital number, encrypted under a key derived for this person; found by a keyed blind index.

    Outside the history tables on purpose: erasing this row erases the identity.
    """

    patient = models.OneToOneField(Patient, models.PROTECT, related_name="identity")
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="+")
    encrypted = models.BinaryField()
    hospital_number_index = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["centre", "hospital_number_index"], name="identity_hospital_number_once")
        ]
