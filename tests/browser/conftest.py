"""People at a browser: the study they look at, a worker behind the pages, and what every page must keep to."""

import dataclasses
import datetime as dt
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import axe_core_python
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.utils import translation
from playwright.sync_api import Page, Response, sync_playwright

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import Centre, ClassificationRequest, Membership, Role
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tasks import hints
from tests.nights import recompute
from tests.processes import WORKER, running, wait_until

CHROMIUM = shutil.which("chromium")
PASSWORD = "a long enough password"
PEOPLE = {
    "ada": Role.TECHNICIAN,
    "vera": Role.VERIFIER,
    "grace": Role.CLINICIAN,
    "anna": Role.ANALYST,
    "adam": Role.ADMINISTRATOR,
}
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """() => axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
  .filter((v) => ['serious', 'critical'].includes(v.impact))
  .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')} `
    + n.any.concat(n.all, n.none).map((c) => c.message).join('; '))))"""
WIDER_THAN_THE_WINDOW = """() => [...document.querySelectorAll('body *')]
  .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && !e.closest('.scroll, .skip'))
  .map((e) => `${e.tagName} ${e.id} ${e.className} ${Math.round(e.getBoundingClientRect().right)}`).slice(0, 8)"""
# What a browser says of its own accord when a form is refused with 400 or 409, as it should be.
ANSWERED = "Failed to load resource: the server responded with a status of "
# What htmx says of a preview that is still on its way when the page is left.
INTERRUPTED = ("htmx:afterRequest", "htmx:sendAbort", "htmx:sendError", "htmx:timeout")
BROKER_OF_THE_BROWSER = 9
SCREENSHOTS = os.environ.get("SCREENSHOTS")


@dataclasses.dataclass(frozen=True)
class Look:
    """How a person looks at the service: window, colours, language."""

    width: int
    scheme: str
    language: str = "en"

    def __str__(self) -> str:
        kind = "wide" if self.width > 800 else "tablet" if self.width > 500 else "phone"
        return f"{kind} {self.scheme} {self.language}"


WIDE, PHONE, CHINESE = Look(1440, "light"), Look(360, "dark"), Look(360, "dark", "zh-hans")
# The narrow window is seen in Chinese, the longer words in the wide one; both together in the long forms.
WITH_CHINESE = [WIDE, CHINESE, *([PHONE] if os.environ.get("LONG_FORMS") else [])]


@dataclasses.dataclass
class Visitor:
    """One person at one browser. Every page that is looked at is checked; what the browser says is kept."""

    page: Page
    look: Look
    address: str
    complaints: list[str]

    def words(self, text: str) -> str:
        """The text in the language of this visitor."""
        with translation.override(self.look.language):
            return str(translation.gettext(text))

    def open(self, path: str) -> Response | None:
        """Go to an address of the service."""
        return self.page.goto(self.address + path)

    def sign_in(self, name: str) -> None:
        """Sign in with the keyboard alone, in this visitor's language."""
        self.open("/sign-in/")
        if self.look.language != self.page.get_attribute("html", "lang"):
            self.page.focus(f'button[value="{self.look.language}"]')
            self.page.keyboard.press("Enter")
            self.page.wait_for_selector(f"html[lang={self.look.language}]")
        self.page.wait_for_selector("#id_username:focus")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".tiles")

    def unfold_menu(self) -> None:
        """Open the menu where it is a disclosure, as on a phone."""
        button = self.page.locator(".menu-button")
        if button.is_visible() and button.get_attribute("aria-expanded") == "false":
            button.click()

    def choose(self, path: str) -> None:
        """Go to a place by the menu."""
        self.unfold_menu()
        self.page.click(f".menu a[href='{path}']")

    def sign_out(self) -> None:
        """Sign out with the button of every page."""
        self.unfold_menu()
        self.page.click(".who button")
        self.page.wait_for_selector("#id_password")

    def check(self, name: str, but: str = "-") -> None:
        """Nothing runs out of the window, nobody is shut out, and the browser has nothing to say about this page.

        ``but`` is a rule that somebody else's markup on this page breaks.
        """
        if SCREENSHOTS:
            self.page.screenshot(path=f"{SCREENSHOTS}/{name} {self.look}.png", full_page=True)
        width = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], f"{name} is wider than the window: {self.page.evaluate(WIDER_THAN_THE_WINDOW)}"
        self.page.evaluate(AXE)
        found = [said for said in self.page.evaluate(RUN_AXE) if not said.startswith(but)]
        assert found == [], f"{name}, {self.look}: {found}"
        assert self.complaints == [], f"{name}, {self.look}"

    def forgive(self, status: int) -> None:
        """Take out what the browser says of an answer that was meant to be a refusal."""
        expected = [c for c in self.complaints if c.startswith(f"{ANSWERED}{status}")]
        assert expected, f"no answer was {status}"
        self.complaints[:] = [c for c in self.complaints if c not in expected]

    def focused(self) -> str:
        """The id of the element that has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def tab_to(self, selector: str, most: int = 60) -> None:
        """Press Tab until an element has the focus, as a person without a mouse would."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if self.page.locator(f"{selector} >> :scope:focus").count():
                return
        raise AssertionError(f"{selector} is not reached with Tab")


@pytest.fixture
def study(db: None) -> dict[str, User]:
    """The demo as `make run` loads it, with one person for each role in all its hospitals."""
    for kind in ("patients", "treatments", "observations", "results"):
        call_command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"), stderr=io.StringIO())
    cohort, _ = define_cohort(json.loads((DEMO_FOLDER / "cohort.json").read_text()), by="test")
    recompute(cohort)
    Centre.objects.update(is_synthetic=True)
    return {name: person(name, role) for name, role in PEOPLE.items()}


def person(name: str, role: Role) -> User:
    """Somebody with a role in every hospital."""
    user = User.objects.create_user(name, password=PASSWORD)
    for centre in Centre.objects.all():
        Membership.objects.create(user=user, centre=centre, role=role, valid_from="2020-01-01")
    return user


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=[WIDE, PHONE], ids=str)
def look(request: pytest.FixtureRequest) -> Look:
    found = request.param
    assert isinstance(found, Look)
    return found


@pytest.fixture
def page(look: Look, complaints: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    # Playwright's loop makes Django believe that database calls come from asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        context = browser.new_context(viewport={"width": look.width, "height": 900}, color_scheme=look.scheme)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a machine may be busy with other things too
        page.on(
            "console",
            lambda m: (
                complaints.append(m.text)
                if m.type in ("error", "warning") and not m.text.startswith(INTERRUPTED)
                else None
            ),
        )
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on(
            "request",
            lambda r: (
                complaints.append(r.url) if not r.url.startswith(("http://localhost", "http://127.", "data:")) else None
            ),
        )
        yield page
        browser.close()
        connections.close_all()  # Django keeps one of its own for code that runs inside Playwright's loop


@pytest.fixture
def visitor(page: Page, look: Look, live_server: Any, complaints: list[str]) -> Visitor:
    return Visitor(page, look, live_server.url, complaints)


# --- the worker behind the pages ----------------------------------------------------------------------------------


def own_database_of(url: str) -> str:
    """A database of the same broker that no other test's worker reads, as Celery spells it."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"{url}?virtual_host={BROKER_OF_THE_BROWSER}"
    return urlunsplit(parts._replace(path=f"/{BROKER_OF_THE_BROWSER}"))


@pytest.fixture(scope="module")
def worker(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery worker on the database of these tests; the pages send their hints to it."""
    broker = own_database_of(os.environ["REDIS_URL"])
    with pytest.MonkeyPatch.context() as patch:
        own = hints.Celery("browser", broker=broker.replace("unix://", "redis+socket://", 1), set_as_current=False)
        own.conf.update({name: hints.publisher.conf[name] for name in PUBLISHING})
        patch.setattr(hints, "publisher", own)
        with running(*WORKER, log=tmp_path_factory.mktemp("worker") / "worker.log", REDIS_URL=broker) as process:
            yield process
        own.close()


PUBLISHING = (
    "broker_transport_options", "broker_connection_timeout", "broker_connection_retry", "broker_pool_acquire_timeout",
    "task_ignore_result", "task_create_missing_queues", "task_serializer",
)  # fmt: skip


@pytest.fixture
def alertd(transactional_db: None, worker: object, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The guarantee beside the worker, as production runs it: what a lost hint has left lying is picked up.

    One for each test, ended before the tables are emptied. Its night is almost a day away: no cohort is recomputed
    here.
    """
    night, log = f"{clock.now() + dt.timedelta(hours=1):%H}:59", tmp_path / "alertd.log"
    with running(sys.executable, "manage.py", "alertd", log=log, NIGHTLY_AT_UTC=night) as process:
        yield process
        assert process.poll() is None, log.read_text()


@pytest.fixture
def service(worker: subprocess.Popen[bytes], alertd: subprocess.Popen[bytes]) -> None:
    """Everything that works behind the pages."""


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for what the service does: at once by the worker, or ten seconds later by alertd where a hint was lost."""
    wait_until(done, 60, what)


def until_classified() -> None:
    """Wait until every result has its class."""
    until(lambda: not ClassificationRequest.objects.exists(), "patients are owed a class")
