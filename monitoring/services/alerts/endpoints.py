"""Programs that are told of a centre's alerts: added, tried, ended."""

from __future__ import annotations

import datetime as dt
import secrets
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from monitoring.domain.alerting.kinds import Severity
from monitoring.models import AlertEndpoint, Centre, EndpointKind
from monitoring.notify.gateway import gateway_of
from monitoring.notify.outside import ForbiddenAddress, resolve
from monitoring.services.foundation.actors import recorded_as
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.foundation.sealing import seal, unseal

PURPOSE = "alert endpoint"


def secret_of(endpoint: AlertEndpoint) -> bytes:
    """The key that signs, or the address of a gateway. Raises ``ForbiddenAddress`` where it cannot be read any more."""
    secret = unseal(endpoint.sealed, owner=endpoint.public_id, purpose=PURPOSE)
    if secret is None:
        raise ForbiddenAddress("was sealed under another IDENTITY_KEY; add it again")
    return secret


def add_endpoint(
    centre: Centre, kind: EndpointKind, *, name: str, address: str, severity: Severity, by: User
) -> tuple[AlertEndpoint, str]:
    """Let a program hear of a centre's alerts from now on; returns it with the key that signs, which is shown once.

    Raises ``FieldProblem`` for an address that is never called or a name that is taken.
    """
    shown, key = address, ""
    try:
        if kind is EndpointKind.WEBHOOK:
            resolve(address)
            key = secrets.token_urlsafe(32)
        else:
            gateway_of(address)
            shown = f"{urlsplit(address).scheme}://…"  # the rest holds its password
    except ForbiddenAddress as problem:
        raise FieldProblem("address", _("%(address)s %(why)s") % {"address": shown, "why": problem}) from None
    except OSError:
        words = _("the host of %(address)s is not known; correct the address")
        raise FieldProblem("address", words % {"address": address}) from None
    endpoint = AlertEndpoint(
        centre=centre, kind=kind.value, name=name, address=shown, severity=severity.value, added_by=by, sealed=b""
    )  # fmt: skip
    try:
        with transaction.atomic(), recorded_as(by.get_username(), "add endpoint"):
            endpoint.save()
            endpoint.refresh_from_db(fields=["public_id"])
            endpoint.sealed = seal((key or address).encode(), owner=endpoint.public_id, purpose=PURPOSE)
            endpoint.save(update_fields=["sealed"])
    except IntegrityError:
        raise FieldProblem("name", _("%(name)s is taken; choose another name") % {"name": name}) from None
    return endpoint, key


def end_endpoint(endpoint: AlertEndpoint, *, by: User, now: dt.datetime) -> None:
    """Tell a program nothing more; what is owed already still leaves."""
    with transaction.atomic(), recorded_as(by.get_username(), "end endpoint"):
        endpoint.ended_at = now
        endpoint.save(update_fields=["ended_at"])
