"""Rows that change in place, each change with its author in the history: patients, courses, observations."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, Generic, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.parsing import cells_of
from monitoring.api.refusals import ApiProblem, public_id_of, refusal_problem
from monitoring.api.resources import Resource, digest_of, etag, idempotently, require_match
from monitoring.models import Observation, Patient, TkiCourse
from monitoring.services.entry.records import change
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from monitoring.services.foundation.races import retry_lost_race

Row = TypeVar("Row", Patient, TkiCourse, Observation)


def answer_row(row: Any, serializer: type[serializers.BaseSerializer[Any]], status: HTTPStatus) -> Response:
    """A row as an answer, with the ETag that a change of it must send back."""
    shown = dict(serializer(row).data)
    return Response(shown, status=status, headers=etag(digest_of(shown)))


def recorded(verdict: Verdict, row: Any, serializer: type[serializers.BaseSerializer[Any]]) -> Response:
    """The answer to a new row: 201, or 200 where it was known; a contradiction is a conflict with the known id."""
    if verdict.action is RowOutcome.REFUSED:
        stored = any(problem.contradicts for problem in verdict.problems)
        if row is None or not stored:
            raise refusal_problem(verdict.problems)
        words = _("This is stored with other facts; change it with PATCH and If-Match, giving a reason.")
        raise ApiProblem(HTTPStatus.CONFLICT, words, verdict.problems, {"id": str(row.public_id)})
    return answer_row(row, serializer, HTTPStatus.CREATED if verdict.action is RowOutcome.CREATED else HTTPStatus.OK)


def judged(record: Callable[[], list[Verdict]]) -> Verdict:
    """The verdict on one new row. Who loses a race for its key is judged again, by what the winner stored."""
    (verdict,) = retry_lost_race(record)
    return verdict


class RowItem(Resource, Generic[Row]):
    """One row that can be changed in place."""

    changeable: ClassVar[tuple[str, ...]] = ()

    def visible(self) -> QuerySet[Row]:
        """The rows that this person may see."""
        raise NotImplementedError

    def values_of(self, row: Row, given: dict[str, str]) -> dict[str, Any]:
        """The given cells as values by field name, read as a file would be."""
        raise NotImplementedError

    def found(self, id: str) -> Row:
        """The row at this address, or 404 where there is none that this person may know of."""
        row = self.visible().filter(public_id=public_id_of(id)).first()
        if row is None:
            raise NotFound
        return row

    def changed(self, request: Request, id: str) -> Response:
        """Change the row under a lock, if it is still what was read."""
        return idempotently(request, lambda: self._change(request, id))

    def _change(self, request: Request, id: str) -> Response:
        row = self.found(id)
        patient = row if isinstance(row, Patient) else row.patient
        if patient.centre_id not in self.centres_with(self.write_roles):
            raise PermissionDenied
        self.visible().select_for_update(of=("self",), no_key=True).get(pk=row.pk)
        row = self.found(id)  # read again under the lock
        serializer = self.get_serializer_class()
        require_match(request, digest_of(dict(serializer(row).data)))
        given = cells_of(request.data, (*self.changeable, "reason"))
        reason = given.pop("reason", "")
        values = self.values_of(row, given)
        try:
            with transaction.atomic():
                problem = change(
                    row, values, by=self.person, reach=self.reach(self.write_roles), reason=reason, now=clock.now()
                )
        except IntegrityError:
            words = _("Another row of this patient has the same key already.")
            raise ApiProblem(HTTPStatus.CONFLICT, words) from None
        if problem is not None:
            raise refusal_problem([problem])
        return answer_row(self.found(id), serializer, HTTPStatus.OK)
