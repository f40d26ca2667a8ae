"""Every night: each centre's open alerts as a list on disk, and a mail that says how many wait.

A dead system must leave paper: the list is a page that any browser prints, in a folder the operator copies elsewhere.
It holds pseudonyms and values, so the folder is closed to others; the mail holds neither.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import smtplib
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.models import Centre, Role
from monitoring.selectors.open_alerts import MOST_LISTED, counts_in, open_in
from monitoring.services.alerts.audience import audience
from monitoring.services.alerts.ladders import Step
from monitoring.services.foundation.jobs import claim_slot, finish, put_off

LEASE_SECONDS = 600
READERS = Step((Role.CLINICIAN, Role.ADMINISTRATOR), dt.timedelta(days=1))


def write_lists(*, now: dt.datetime) -> int:
    """Write the list of every centre, each in one piece; returns how many. Raises ``OSError``."""
    folder = Path(settings.OPEN_ALERTS_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = 0
    for centre in Centre.objects.filter(is_canary=False).order_by("pk").iterator():
        page = render_to_string("alerts/list.html", printed([centre], now))
        target = folder / f"{centre.pk}-{re.sub('[^A-Za-z0-9_-]', '_', centre.code)}.html"
        part = target.with_suffix(".part")
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        written += 1
    return written


def printed(centres: Sequence[Centre], now: dt.datetime) -> dict[str, object]:
    """What the printed list shows."""
    alerts = list(open_in(centres)[: MOST_LISTED + 1])
    return {
        "alerts": alerts[:MOST_LISTED], "is_cut": len(alerts) > MOST_LISTED, "centres": centres, "now": now,
        "root": settings.PUBLIC_URL.rstrip("/"),
    }  # fmt: skip


def send_digests(slot_at: dt.datetime, *, now: dt.datetime) -> tuple[int, int]:
    """Tell the people of each centre what waits there; returns how many mails were taken and how many were not.

    A centre without open alerts is left in peace. Each person is told once a slot; a mail that was not taken stays
    owed, and is tried again by whoever asks for the slot again.
    """
    taken = failed = 0
    for centre in Centre.objects.filter(is_canary=False).order_by("pk"):
        counts = counts_in(centre)
        if not counts.open:
            continue
        subject = _("Centre %(centre)s: %(open)s alerts are open, %(urgent)s of them urgent") % {
            "centre": centre.code, "open": counts.open, "urgent": counts.urgent
        }  # fmt: skip
        address = settings.PUBLIC_URL.rstrip("/") + reverse("alerts-list")
        body = _("Nobody has acknowledged %(unseen)s of the urgent ones. The list, to print:") % {
            "unseen": counts.unseen
        }  # fmt: skip
        for person in audience([centre.pk], READERS, now.date())[centre.pk]:
            job = f"digest:{centre.pk}:{person.pk}"
            run = claim_slot(job, slot_at, now=now, lease_seconds=LEASE_SECONDS) if person.email else None
            if run is None:
                continue
            is_taken = _send(person, subject, f"{body}\n\n{address}\n")
            taken, failed = taken + is_taken, failed + (not is_taken)
            if is_taken:
                finish(run, ok=True, detail="", now=now)
            else:
                put_off(run, detail="not taken", until=now)
    return taken, failed


def _send(person: User, subject: str, body: str) -> bool:
    mail = EmailMessage(subject, body, to=[person.email], headers={"Auto-Submitted": "auto-generated"})
    try:
        mail.send()
    except (OSError, smtplib.SMTPException, ValueError):
        return False
    return True
