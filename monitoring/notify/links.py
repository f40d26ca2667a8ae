"""E-mail with the link by which a person sets a password. Nothing of a patient is in it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

HOURS = settings.PASSWORD_RESET_TIMEOUT // 3600


def send_password_link(person: User) -> None:
    """Send the link in the language of whoever asks. Raises ``OSError`` or ``smtplib.SMTPException`` on failure."""
    of_person = {
        "uidb64": urlsafe_base64_encode(force_bytes(person.pk)),
        "token": default_token_generator.make_token(person),
    }
    link = settings.PUBLIC_URL.rstrip("/") + reverse("set-password", kwargs=of_person)
    host = urlsplit(settings.PUBLIC_URL).hostname
    words = _("You have an account at %(host)s; your user name is %(name)s. Set your password here:")
    ends = _("The link works once and for %(hours)s hours. If you did not expect it, tell your administrator.")
    body = f"{words % {'host': host, 'name': person.get_username()}}\n\n{link}\n\n{ends % {'hours': HOURS}}\n"
    subject = _("Set your password: CML monitoring")
    EmailMessage(subject=subject, body=body, to=[person.email], headers={"Auto-Submitted": "auto-generated"}).send()
