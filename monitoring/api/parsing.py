"""Bodies as text cells: JSON numbers keep the digits that were sent, and the doors of files and programs are one."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from monitoring.api.refusals import ApiProblem, field_refusal
from monitoring.intake.numbers import unmistakable
from monitoring.wording.unknown import unknown_word

LONGEST_BODY_BYTES = 1_000_000
LONGEST_NUMBER = 60


class ExactJSONParser(BaseParser):
    """JSON whose numbers arrive as the text that was sent; what no text can hold is refused."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        raw = stream.read(LONGEST_BODY_BYTES + 1)
        if len(raw) > LONGEST_BODY_BYTES:
            words = _("A body has at most %(most)s bytes.") % {"most": LONGEST_BODY_BYTES}
            raise ApiProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        parser_context["request"].raw_body = raw
        try:
            body = json.loads(
                codecs.decode(raw, "utf-8"), parse_float=_plain, parse_int=_plain, parse_constant=_no_number
            )
        except UnicodeDecodeError:
            raise ParseError(_("The body is not UTF-8 text.")) from None
        except (ValueError, RecursionError) as problem:
            raise ParseError(_("The body is not JSON: %(problem)s") % {"problem": problem}) from None
        if not isinstance(body, dict):
            raise ParseError(_("The body must be an object: {…}."))
        return body


def _plain(text: str) -> str:
    """A JSON number as plain digits; one with an absurd exponent is left for the reader of the field to refuse."""
    if len(text) > LONGEST_NUMBER:
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    adjusted = number.adjusted() if number else 0
    return unmistakable(number) if abs(adjusted) < LONGEST_NUMBER else text


def _no_number(text: str) -> str:
    raise ValueError(_("%(text)s is not a number") % {"text": text})


def cells_of(body: Mapping[str, Any], columns: Iterable[str], *, lists: Iterable[str] = ()) -> dict[str, str]:
    """The members of a body as cells by column name. Raises a problem for unknown members and values that are no cell.

    ``lists`` are members that the caller reads itself.
    """
    known = (*columns, *lists)
    cells = {}
    for name, value in body.items():
        if name not in known:
            reason = unknown_word(
                name,
                known,
                near=_("is not a field; did you mean %(near)s?"),
                none_near=_("is not a field; known are %(known)s"),
            )
            raise field_refusal(name[:60], "", reason)
        if name in lists:
            continue
        cells[name] = cell_text(name, value)
    return cells


def cell_text(name: str, value: object) -> str:
    """One value as a cell: text, a number, true or false; null is not known."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise field_refusal(name, "", _("write a text, a number, true, false or null"))
    if "\x00" in value:
        raise field_refusal(name, "", _("holds a NUL character, which no text has"))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise field_refusal(name, "", _("holds half a character (a lone surrogate)")) from None
    return value.strip()
