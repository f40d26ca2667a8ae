"""E-mail about an alert: which centre, how sure, where to look. Never a name, a number or a value of a patient.

Headers are built from text that has been made safe, so that no stored value can stop a message.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.message import sanitize_address
from django.utils.translation import gettext as _

from monitoring.domain.text.plain_text import without_odd

MOST_LINKS = 50


@dataclass(frozen=True, slots=True)
class Message:
    """All that a channel needs; made before sending, so that sending needs no database."""

    key: str
    address: str
    about: str
    centre: str
    alert_ids: tuple[str, ...]  # several where messages of one lesser kind became one
    certainty: str
    round: int
    urgency: str = "routine"
    operational: bool = False
    channel: str = "email"
    secret: bytes = b""  # of a program: the key that signs, or the address of a gateway


class BadAddress(ValueError):
    """What is stored as an e-mail address is none."""


def compose(message: Message) -> EmailMessage:
    """The mail of a message. Raises ``BadAddress``."""
    address = without_odd(message.address, "")
    try:
        sanitize_address(address, "utf-8")  # refuses one that is none, or several, whatever the mail backend would do
    except ValueError as problem:
        raise BadAddress(str(problem)) from problem
    host = urlsplit(settings.PUBLIC_URL).hostname
    digest = hashlib.sha256(message.key.encode()).hexdigest()[:32]
    subject, body = subject_and_body(message)
    return EmailMessage(
        subject=subject,
        body=body,
        to=[address],
        headers={
            "Message-ID": f"<{digest}@{host}>",
            "X-Alert-Delivery": without_odd(message.key),
            "Auto-Submitted": "auto-generated",
        },
    )


def subject_and_body(message: Message) -> tuple[str, str]:
    """The words of a message, for whatever carries them."""
    return without_odd(_subject(message)), _body(message)


def _subject(message: Message) -> str:
    if message.about == "withdrawn":
        return _("Centre %(centre)s: an alert was withdrawn") % {"centre": message.centre}
    if message.operational:
        return _("Centre %(centre)s: work of the service was set aside") % {"centre": message.centre}
    words = {
        "urgent": (
            _("Centre %(centre)s: URGENT: a haematology result needs review"),
            _("Centre %(centre)s: URGENT: a haematology result still needs review"),
        ),
        "soon": (
            _("Centre %(centre)s: soon: a haematology patient needs review"),
            _("Centre %(centre)s: soon: a haematology patient still needs review"),
        ),
    }.get(
        message.urgency,
        (
            _("Centre %(centre)s: a haematology record needs review"),
            _("Centre %(centre)s: a haematology record still needs review"),
        ),
    )
    return words[message.round > 1] % {"centre": message.centre}


def _body(message: Message) -> str:
    root = f"{settings.PUBLIC_URL.rstrip('/')}/alerts/"
    links = "\n".join(f"{root}{alert_id}/" for alert_id in message.alert_ids[:MOST_LINKS])
    if len(message.alert_ids) > MOST_LINKS:
        links += "\n" + _("… %(count)s in all: %(inbox)s") % {"count": len(message.alert_ids), "inbox": root}
    if message.about == "withdrawn":
        words = _(
            "The alert no longer holds: its evidence was corrected. You were told of it, so you are told of this."
        )
    else:
        words = _("Sign in to see it and to acknowledge it. Opening this link acknowledges nothing.")
    first = message.alert_ids[0]
    return f"{words}\n\n{links}\n\n{_('Alert')} {first} · {message.certainty} · {_('message')} {message.round}\n"
