"""Somebody at a desk: signs in on the pages, gives files there and looks until each has been read."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from http.cookiejar import CookieJar
from pathlib import Path

from tests.faults.chaos.service import PASSWORD, Service, written
from tests.faults.chaos.world import COLUMNS, Sample

LEAST_ROWS = 10
ANSWER_SECONDS, LOOK_SECONDS = 8, 0.5
_BOUNDARY = "chaos-desk"


def give_all(service: Service, samples: Sequence[Sample], _seed: int) -> None:
    """The samples in files given on the page. What was broken off three times is given again, as its page asks."""
    desk = Desk(service)
    rows_each = max(LEAST_ROWS, len(samples) // 50)
    for start in range(0, len(samples), rows_each):
        rows = [list(COLUMNS), *(sample.row() for sample in samples[start : start + rows_each])]
        path = written(service.folder / f"page-{start}.csv", rows)
        while not desk.is_read(desk.given(path)):
            service.answers["page again"] += 1
        service.answers["page read"] += 1


class Desk:
    """A browser's part of it: cookies, the forms' tokens, and a look at the list where no answer came."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        self._number = 0

    def given(self, path: Path) -> str:
        """The address of the file's page. Every try has a name of its own, so that the list tells whether it came."""
        while True:
            self._number += 1
            name = f"{path.stem}-{self._number}.csv"
            address, text = self._fetch(
                "/imports/", *_form({"kind": "results"}, name, path.read_bytes(), self._token())
            )
            while not text:  # nobody knows what became of it: the list does
                time.sleep(LOOK_SECONDS)
                _address, text = self._fetch("/imports/")
                listed = re.search(rf'href="(/imports/[0-9a-f-]+/)">{re.escape(name)}<', text)
                address = listed[1] if listed else ""
            if re.fullmatch(r"/imports/[0-9a-f-]{36}/", address):
                return address

    def is_read(self, address: str) -> bool:
        """Wait until the file is read; False where its page says that it was not."""
        while True:
            _address, text = self._fetch(address)
            if text and "/progress/" not in text:  # the page asks for its progress until it is read
                return '<dl class="figures">' in text
            time.sleep(LOOK_SECONDS)

    def _token(self) -> str:
        return next((cookie.value or "" for cookie in self._cookies if cookie.name == "csrftoken"), "")

    def _fetch(self, path: str, body: bytes | None = None, kind: str = "") -> tuple[str, str]:
        """Where it led and what stands there; nothing where no answer came. Signs in where that is asked for."""
        address, text = self._ask(path, body, kind)
        if address != "/sign-in/":
            return address, text
        fields = {"username": "rosa", "password": PASSWORD, "csrfmiddlewaretoken": self._token()}
        self._ask("/sign-in/", urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded")
        return self._ask(path) if body is None else ("", "")  # the form is sent anew with a new token

    def _ask(self, path: str, body: bytes | None = None, kind: str = "") -> tuple[str, str]:
        headers = {"Content-Type": kind} if body else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self._service.port}{path}", body, headers)
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                self._service.answers[f"page {answer.status}"] += 1
                return urllib.parse.urlsplit(answer.url).path, answer.read().decode()
        except urllib.error.HTTPError as refused:
            self._service.answers[f"page {refused.code}"] += 1
            if refused.code in (400, 404):
                raise AssertionError(f"{path} was refused: {refused.code}") from None
        except OSError:
            self._service.answers["page 0"] += 1
        return "", ""


def _form(fields: dict[str, str], name: str, content: bytes, token: str) -> tuple[bytes, str]:
    """A form with a file, as a browser sends it, and its content type."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in {**fields, "csrfmiddlewaretoken": token}.items()
    ]
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    return (
        ("".join(parts) + head + "Content-Type: text/csv\r\n\r\n").encode()
        + content
        + f"\r\n--{_BOUNDARY}--\r\n".encode(),
        f"multipart/form-data; boundary={_BOUNDARY}",
    )
