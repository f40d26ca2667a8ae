"""The supervisor: what is silent is replaced, what keeps ending is told, every end is said in words."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from config import embedded
from config.embedded import EmbeddedServerError
from config.management.commands import serve
from config.management.commands.serve import Child, Command
from monitoring.models import SetAside, SetAsideKind
from tests.processes import wait_until

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Command:
    """A supervisor that notes what it says, looks often, and supervises no servers."""
    command = Command()
    said: list[str] = []
    monkeypatch.setattr(command, "_say", said.append)
    command.said = said  # type: ignore[attr-defined]  # for the tests
    for name, value in {"LOOK_EVERY_SECONDS": 0.05, "SILENT_SECONDS": 0.5, "GRACE_SECONDS": 0.2}.items():
        monkeypatch.setattr(serve, name, value)
    monkeypatch.setattr(embedded, "mend", list)
    monkeypatch.setattr(command, "_tell", lambda children: None)
    return command


def looking(command: Command, *children: Child) -> None:
    for child in children:
        child.start(dict(os.environ))
    threading.Thread(target=command._look, args=(children,), daemon=True).start()


def ended(child: Child) -> Callable[[], bool]:
    return lambda: child.process is not None and child.process.poll() is not None


def test_a_part_without_a_sign_of_life_is_killed_and_started_again(supervisor: Command) -> None:
    frozen, quiet = Child("alertd", SLEEPS, signs=lambda: False), Child("web", SLEEPS, signs=lambda: True)
    looking(supervisor, frozen, quiet)
    assert frozen.process is not None
    frozen.process.send_signal(signal.SIGSTOP)
    first = frozen.process.pid
    wait_until(ended(frozen), 10, "the frozen part was not ended")
    assert quiet.process is not None
    assert quiet.process.poll() is None
    supervisor._tend(frozen, dict(os.environ))
    frozen.not_before = 0.0
    supervisor._tend(frozen, dict(os.environ))
    assert frozen.process.pid != first
    said = " ".join(supervisor.said)  # type: ignore[attr-defined]  # of the fixture
    assert "alertd was silent" in said
    assert "alertd ended (killed by SIGKILL)" in said
    for child in (frozen, quiet):
        assert child.process is not None
        child.process.kill()


def test_while_a_server_is_away_nobody_is_ended_for_being_silent(
    supervisor: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> list[str]:
        raise EmbeddedServerError("PostgreSQL did not start.")

    monkeypatch.setattr(embedded, "mend", away)
    child = Child("alertd", SLEEPS, signs=lambda: False)
    looking(supervisor, child)
    time.sleep(1.5)
    assert not ended(child)()
    assert any("did not start" in words for words in supervisor.said)  # type: ignore[attr-defined]  # of the fixture
    assert child.process is not None
    child.process.kill()


@pytest.mark.django_db
def test_a_part_that_keeps_ending_is_told_until_it_is_steady() -> None:
    child = Child("worker bulk", SLEEPS)
    command = Command()
    now = time.monotonic()
    child.ends = [now - 20, now - 10]
    command._tell([child])
    assert not SetAside.objects.exists()
    child.ends.append(now)
    command._tell([child])
    row = SetAside.objects.get(kind=SetAsideKind.PART)
    assert (row.key, row.settled_at) == ("worker bulk", None)
    assert "3 times within ten minutes" in row.error
    child.ends = [at - serve.KEEPS_ENDING_SECONDS for at in child.ends]
    command._tell([child])
    row.refresh_from_db()
    assert row.settled_at is not None
