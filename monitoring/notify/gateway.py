"""Chat and SMS gateways, spoken to by apprise; only vendors whose hosts are fixed, and hosts the operator has named.

An address is one service with one target: apprise itself would read several from one text, answer for all of them
together, and take options by which a service reads files or calls elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from monitoring.notify.mail import Message, subject_and_body
from monitoring.notify.outside import ForbiddenAddress
from monitoring.notify.relay import Verdict

if TYPE_CHECKING:
    from apprise import NotifyBase

# Schemes of apprise whose host is the vendor's own, over TLS.
VENDORS = frozenset(
    {"slack", "discord", "twilio", "sinch", "clicksend", "vonage", "msgbird", "threema", "pover", "gchat", "pagerduty"}
    | {"opsgenie", "wxteams"}
)
# Schemes whose host is in the address: only where the operator has named the host.
OWN_HOSTS = frozenset({"mmosts", "rockets", "matrixs", "signals", "ntfys", "gotifys", "jsons"})
SEPARATORS = ",;?&"


class GatewayRefused(OSError):
    """The gateway did not say that it took a message; apprise tells no more than that."""


def gateway_of(address: str) -> NotifyBase:
    """The service of an address. Raises ``ForbiddenAddress`` for one that is not called."""
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ForbiddenAddress(_("is not an address")) from None
    if not address.isprintable() or any(c.isspace() or c in SEPARATORS for c in address):
        raise ForbiddenAddress(_("names one service, without options, blanks, commas or semicolons"))
    if parts.scheme in OWN_HOSTS:
        if parts.hostname not in settings.WEBHOOK_INTERNAL_HOSTS:
            words = _("names the host %(host)s; the operator allows it by WEBHOOK_INTERNAL_HOSTS")
            raise ForbiddenAddress(words % {"host": parts.hostname})
    elif parts.scheme not in VENDORS:
        known = ", ".join(sorted(VENDORS | OWN_HOSTS))
        raise ForbiddenAddress(_("must begin with one of %(known)s") % {"known": known})
    from apprise import Apprise, AppriseAsset  # loads slowly, and only whoever sends needs it

    service = Apprise.instantiate(address, asset=AppriseAsset(http_redirects=False))
    if service is None:
        raise ForbiddenAddress(_("cannot be read by apprise; see its documentation of this service"))
    if len(service) != 1:  # it would answer for all of them together: one that fails would repeat the others
        raise ForbiddenAddress(_("names several targets; add each as a program of its own"))
    return service


class Gateway:
    """One message at a time; apprise bounds every wait itself."""

    def send(self, message: Message) -> None:
        """Raises ``GatewayRefused`` and ``ForbiddenAddress``."""
        service = gateway_of(message.secret.decode())
        subject, body = subject_and_body(message)
        if not service.notify(title=subject, body=body):
            raise GatewayRefused("the gateway did not take it")

    def cut(self) -> None:
        """A call cannot be ended from outside; apprise ends it after some seconds."""

    def close(self) -> None:
        """Nothing is kept between messages."""

    def verdict(self, problem: Exception) -> Verdict:
        """What a failure says about the message: apprise does not say whether its text had left."""
        return Verdict.REFUSED if isinstance(problem, ForbiddenAddress) else Verdict.MAY_HAVE_ARRIVED
