"""What is owed, what ran, what was loaded, who looked, who may call."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models.centres import Centre
from monitoring.models.laboratories import Laboratory
from monitoring.models.patients import Patient


class ClassificationRequest(models.Model):
    """A patient is owed a classification. Rows are only inserted; the classifier deletes what it has read."""

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())
    bulk = models.BooleanField(default=False)
    by_rules = models.BooleanField(default=False)  # rules changed, and no fact: what it raises is one hand-over
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["bulk", "attempts", "id"], name="request_in_order")]


class JobRun(models.Model):
    """A periodic job and its slot; whoever claims the row runs it, and a lease ends what was killed."""

    job = models.CharField(max_length=100)
    slot_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    ok = models.BooleanField(null=True)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "slot_at"], name="job_once_per_slot")]
        indexes = [
            models.Index(fields=["slot_at"], condition=models.Q(finished_at__isnull=True), name="job_unfinished")
        ]


class Heartbeat(models.Model):
    """When a part of the service last did a whole round of its work."""

    name = models.CharField(max_length=40, unique=True)
    beat_at = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True)


class Lead(models.Model):
    """Who leads a part of the service of which one copy works: a lease, and a number that grows with each new leader.

    A leader that was silent for longer than its lease has lost it; the number tells what it writes afterwards apart.
    """

    name = models.CharField(max_length=40, unique=True)
    fence = models.PositiveBigIntegerField(default=0)
    until = models.DateTimeField()


class SetAsideKind(models.TextChoices):
    """The pieces of work that can be set aside."""

    STEP = "step", _("step of a round")
    DELIVERY = "delivery", _("message")
    ESCALATION = "escalation", _("next step of an alert")
    CLASSIFICATION = "classification", _("classification of a patient")
    UNVERIFIED = "unverified", _("watch over an unverified result")
    SUSPICIOUS = "suspicious", _("watch over a suspicious value")
    OVERDUE = "overdue", _("watch over the next sample of a patient")
    NO_RESTART = "no_restart", _("watch over the restart of a patient")
    NO_MMR_AFTER_RESTART = "no_mmr_after_restart", _("watch over the response after a restart")
    UPLOAD = "upload", _("file that waits to be loaded")
    NIGHT = "night", _("nightly job")
    HOUSE = "house", _("nightly lists, mails and forgetting")
    LADDER = "ladder", _("escalation policy of a centre")
    TIME_ZONE = "time_zone", _("time zone of a centre")
    CENTRE = "centre", _("telling the administrators of a centre")
    ADDRESS = "address", _("e-mail address of a person")
    PART = "part", _("part of the service that keeps ending")


class SetAside(models.Model):
    """A piece of work that failed for a reason nobody foresaw: passed over until ``retry_at``, then tried again.

    ``key`` names the piece by a public id; ``error`` says which kind of error came from where. Neither holds a
    patient's values. Without a centre it concerns all of them.
    """

    kind = models.CharField(max_length=30, choices=SetAsideKind.choices)
    key = models.CharField(max_length=200)
    centre = models.ForeignKey(Centre, models.PROTECT, null=True, related_name="+")
    error = models.CharField(max_length=300)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=1)
    retry_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="set_aside_once")]
        indexes = [
            models.Index(
                fields=["kind", "retry_at"], condition=models.Q(settled_at__isnull=True), name="set_aside_open"
            )
        ]


class ImportRun(models.Model):
    """One file that was loaded, or tried in a dry run, and what became of its rows.

    A file given on the page waits here with its content until a worker has read it; ``verdicts`` is a compressed CSV
    with one line a row of the file, ``refused`` the refused rows themselves, and ``foreseen`` what a file that was only
    tried would mean (JSON). All are personal: encrypted under a key of the run, and dropped after a while.
    """

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    kind = models.CharField(max_length=20)
    file_name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    dry_run = models.BooleanField(default=False)
    amend_reason = models.CharField(max_length=500, blank=True)
    language = models.CharField(max_length=10, default="en")
    content = models.BinaryField(null=True)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    rows = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    notes = models.JSONField(default=list)
    verdicts = models.BinaryField(null=True)
    refused = models.BinaryField(null=True)
    foreseen = models.BinaryField(null=True)
    problem = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["by", "-started_at"], name="import_of_user"),
            models.Index(
                fields=["started_at"],
                condition=models.Q(finished_at__isnull=True, content__isnull=False),
                name="import_owed",
            ),
        ]


class AccessEvent(models.Model):
    """Who looked at identifiable data or took an export."""

    at = models.DateTimeField(db_default=Now())
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    action = models.CharField(max_length=40)
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, related_name="+")
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]


class IdempotentRequest(models.Model):
    """The answer to a write that a program named with a key of its own: the same request again gets the same answer."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    etag = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_by_age")]


class ApiToken(models.Model):
    """A program's key, stored as a hash; the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="api_tokens")
    # The laboratory whose own system calls: what it sends may be final. Empty for a person's programs.
    laboratory = models.ForeignKey(Laboratory, models.PROTECT, null=True, related_name="+")
    token_hash = models.BinaryField(unique=True)
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)


class SignInTries(models.Model):
    """How often somebody tried to sign in lately, under one name or from one address.

    The digest is keyed, so that the table tells neither who nor from where.
    """

    digest = models.BinaryField(primary_key=True)
    tries = models.PositiveIntegerField()
    since = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["since"], name="sign_in_tries_by_age")]
