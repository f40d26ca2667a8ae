"""A change of rules that is run against history before anybody makes it."""

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now


class BackTest(models.Model):
    """Asked for on a page, run by a worker in batches, kept for a month.

    ``change`` says what would be changed, ``title`` in words; ``answer`` holds the sums per centre as far as they are.
    """

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    title = models.CharField(max_length=200)
    change = models.JSONField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    up_to = models.BigIntegerField(default=0)  # the last patient who was looked at
    patients = models.PositiveIntegerField(default=0)  # how many there are to look at
    answer = models.JSONField(default=dict)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    failed = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["asked_at"], name="backtest_by_age")]
