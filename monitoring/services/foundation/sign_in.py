"""How often somebody may try to sign in: counted before a password is looked at, under the name and the address."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import unicodedata

from django.conf import settings
from django.db import connection
from django.db.models import F

from monitoring.models import SignInTries

TRIES_OF_A_NAME = 10
# Many people of one hospital come from one address; what succeeds is taken off again.
TRIES_OF_AN_ADDRESS = 100
WITHIN = dt.timedelta(minutes=15)

# One statement, so that tries made at the same moment all count.
_COUNT = """
insert into monitoring_signintries as kept (digest, tries, since) values (%(digest)s, 1, %(now)s)
on conflict (digest) do update set
    tries = case when kept.since <= %(before)s then 1 else least(kept.tries + 1, 1000000) end,
    since = case when kept.since <= %(before)s then excluded.since else kept.since end
returning tries, since
"""


def count_try(*, name: str, address: str, now: dt.datetime) -> dt.timedelta | None:
    """Count one try; returns how long nobody may try under this name or from this address, None where one may."""
    counted = ((_of_address(address), TRIES_OF_AN_ADDRESS), (_of_name(name), TRIES_OF_A_NAME))
    for digest, most in counted:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, {"digest": digest, "now": now, "before": now - WITHIN})
            tries, since = cursor.fetchone()
        if tries > most:
            wait: dt.timedelta = since + WITHIN - now
            return max(wait, dt.timedelta(seconds=1))
    return None


def forgive(*, name: str, address: str) -> None:
    """Somebody has signed in: the name starts anew, and this try does not count against the address."""
    forget_tries(name=name)
    SignInTries.objects.filter(digest=_of_address(address), tries__gt=0).update(tries=F("tries") - 1)


def forget_tries(*, name: str) -> None:
    """Let a name try again at once, because an administrator has sent its person a new link."""
    SignInTries.objects.filter(digest=_of_name(name)).delete()


def forget_old_tries(*, now: dt.datetime) -> int:
    """Drop the counts that hold nobody back any more; returns how many."""
    dropped, _ = SignInTries.objects.filter(since__lte=now - WITHIN).delete()
    return dropped


def _of_name(name: str) -> bytes:
    return _digest("name", unicodedata.normalize("NFKC", name).strip().casefold())


def _of_address(address: str) -> bytes:
    """An IPv6 network of 64 bits is one customer, who may take another address at each try."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return _digest("address", address)
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address
    return _digest("address", str(found))


def _digest(kind: str, text: str) -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), f"sign-in:{kind}:{text}".encode(), hashlib.sha256)
