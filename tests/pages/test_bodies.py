"""Bad clients: odd bodies are refused in words before they are read, and only our proxy is believed about a client."""

import ipaddress
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from monitoring.models import Centre, Role
from monitoring.pages.bounds import LONGEST_UPLOAD_BYTES, KnowTheClient

ADDRESSES = (
    "/sign-in/",
    "/admin/login/",
    "/language/",
    "/bench/single/",
    "/imports/",
    "/api/v1/results/",
    "/nowhere/",
    "/api/x",
)
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
ODD = {
    "no boundary": ("multipart/form-data", b"x"),
    "half a part": (MULTIPART, b'--B\r\nContent-Disposition: form-data; name="a'),
    "part without a name": (MULTIPART, b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--"),
    "odd base64": (MULTIPART,
    b'--B\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--B--'),
    "odd boundary": ("multipart/form-data; boundary=\xff", b"x"),
    "two thousand fields": (FORM, b"&".join(b"a%d=1" % n for n in range(2000))),
    "six files": (MULTIPART,
    b"".join(b'--B\r\nContent-Disposition: form-data; name="f%d"; '
             b'filename="a"\r\n\r\nx\r\n' % n for n in range(6)) + b"--B--"),
    "unknown charset": (f"{FORM}; charset=nonsense", b"a=1"),
    "charset that is no text": (f"{MULTIPART}; charset=base64",
    b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--B--'),
    "utf-16": (f"{FORM}; charset=utf-16", b"a=1"),
    "bytes that are no text": (FORM, b"username=\xff\xfe&password=\xff&next=%00&language=%00"),
    "NUL everywhere": (FORM, b"username=%00&password=%00&next=%00&language=%00&q=%00"),
    "empty": (FORM, b""),
    "not JSON": ("application/json", b"{" * 5000),
}  # fmt: skip


@pytest.fixture
def signed_in(member: Callable[..., User], centre: Centre) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(member("vera", centre, Role.TECHNICIAN))
    return client


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_body_is_never_our_fault(signed_in: Client, odd: str) -> None:
    content_type, body = ODD[odd]
    for client in (signed_in, Client(raise_request_exception=False)):
        for address in ADDRESSES:
            answer = client.generic("POST", address, body, content_type)
            assert answer.status_code < 500, address
            assert answer.status_code != 200 or address in ("/sign-in/", "/admin/login/", "/bench/single/"), address


@pytest.mark.parametrize(
    ("address", "length", "status"),
    [
        ("/sign-in/", "1000001", 413), ("/sign-in/", "1000000", None), ("/api/v1/results/", "1000001", 413),
        ("/imports/", str(LONGEST_UPLOAD_BYTES + 1), 413), ("/imports/", str(LONGEST_UPLOAD_BYTES), None),
        ("/sign-in/", "many", 400), ("/api/v1/results/", "-1", 400), ("/sign-in/", "１２", 400),
        ("/sign-in/", "9" * 5000, 400),
        ("/admin/login/", "9" * 18, 413), ("/nowhere/", "1000001", 413),
    ],
)  # fmt: skip
def test_a_body_is_refused_by_its_announced_length(db: None, address: str, length: str, status: int | None) -> None:
    answer = Client(raise_request_exception=False).generic("POST", address, b"", FORM, CONTENT_LENGTH=length)
    if status is None:
        assert answer.status_code not in (400, 413)
        return
    assert answer.status_code == status
    kind = "application/problem+json" if address.startswith("/api/") else "text/plain; charset=utf-8"
    assert answer["Content-Type"] == kind
    assert "bytes" in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"


def test_a_body_without_a_length_is_asked_for_one(db: None) -> None:
    meta: dict[str, Any] = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    assert Client().generic("POST", "/api/v1/results/", b"", "application/json", **meta).status_code == 411


def test_nothing_but_static_files_is_kept(signed_in: Client) -> None:
    for address in (
        "/",
        "/patients/",
        "/api/v1/patients/",
        "/api/schema/",
        "/nowhere/",
        "/admin/",
        "/static/nowhere.js",
        "/sign-out/",
    ):
        assert signed_in.get(address)["Cache-Control"] == "no-store", address
    for address in ("/static/css/tokens.css", "/livez", "/favicon.ico"):
        answer = signed_in.get(address)
        assert "no-store" not in answer.get("Cache-Control", ""), address
        answer.close()


# --- who is believed ------------------------------------------------------------------------------------------------


def seen(remote: str, **told: Any) -> tuple[str, bool]:
    """Address and safety of a request as the views see them."""
    found: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(request)
        return HttpResponse()

    KnowTheClient(view)(RequestFactory().get("/", REMOTE_ADDR=remote, **told))
    return found[0].META["REMOTE_ADDR"], found[0].is_secure()


@pytest.mark.parametrize(
    ("remote", "told", "address"),
    [
        ("10.9.0.2", "192.0.2.7", "192.0.2.7"),
        ("10.9.0.2", "203.0.113.1, 192.0.2.7", "192.0.2.7"),
        ("10.9.0.2", "203.0.113.1, 192.0.2.7, 10.9.0.3", "192.0.2.7"),
        ("::ffff:10.9.0.2", "2001:db8::1", "2001:db8::1"),
        ("10.9.0.2", "192.0.2.7, unknown", "10.9.0.2"),
        ("10.9.0.2", "", "10.9.0.2"),
        ("192.0.2.9", "192.0.2.7", "192.0.2.9"),
        ("", "192.0.2.7", ""),
    ],
)
def test_the_address_is_what_our_own_proxy_says(settings, remote: str, told: str, address: str) -> None:  # type: ignore[no-untyped-def]
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.9.0.0/29")]
    assert seen(remote, HTTP_X_FORWARDED_FOR=told)[0] == address


def test_only_our_proxy_makes_a_request_safe(settings) -> None:  # type: ignore[no-untyped-def]
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.9.0.0/29")]
    assert seen("10.9.0.2", HTTP_X_FORWARDED_PROTO="https")[1]
    assert not seen("10.9.0.2", HTTP_X_FORWARDED_PROTO="gopher")[1]
    assert not seen("192.0.2.9", HTTP_X_FORWARDED_PROTO="https")[1]


def with_settings(**environment: str) -> subprocess.CompletedProcess[str]:
    code = "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.TRUSTED_PROXIES)"
    least = {
        "SECRET_KEY": "k" * 40,
        "IDENTITY_KEY": "k" * 40,
        "DATABASE_URL": "postgresql://x",
        "REDIS_URL": "redis://x",
    }
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(settings.BASE_DIR),
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", **least, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("odd", ["proxy", "10.0.0.1/8", "0.0.0.0/0", "10.0.0.0/8;10.9.0.0/16"])
def test_an_odd_proxy_stops_start_up_with_a_hint(odd: str) -> None:
    done = with_settings(TRUSTED_PROXIES=odd)
    assert done.returncode != 0
    assert "TRUSTED_PROXIES names" in done.stderr


def test_cookies_of_https_belong_to_this_host_alone() -> None:
    assert with_settings(PUBLIC_URL="https://x.example").stdout.startswith("__Host-sessionid __Host-csrftoken")
    assert with_settings().stdout.startswith("sessionid csrftoken")


def _database_away(*_of_the_statement: Any) -> None:
    raise OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("address", ["/", "/nowhere/", "/imports/", "/verify/", "/api/v1/results/", "/admin/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("language", "words"), [("en", "nothing was stored"), ("zh-hans", "未保存任何内容")])
def test_while_the_database_is_away_every_door_says_that_nothing_was_stored(
    signed_in: Client, address: str, method: str, language: str, words: str
) -> None:
    with connection.execute_wrapper(_database_away):
        answer = signed_in.generic(method, address, b"a=1", FORM, headers={"Accept-Language": language})
    assert answer.status_code == 503
    assert words in (answer.json()["detail"] if address.startswith("/api/") else answer.content.decode())


def test_a_failure_of_ours_stays_one(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.pages.imports.Paginator", None)
    assert signed_in.get("/imports/").status_code == 500
