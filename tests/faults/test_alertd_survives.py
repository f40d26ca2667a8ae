"""alertd outlives the loss of its connections: it keeps its lead, which is a row, and goes on in the same process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from monitoring import clock
from monitoring.models import Heartbeat, Lead
from monitoring.services.foundation.lead import LEASE_SECONDS
from tests.processes import on_this_database, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

END_THE_OTHERS = """select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"""


def test_alertd_goes_on_in_the_same_process_after_its_sessions_were_ended(tmp_path: Path) -> None:
    def beats(process: subprocess.Popen[bytes]) -> None:
        since = clock.now()
        wait_until(lambda: Heartbeat.objects.filter(beat_at__gt=since).exists(), 60, "alertd does no round")
        assert process.poll() is None

    log = tmp_path / "alertd.log"
    with running(sys.executable, "manage.py", "alertd", log=log) as process:
        beats(process)
        for _ in range(2):
            # As the service itself: the owner is no superuser and ends no session of anybody else.
            with psycopg.connect(on_this_database(os.environ["DATABASE_URL"])) as session:
                ended = session.execute(END_THE_OTHERS).fetchone()
                assert ended is not None
                assert ended[0] >= 1
            beats(process)
    assert log.read_text().count("alertd: leading") == 1


def test_a_frozen_leader_loses_the_lead_and_what_it_writes_when_it_wakes_changes_nothing(tmp_path: Path) -> None:
    """Frozen for longer than its lease while a standby works: the standby leads, and goes on leading afterwards."""

    def said(log: Path, words: str) -> Callable[[], bool]:
        return lambda: words in log.read_text()

    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with running(sys.executable, "manage.py", "alertd", log=first) as frozen:
        wait_until(said(first, "alertd: leading"), 60, "the first copy does not lead")
        with running(sys.executable, "manage.py", "alertd", log=second):
            wait_until(said(second, "waiting for the lead"), 60, "the second copy does not wait")
            frozen.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            wait_until(lambda: Lead.objects.get().fence == 2, 60, "nobody took the lead")
            assert time.monotonic() - began < LEASE_SECONDS + 10
            beat_at = Heartbeat.objects.get().beat_at
            wait_until(lambda: Heartbeat.objects.get().beat_at > beat_at, 30, "the second copy does no round")
            frozen.send_signal(signal.SIGCONT)
            wait_until(said(first, "the lead is gone"), 30, "the first copy does not know that it was replaced")
            time.sleep(3)
            assert Lead.objects.get().fence == 2
            assert first.read_text().count("alertd: leading") == 1
