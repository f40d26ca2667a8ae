"""What all addresses share: roles, lists that refuse unknown filters, preconditions, and repeated requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.api.paging import Pages
from monitoring.api.permissions import RolesAllow
from monitoring.api.refusals import ApiProblem, field_refusal
from monitoring.models import IdempotentRequest, Role
from monitoring.permissions import ANY_ROLE
from monitoring.services.entry.reach import Reach, reach_of
from monitoring.services.foundation.stale_version import StaleVersionError
from monitoring.wording.unknown import unknown_word

LONGEST_KEY = 200
# Those who record facts; an analyst only reads.


class Resource(GenericAPIView[Any]):
    """An address of the API. Who may read and who may write is named by each; without a name nobody may."""

    permission_classes = (RolesAllow,)
    pagination_class = Pages
    http_method_names = ["get", "head", "post", "patch"]  # OPTIONS would describe the address in words of its own
    filterset_class: ClassVar[Any] = None
    read_roles: ClassVar[tuple[Role, ...]] = ANY_ROLE
    write_roles: ClassVar[tuple[Role, ...]] = ()
    memberships: frozenset[tuple[int, str]] = frozenset()  # of who asks, today; set where roles are checked

    def centres_with(self, roles: Sequence[Role]) -> set[int]:
        """The ids of the centres in which who asks has one of these roles."""
        return {centre for centre, role in self.memberships if role in roles}

    def reach(self, roles: Sequence[Role]) -> Reach:
        """How far who asks may write with these roles; a token says whether a laboratory's own system asks."""
        system_of = getattr(self.request.auth, "laboratory_id", None)
        return reach_of(self.memberships, roles, system_of=system_of)

    @property
    def person(self) -> User:
        """Who asks; permissions have let nobody else through."""
        assert isinstance(self.request.user, User)
        return self.request.user

    def listed(self, request: Request) -> Response:
        """A page of the rows that this person may see, by the filters of the address."""
        self._refuse_unknown_filters(request)
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None
        return self.get_paginated_response(self.get_serializer(self.furnished(page), many=True).data)

    def furnished(self, page: Sequence[Any]) -> Sequence[Any]:
        """The rows of a page with all that an answer shows."""
        return page

    def _refuse_unknown_filters(self, request: Request) -> None:
        known = sorted({"page", "page_size", *self.filterset_class.base_filters})
        for name in request.query_params:
            if name not in known:
                reason = unknown_word(
                    name,
                    known,
                    near=_("is not a filter; did you mean %(near)s?"),
                    none_near=_("is not a filter; known are %(known)s"),
                )
                raise field_refusal(name[:60], "", reason)
        order = request.query_params.get("ordering", "")
        if order and not all(part.strip(" -") for part in order.split(",")):
            raise field_refusal("ordering", order, _("write names with commas between them"))


# --- preconditions -----------------------------------------------------------------------------------------------


def etag(version: object) -> dict[str, str]:
    """The header that names the version of what is answered."""
    return {"ETag": f'"{version}"'}


def digest_of(representation: dict[str, Any]) -> str:
    """The version of a row that has no number of its own: a digest of what is shown of it."""
    return hashlib.sha256(json.dumps(representation, sort_keys=True, default=str).encode()).hexdigest()[:16]


def require_match(request: Request, version: object) -> None:
    """Raise unless ``If-Match`` names this version: 428 without the header, 412 with another version."""
    given = request.headers.get("If-Match")
    if given is None:
        raise ApiProblem(
            HTTPStatus.PRECONDITION_REQUIRED,
            _("Send If-Match with the ETag that you have read, so that nobody's change is overwritten."),
        )
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in given.split(",")]
    if "*" not in tags and str(version) not in tags:
        raise StaleVersionError(_("It has changed since you read it; read it again and decide anew."))


# --- repeated requests -------------------------------------------------------------------------------------------


def idempotently(request: Request, deed: Callable[[], Response]) -> Response:
    """Do the deed and its record in one transaction; a request repeated with its ``Idempotency-Key`` gets its answer.

    Another request under a key that was used is refused (422). Refusals are not kept: they had no effect.
    """
    key = request.headers.get("Idempotency-Key")
    with transaction.atomic():
        if key is None:
            return deed()
        if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
            reason = _("write 1 to %(most)s printable ASCII characters") % {"most": LONGEST_KEY}
            raise field_refusal("Idempotency-Key", key, reason)
        fingerprint = _fingerprint(request)
        mine = IdempotentRequest(user=request.user, key=key, fingerprint=fingerprint)  # type: ignore[misc]  # RolesAllow let nobody anonymous through
        # Of two at once the second waits here until the first has committed or failed.
        IdempotentRequest.objects.bulk_create([mine], ignore_conflicts=True)
        row = IdempotentRequest.objects.select_for_update().get(user=request.user, key=key)  # type: ignore[misc]  # as above
        if bytes(row.fingerprint) != fingerprint:
            words = _("This Idempotency-Key was used for another request.")
            raise ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, words)
        if row.status is not None:
            headers = {"Idempotency-Replayed": "true"} | ({"ETag": row.etag} if row.etag else {})
            return Response(row.body, status=row.status, headers=headers)
        response = deed()
        row.status, row.body = response.status_code, response.data
        row.etag = response.headers.get("ETag", "")
        row.save(update_fields=["status", "body", "etag"])
        return response


def _fingerprint(request: Request) -> bytes:
    _data = request.data  # the parser keeps the raw body
    parts = [request.method or "", request.path, request.headers.get("If-Match", "")]
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + getattr(request, "raw_body", b"")).digest()
