"""Middleware around every request: the address of the client, the bounds of a body, and that no answer is cached."""

from __future__ import annotations

import ipaddress
import re
import sys
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views import defaults

from monitoring.api.parsing import LONGEST_BODY_BYTES
from monitoring.api.problems import DATABASE_AWAY, PROBLEM_TYPE, problem_body, why_not_stored
from monitoring.pages.middleware import Answer

LONGEST_UPLOAD_BYTES = 11_000_000  # a file of 10 MB and what a form puts around it
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_READABLE = ("utf-8", "utf8", "us-ascii", "ascii")
_KEPT_BY_BROWSERS = ("/livez", "/readyz", "/favicon.ico")


class KnowTheClient:
    """The address and the scheme of the client, as a trusted proxy forwards them; from anyone else they are dropped."""

    def __init__(self, get_response: Answer) -> None:
        self._answer = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        forwarded_for = str(meta.pop("HTTP_X_FORWARDED_FOR", ""))
        scheme = str(meta.pop("HTTP_X_FORWARDED_PROTO", "")).strip().lower()
        if _is_ours(str(meta.get("REMOTE_ADDR", ""))):
            meta["REMOTE_ADDR"] = _client(forwarded_for) or meta["REMOTE_ADDR"]
            if scheme in ("http", "https"):
                meta["wsgi.url_scheme"] = scheme
        return self._answer(request)


def _client(forwarded_for: str) -> str:
    """The right-most address that is no trusted proxy; empty where there is none, or where an entry is no address."""
    for entry in reversed(forwarded_for.split(",")):
        try:
            address = ipaddress.ip_address(entry.strip())
        except ValueError:
            return ""
        if not _is_ours(str(address)):
            return str(address)
    return ""


def _is_ours(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in settings.TRUSTED_PROXIES)


class BoundBodies:
    """Refuses a body by its announced length and its charset, before a byte of it is read."""

    def __init__(self, get_response: Answer) -> None:
        self._answer = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._refusal(request) or self._answer(request)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        length = str(request.META.get("CONTENT_LENGTH") or "")
        if not length and request.META.get("HTTP_TRANSFER_ENCODING"):
            return refusal_page(request, HTTPStatus.LENGTH_REQUIRED, _("Say the length of the body: Content-Length."))
        # isdecimal alone accepts digits of other scripts; more than 18 digits are refused without computing the number.
        if length and not (length.isascii() and length.isdecimal() and len(length) <= 18):
            words = _("Content-Length must be a number of bytes.")
            return refusal_page(request, HTTPStatus.BAD_REQUEST, words)
        most = LONGEST_UPLOAD_BYTES if request.path.startswith("/imports/") else LONGEST_BODY_BYTES
        if length and int(length) > most:
            words = _("A body has at most %(most)s bytes.") % {"most": most}
            return refusal_page(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        charset = _CHARSET.search(str(request.META.get("CONTENT_TYPE") or ""))
        if charset and charset[1].lower() not in _READABLE:
            words = _("Text is read as UTF-8 only; send Content-Type with charset=utf-8 or without a charset.")
            return refusal_page(request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, words)
        return None


class KeepNothing:
    """Pages and answers may hold patient data: no browser or proxy may cache them. Static files hold none."""

    def __init__(self, get_response: Answer) -> None:
        self._answer = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._answer(request)
        of_a_file = request.path.startswith(settings.STATIC_URL) and response.status_code in (
            HTTPStatus.OK,
            HTTPStatus.NOT_MODIFIED,
        )
        if not of_a_file and request.path not in _KEPT_BY_BROWSERS:
            response["Cache-Control"] = "no-store"
        return response


def refusal_page(request: HttpRequest, status: HTTPStatus, words: str) -> HttpResponse:
    """A refusal in the form of its entry point: a problem document under /api/, plain text elsewhere."""
    if request.path.startswith("/api/"):
        return JsonResponse(problem_body(status, words), status=status, content_type=PROBLEM_TYPE)
    return HttpResponse(f"{words}\n", status=status, content_type="text/plain; charset=utf-8")


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer where a page failed: 503 while the database does not answer, otherwise 500. Asks no database."""
    problem = sys.exc_info()[1]
    if isinstance(problem, DATABASE_AWAY):
        words = why_not_stored(problem)
        if request.path.startswith("/api/"):
            return refusal_page(request, HTTPStatus.SERVICE_UNAVAILABLE, words)
        context = {"words": words, "language": get_language() or "en"}
        page = render_to_string("503.html", context)  # without the request: its context would ask who is signed in
        return HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "10"})
    return defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer where a body cannot be parsed, or has more fields than any form here."""
    words = _("The request cannot be read: its body, its fields or its host name are not as they must be.")
    return refusal_page(request, HTTPStatus.BAD_REQUEST, words)
