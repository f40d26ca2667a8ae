"""Around every request: its id, one log line without patient data, and a header where data is not current."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from monitoring import clock
from monitoring.selectors.freshness import freshness
from monitoring.tracing import working_for

logger = logging.getLogger("monitoring.requests")
Answer = Callable[[HttpRequest], HttpResponse]
QUIET = ("/livez", "/readyz", "/static/", "/metrics")


class TraceRequests:
    """Gives each request an id, answers it in ``X-Request-ID``, and writes one line: route, status, time, user id."""

    def __init__(self, get_response: Answer) -> None:
        self._answer = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        with working_for(request.headers.get("X-Request-ID")) as request_id:
            response = self._answer(request)
            response["X-Request-ID"] = request_id
            if not request.path.startswith(QUIET):
                logger.info("request", extra=_facts(request, response, time.perf_counter() - started))
        return response


def _facts(request: HttpRequest, response: HttpResponse, seconds: float) -> dict[str, object]:
    """What is logged of a request: the route with its placeholders, never the address or its filters."""
    match = request.resolver_match
    user = getattr(request, "user", None)
    return {
        "method": request.method,
        "route": match.route if match else "",
        "status": response.status_code,
        "milliseconds": round(seconds * 1000, 1),
        "user_id": user.pk if user is not None and user.is_authenticated else None,
    }


class TellStaleData:
    """Reads of the API carry ``X-Data-Stale`` with the instant since which data is not current."""

    def __init__(self, get_response: Answer) -> None:
        self._answer = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._answer(request)
        if request.path.startswith("/api/v1/") and request.method == "GET" and response.status_code == 200:
            found = freshness(clock.now())
            told = [f"not current since {found.stale.isoformat()}"] if found.stale else []
            told += [f"alert messages have not left since {found.unsent.isoformat()}"] if found.unsent else []
            if told:
                response["X-Data-Stale"] = "; ".join(told)
        return response
