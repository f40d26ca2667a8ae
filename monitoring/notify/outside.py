"""Which addresses outside the service may be called: those of the internet, and hosts that the operator has named.

A person who configures an address must not make the service call machines that only the service can reach. So a name is
resolved here, every address is judged, and the connection goes to the very address that was judged.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _


class ForbiddenAddress(ValueError):
    """An address that may not be called; the words say why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and the name for which the other side must have its certificate."""

    host: str
    port: int
    ip: str
    path: str


def read_address(url: str) -> SplitResult:
    """The parts of an address of a webhook. Raises ``ForbiddenAddress`` for what is never called."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ForbiddenAddress(_("is not an address")) from None
    if parts.scheme != "https":
        raise ForbiddenAddress(_("begins with https://, so that nobody reads along"))
    if not parts.hostname or parts.username or parts.password or parts.fragment:
        raise ForbiddenAddress(_("names a host and a path, and neither a user nor a #"))
    if port is not None and port != 443 and port < 1024:
        raise ForbiddenAddress(_("uses port 443 or one from 1024 on"))
    if not url.isascii() or any(character.isspace() or not character.isprintable() for character in url):
        raise ForbiddenAddress(_("holds a blank or a character that is not seen"))
    return parts


def resolve(url: str) -> Target:
    """Where an address leads now. Raises ``ForbiddenAddress``, and ``OSError`` where the name is not known."""
    parts = read_address(url)
    host, port = str(parts.hostname), parts.port or 443
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a part of the name that is empty or too long
        raise ForbiddenAddress(_("is not an address")) from None
    ips = [str(entry[4][0]) for entry in found]
    if host not in settings.WEBHOOK_INTERNAL_HOSTS:
        for ip in ips:  # one bad address is enough: which of them is used is not ours to say
            if not _is_public(ip):
                words = _("leads to %(ip)s, which is inside; the operator allows a host by WEBHOOK_INTERNAL_HOSTS")
                raise ForbiddenAddress(words % {"ip": ip})
    return Target(host, port, ips[0], path)


def _is_public(ip: str) -> bool:
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return _is_public(str(inner))
        if address in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address.is_site_local or any(address in network for network in _OTHER_INSIDE):
            return False
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# NAT64 of a house's own, and the old form of an IPv4 address.
_OTHER_INSIDE = (ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("::/96"))
