"""Entry of the web server."""

import codecs
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
_django = get_wsgi_application()
_READABLE = ("utf-8", "ascii")
_NOT_READABLE = "The header Content-Type cannot be read, or names another character set than UTF-8."


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The service. With a Content-Type that names no text codec Django fails before any of our code is asked."""
    if _is_readable(environ.get("CONTENT_TYPE", "")):
        return _django(environ, start_response)
    if environ.get("PATH_INFO", "").startswith("/api/"):
        problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": _NOT_READABLE, "errors": []}
        kind, body = "application/problem+json", json.dumps(problem).encode()
    else:
        kind, body = "text/plain; charset=utf-8", f"{_NOT_READABLE}\n".encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start_response("400 Bad Request", headers)
    return [body]


def _is_readable(content_type: str) -> bool:
    try:
        charset = parse_header_parameters(content_type)[1].get("charset", "")
        return not charset or codecs.lookup(charset).name in _READABLE
    except (LookupError, ValueError):
        return False
