"""Chat and SMS gateways, spoken to by apprise; only vendors whose hosts are fixed, and hosts the operator has named."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from monitoring.notify.mail import Message, subject_and_body
from monitoring.notify.outside import ForbiddenAddress
from monitoring.notify.relay import Verdict

# Schemes of apprise whose host is the vendor's own, over TLS.
VENDORS = frozenset(
    {"workflows", "slack", "discord", "twilio", "sinch", "clicksend", "vonage", "msgbird", "threema", "pover", "gchat"}
    | {"pagerduty", "opsgenie", "wxteams"}
)
# Schemes whose host is in the address: only where the operator has named the host.
OWN_HOSTS = frozenset({"mmosts", "rockets", "matrixs", "signals", "ntfys", "gotifys", "jsons"})


class GatewayRefused(OSError):
    """The gateway did not take a message; apprise says no more than that."""


def check_gateway(address: str) -> None:
    """Raises ``ForbiddenAddress`` for an address that is not called."""
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ForbiddenAddress(_("is not an address")) from None
    if parts.scheme in OWN_HOSTS:
        if parts.hostname not in settings.WEBHOOK_INTERNAL_HOSTS:
            words = _("names the host %(host)s; the operator allows it by WEBHOOK_INTERNAL_HOSTS")
            raise ForbiddenAddress(words % {"host": parts.hostname})
    elif parts.scheme not in VENDORS:
        known = ", ".join(sorted(VENDORS | OWN_HOSTS))
        raise ForbiddenAddress(_("must begin with one of %(known)s") % {"known": known})
    from apprise import Apprise  # loads slowly, and only whoever sends needs it

    if not Apprise().add(address):
        raise ForbiddenAddress(_("cannot be read by apprise; see its documentation of this service"))


class Gateway:
    """One message at a time; apprise bounds every wait itself."""

    def send(self, message: Message) -> None:
        """Raises ``GatewayRefused`` and ``ForbiddenAddress``."""
        from apprise import Apprise

        address = message.secret.decode()
        check_gateway(address)
        gateway = Apprise()
        gateway.add(address)
        subject, body = subject_and_body(message)
        if not gateway.notify(title=subject, body=body):
            raise GatewayRefused("the gateway did not take it")

    def cut(self) -> None:
        """A call cannot be ended from outside; apprise ends it after some seconds."""

    def close(self) -> None:
        """Nothing is kept between messages."""

    def verdict(self, problem: Exception) -> Verdict:
        """What a failure says about the message."""
        return Verdict.REFUSED if isinstance(problem, ForbiddenAddress) else Verdict.NOTHING_SENT
