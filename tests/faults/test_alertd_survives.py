"""alertd outlives the loss of its connections: it says so, takes the lead again and goes on in the same process."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from monitoring import clock
from monitoring.models import Heartbeat
from tests.processes import running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

END_THE_OTHERS = """select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()"""


def test_alertd_goes_on_in_the_same_process_after_its_sessions_were_ended(tmp_path: Path) -> None:
    def beats(process: subprocess.Popen[bytes]) -> None:
        since = clock.now()
        wait_until(lambda: Heartbeat.objects.filter(beat_at__gt=since).exists(), 60, "alertd does no round")
        assert process.poll() is None

    log = tmp_path / "alertd.log"
    with running(sys.executable, "manage.py", "alertd", log=log) as process:
        beats(process)
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute(END_THE_OTHERS)
                assert cursor.fetchone()[0] >= 1
            beats(process)
    assert log.read_text().count("alertd: leading") == 3
