"""Every error in one shape: ``application/problem+json`` (RFC 9457), with the fields and the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from psycopg.errors import DeadlockDetected, SerializationFailure
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from monitoring.api.refusals import ApiProblem, field_refusal
from monitoring.intake.reports import LineProblem
from monitoring.intake.values import CellProblem
from monitoring.services.alerts.escalation import AlertConflictError
from monitoring.services.entry.verdicts import Problem
from monitoring.services.entry.verification import VerificationRefused
from monitoring.services.foundation.stale_version import StaleVersionError

PROBLEM_TYPE = "application/problem+json"
DATABASE_AWAY = (OperationalError, InterfaceError)  # InterfaceError: the session ended while it was in use


def problem_body(
    status: int, detail: str, errors: Sequence[Problem] = (), extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The members of a problem."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [{"field": e.column, "value": e.value, "reason": e.reason} for e in errors],
        **(extra or {}),
    }


def answer(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into a problem; what nobody foresaw surfaces as it is."""
    translated = _translated(exc)
    if translated is None:
        return None
    set_rollback()
    headers = {}
    if isinstance(translated, exceptions.APIException):
        if getattr(translated, "auth_header", None):
            headers["WWW-Authenticate"] = translated.auth_header  # type: ignore[attr-defined]  # set by DRF's view
        if isinstance(translated, exceptions.MethodNotAllowed):
            headers["Allow"] = ", ".join(context["view"].allowed_methods)
    body = problem_body(
        translated.status_code, _words(translated), _errors(translated), getattr(translated, "extra", None)
    )
    return Response(body, status=translated.status_code, headers=headers, content_type=PROBLEM_TYPE)


def _translated(exc: Exception) -> exceptions.APIException | None:
    if isinstance(exc, exceptions.APIException):
        return exc
    if isinstance(exc, Http404):
        return exceptions.NotFound()
    if isinstance(exc, DjangoPermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exc, LineProblem):
        return field_refusal(exc.cell.column, exc.cell.value, exc.cell.reason)
    if isinstance(exc, CellProblem):
        return field_refusal(exc.column, exc.value, exc.reason)
    if isinstance(exc, StaleVersionError):
        return ApiProblem(HTTPStatus.PRECONDITION_FAILED, str(exc))
    if isinstance(exc, AlertConflictError | VerificationRefused):
        return ApiProblem(HTTPStatus.CONFLICT, str(exc))
    if isinstance(exc, DATABASE_AWAY):
        return ApiProblem(HTTPStatus.SERVICE_UNAVAILABLE, why_not_stored(exc))
    return None


def why_not_stored(exc: BaseException) -> str:
    """A database that does not answer, or one that answered that two changes cannot both be made."""
    if isinstance(exc.__cause__, DeadlockDetected | SerializationFailure):
        return _("Another change was made at the same moment; nothing of yours was stored. Try again.")
    return _("The database does not answer; nothing was stored. Try again.")


def _words(exc: exceptions.APIException) -> str:
    if isinstance(exc, exceptions.ValidationError):
        return _("Some fields cannot be used; nothing was stored.")
    return str(exc.detail)


def _errors(exc: exceptions.APIException) -> Sequence[Problem]:
    if isinstance(exc, ApiProblem):
        return exc.errors
    if isinstance(exc, exceptions.ValidationError) and isinstance(exc.detail, dict):
        return [Problem(str(field), "", " ".join(str(r) for r in reasons)) for field, reasons in exc.detail.items()]
    return ()


def not_found(request: HttpRequest, path: str = "") -> JsonResponse:
    """The answer of every address under /api/ that does not exist."""
    body = problem_body(404, _("There is nothing at this address."))
    return JsonResponse(body, status=404, content_type=PROBLEM_TYPE)
