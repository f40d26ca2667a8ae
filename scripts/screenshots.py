"""`make screenshots`: a picture of every page of the demonstration, in both languages, wide and on a phone.

A service of its own is started with made-up people. Every role signs in and follows the links of every page; each
address of the service that is met for the first time is photographed. What was never met is said at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
from django.urls import Resolver404, URLPattern, get_resolver, resolve
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "screenshots"
START_SECONDS = 600.0
QUALITY = 60
HEIGHT, TALLEST = 900, 2000  # a page is shown whole up to here
FILE = (
    b"laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies\n"
    b"L,X1,nobody,2026-01-05,nd,60000\n"
)
MOST_PAGES, PAGES_OF_A_KIND = 400, 3  # opened by one role: not every laboratory has a factor to correct
# Window, colours and language.
LOOKS = ((1440, "light", "en"), (390, "dark", "zh-hans"))
ROLES = ("technician", "verifier", "clinician", "analyst", "administrator")
# Addresses that are no pages: files, fragments, answers to programs, what only takes a form.
NOT_PAGES = {
    "livez", "readyz", "metrics", "schema", "import-progress", "counted", "cohort-output-file", "refused-rows",
    "cohort-figures", "cohort-members", "language", "find", "sign-out",
}  # fmt: skip


@dataclass
class Album:
    """Which pages were photographed in one look, and which links wait."""

    look: tuple[int, str, str]
    met: set[str] = field(default_factory=set)

    def take(self, page: Page, name: str) -> None:
        """A picture of the page, named after its address."""
        width, scheme, language = self.look
        whole = int(page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": max(HEIGHT, min(whole, TALLEST))})
        page.wait_for_timeout(300)  # charts are drawn anew
        page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}-{language}.jpg", type="jpeg", quality=QUALITY)
        page.set_viewport_size({"width": width, "height": HEIGHT})
        self.met.add(name)


@contextlib.contextmanager
def service() -> Iterator[tuple[str, dict[str, Any]]]:
    """A service with its demonstration: its address and the logins of its people."""
    folder = Path(tempfile.mkdtemp(prefix="cml-screenshots-"))
    folder.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    server = subprocess.Popen(
        [sys.executable, "manage.py", "serve"], cwd=ROOT, env={**kept, "VAR_DIR": str(folder), "PORT": str(port)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address, logins = f"http://127.0.0.1:{port}", folder / "demo-logins.json"
        until = time.monotonic() + START_SECONDS
        while not (logins.exists() and _answers(address)):
            if time.monotonic() > until or server.poll() is not None:
                raise SystemExit("the service did not start; try `make run`, which says why")
            time.sleep(1)
        yield address, json.loads(logins.read_text())
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(address: str) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(  # noqa: S310  # ours
            f"{address}/readyz", timeout=5
        ) as answer,
    ):
        return bool(answer.status == 200)
    return False


def signed_in(browser: Browser, address: str, login: dict[str, str], album: Album) -> Page:
    """A page of somebody who has signed in, in the language of the look."""
    width, scheme, language = album.look
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]  # a literal
    page = context.new_page()
    page.goto(f"{address}/sign-in/")
    if language != page.get_attribute("html", "lang"):
        page.click(f'button[value="{language}"]')
        page.wait_for_selector(f"html[lang={language}]")
    if "sign-in" not in album.met:
        album.take(page, "sign-in")
    page.fill("#id_username", login["user"])
    page.fill("#id_password", login["password"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".tiles")
    return page


def name_of(path: str) -> str:
    """The name of a page's address, empty for what is no page of ours."""
    try:
        found = resolve(path.partition("?")[0])
    except Resolver404:
        return ""
    name = found.url_name or ""
    return "" if found.namespaces or path.startswith("/api/") or name in NOT_PAGES else name


def walk(page: Page, address: str, album: Album) -> None:
    """Follow every link from the home page, and photograph each address that was not met yet."""
    waiting = deque(["/", "/design/"])
    queued, paths, opened = Counter({"home": PAGES_OF_A_KIND, "design": PAGES_OF_A_KIND}), {"/"}, 0
    while waiting and opened < MOST_PAGES:
        path = waiting.popleft()
        name = name_of(path)
        answer = page.goto(address + path)
        opened += 1
        if answer is None or answer.status != 200:
            continue
        if name not in album.met:
            album.take(page, name)
        links = page.eval_on_selector_all("a[href^='/']", "links => links.map(link => link.getAttribute('href'))")
        for link in links:
            found = name_of(link)
            if found and queued[found] < PAGES_OF_A_KIND and link not in paths:
                queued[found] += 1
                paths.add(link)
                waiting.append(link)


def prepare(browser: Browser, address: str, logins: dict[str, Any]) -> None:
    """What has to be there for its page: a run, a file that was tried, a merge that is asked for."""
    album = Album(LOOKS[0], {"sign-in"})
    page = signed_in(browser, address, logins["technician"], album)
    page.goto(f"{address}/bench/")
    page.fill("#id_name", "2026-031")
    page.fill("#id_conversion_factor", "0.8")
    page.keyboard.press("Enter")
    page.wait_for_selector("#grid")
    page.goto(f"{address}/imports/")
    page.set_input_files("#id_file", {"name": "week.csv", "mimeType": "text/csv", "buffer": FILE})
    page.click("main button.primary")
    page.wait_for_selector("#verdicts", timeout=60_000)
    page = signed_in(browser, address, logins["clinician"], album)
    page.goto(f"{address}/patients/")
    one, other = two_of_a_centre(page)
    page.goto(f"{address}{one}merge/")
    page.fill("#id_into", other)
    page.fill("#id_reason", "the same person, registered twice")
    page.click("main button.primary")
    page.wait_for_url("**/records/**")


def two_of_a_centre(page: Page) -> tuple[str, str]:
    """The address of one patient of the list and the pseudonym of another one of the same centre."""
    first: dict[str, str] = {}
    for row in page.locator("main table tbody tr").all():
        link, centre = row.locator("th a"), row.locator("td").first.inner_text()
        if centre in first:
            return first[centre], link.inner_text()
        first[centre] = link.get_attribute("href") or ""
    raise SystemExit("the demonstration has no two patients of one centre")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    for secret in ("SECRET_KEY", "IDENTITY_KEY"):
        os.environ.setdefault(secret, "only-for-reading-the-settings-here")
    os.environ.setdefault("DATABASE_URL", "postgresql://none")
    os.environ.setdefault("REDIS_URL", "redis://none")
    django.setup()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with service() as (address, logins), sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        prepare(browser, address, logins)
        for look in LOOKS:
            album = Album(look)
            for role in ROLES:
                walk(signed_in(browser, address, logins[role], album), address, album)
            sys.stdout.write(f"{look}: {len(album.met)} pages\n")
        browser.close()
    patterns = get_resolver().url_patterns
    names = {str(one.name) for one in patterns if isinstance(one, URLPattern) and one.name}
    missing = sorted(names - album.met - NOT_PAGES)
    sys.stdout.write(f"not met, or answers to forms only: {', '.join(missing)}\n")


if __name__ == "__main__":
    main()
