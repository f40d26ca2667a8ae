"""alertd outlives the loss of its connections: it says so, takes the lead again and goes on in the same process."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from monitoring import clock
from monitoring.models import Heartbeat
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
    assert log.read_text().count("alertd: leading") == 3
