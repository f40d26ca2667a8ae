"""The entry of the web server: what Django cannot even take in is answered in words."""

import io
import json
from typing import Any

import pytest

from config.wsgi import application

pytestmark = pytest.mark.django_db


def answer(path: str, content_type: str, method: str = "GET") -> tuple[str, bytes]:
    said: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "x=%e4", "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": "3",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.input": io.BytesIO(b"a=b"), "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http", "HTTP_HOST": "localhost",
    }  # fmt: skip
    body = b"".join(application(environ, lambda status, headers: said.append(status)))
    return said[0], body


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "charset",
    ["base64", "rot13", "zlib", "hex", "nobody-knows", "utf-16", "idna", "punycode", "unicode_escape", "\x00"],
)
def test_a_character_set_that_is_none_for_text_is_refused_in_words(charset: str, method: str) -> None:
    status, body = answer("/sign-in/", f"text/html; charset={charset}", method)
    assert status == "400 Bad Request"
    assert b"Content-Type cannot be read" in body
    status, body = answer("/api/v1/results/", f"application/json; charset={charset}", method)
    assert (status, json.loads(body)["status"]) == ("400 Bad Request", 400)


@pytest.mark.parametrize(
    "content_type", ["", "text/html", "text/html; charset=utf-8", 'text/html; charset="UTF8"', "x/y; charset=us-ascii"]
)
def test_others_reach_the_service(content_type: str) -> None:
    assert answer("/sign-in/", content_type)[0] == "200 OK"
