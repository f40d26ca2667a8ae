"""E-mail about an alert: which centre, how sure, where to look. Never a name, a number or a value of a patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Message:
    """All that a channel needs; made before sending, so that sending needs no database."""

    key: str
    address: str
    about: str
    centre: str
    alert_id: str
    certainty: str
    round: int


def send(message: Message) -> str:
    """Send one message; returns what the channel said. Raises ``OSError`` or ``smtplib.SMTPException`` on failure."""
    host = urlsplit(settings.PUBLIC_URL).hostname
    digest = hashlib.sha256(message.key.encode()).hexdigest()[:32]
    mail = EmailMessage(
        subject=_subject(message),
        body=_body(message),
        to=[message.address],
        headers={
            "Message-ID": f"<{digest}@{host}>",
            "X-Alert-Delivery": message.key,
            "Auto-Submitted": "auto-generated",
        },
    )
    mail.send()
    return f"accepted for {message.address}"


def _subject(message: Message) -> str:
    if message.about == "withdrawn":
        return _("Centre %(centre)s: an alert was withdrawn") % {"centre": message.centre}
    if message.round > 1:
        return _("Centre %(centre)s: a haematology result still needs review") % {"centre": message.centre}
    return _("Centre %(centre)s: a haematology result needs review") % {"centre": message.centre}


def _body(message: Message) -> str:
    link = f"{settings.PUBLIC_URL.rstrip('/')}/alerts/{message.alert_id}/"
    if message.about == "withdrawn":
        words = _(
            "The alert no longer holds: its evidence was corrected. You were told of it, so you are told of this."
        )
    else:
        words = _("Sign in to see it and to acknowledge it. Opening this link acknowledges nothing.")
    return (
        f"{words}\n\n{link}\n\n{_('Alert')} {message.alert_id} · {message.certainty} · {_('message')} {message.round}\n"
    )
