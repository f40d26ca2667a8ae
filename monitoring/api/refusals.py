"""Refusals as the addresses raise them; ``problems`` turns each into the one shape of errors."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import exceptions

from monitoring.services.entry.verdicts import Problem


class ApiProblem(exceptions.APIException):
    """A refusal with a status, words, and the fields it is about; ``extra`` are members beside them."""

    def __init__(
        self, status: HTTPStatus, detail: str, errors: Sequence[Problem] = (), extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status_code = status.value
        self.errors = errors
        self.extra = extra or {}


def refusal_problem(errors: Sequence[Problem]) -> ApiProblem:
    """The refusal of a body for these reasons."""
    return ApiProblem(HTTPStatus.BAD_REQUEST, _("Some fields cannot be used; nothing was stored."), errors)


def field_refusal(field: str, value: object, reason: str) -> ApiProblem:
    """The refusal of a body for one reason."""
    return refusal_problem([Problem(field, "" if value is None else str(value)[:200], reason)])


def public_id_of(text: str) -> uuid.UUID:
    """An id in an address; what is no id is nothing that could be found."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise exceptions.NotFound from None
