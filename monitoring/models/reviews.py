"""What a second person says of a preliminary result besides verifying it."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ReviewKind(models.TextChoices):
    """What the second person asks for."""

    SENT_BACK = "sent_back", _("sent back")
    REPEAT = "repeat", _("repeat asked for")


class ReviewNote(models.Model):
    """A word about one version of a result: it goes back to whoever entered it, or is measured again.

    The next version answers it; until then the result waits outside the lanes of the second person.
    """

    result = models.UUIDField()  # the public id
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=ReviewKind.choices)
    note = models.CharField(_("note"), max_length=500)
    at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["result", "version"], name="review_note_of_version")]
        triggers = [pgtrigger.Protect(name="facts_are_kept", operation=pgtrigger.Update | pgtrigger.Delete)]
