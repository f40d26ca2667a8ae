"""Bring the compose stack up, load the synthetic study, compare its figures, kill each container in turn.

    COMPOSE="docker compose" python scripts/check_compose.py

Works in a compose project of its own and removes it, with its volume, at the end. Exit 0 when everything held.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = os.environ.get("COMPOSE", "docker compose").split()
PORT = os.environ.get("PORT", "8099")
CERTIFICATES = Path(tempfile.mkdtemp(prefix="cmlcheck-"))
ENVIRONMENT = {
    **os.environ,
    "PORT": PORT,
    "POSTGRES_PASSWORD": secrets.token_urlsafe(16),
    "OWNER_PASSWORD": secrets.token_urlsafe(16),
    "WATCHDOG_PASSWORD": secrets.token_urlsafe(16),
    "SERVICE_PASSWORD": secrets.token_urlsafe(16),
    "SECRET_KEY": secrets.token_urlsafe(48),
    "IDENTITY_KEY": secrets.token_urlsafe(48),
    "PUBLIC_URL": f"https://localhost:{PORT}",
    "CERTIFICATES": str(CERTIFICATES),
}
DEMO = "/app/monitoring/demo"
SERVICES = ("proxy", "web", "worker-classify", "worker", "beat", "alertd", "redis", "db")


def compose(*words: str, check: bool = True) -> str:
    """One compose command in the project of this check."""
    done = subprocess.run(
        [*COMPOSE, "-p", "cmlcheck", *words], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def manage(*words: str) -> str:
    """A management command inside the web container."""
    return compose("exec", "-T", "web", "python", "manage.py", *words)


def wait(what: str, condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something holds, or end the check with words."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            sys.stdout.write(f"ok   {what} ({time.monotonic() - started:.1f} s)\n")
            return
        time.sleep(1)
    raise SystemExit(
        f"FAIL {what}: not within {seconds:.0f} "
        f"s\n{compose('ps', check=False)}\n{compose('logs', '--tail', '30', check=False)}"
    )


def make_certificate() -> None:
    """A certificate of our own for localhost, of a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (CERTIFICATES / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (CERTIFICATES / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def ask(path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer, through the proxy."""
    trusted = ssl.create_default_context(cafile=str(CERTIFICATES / "tls.crt"))
    request = urllib.request.Request(f"https://localhost:{PORT}{path}", body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10, context=trusted) as answer:  # noqa: S310  # our own address
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as answer:
        return answer.code, dict(answer.headers)


def check_proxy() -> None:
    """What only shows through the proxy: the service knows of TLS, and large bodies end before it."""
    status, headers = ask("/sign-in/", headers={"X-Forwarded-Proto": "http"})
    if status != 200 or "Strict-Transport-Security" not in headers or "__Host-csrftoken" not in headers["Set-Cookie"]:
        raise SystemExit(f"FAIL the service knows that it is reached by TLS: {status}, {headers}")
    for path, size in (("/sign-in/", 1_000_001), ("/imports/", 11_000_001), ("/api/v1/results/", 1_000_001)):
        if (status := ask(path, b"x" * size)[0]) != 413:
            raise SystemExit(f"FAIL {path} with {size} bytes: {status}, not 413")
    sys.stdout.write("ok   TLS is known, large bodies are refused\n")


def check_slow_bodies() -> None:
    """Forty clients that send a body byte by byte hold no worker: the others are answered."""
    trusted = ssl.create_default_context(cafile=str(CERTIFICATES / "tls.crt"))
    begun = b"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nx"
    slow = []
    for _number in range(40):
        one = trusted.wrap_socket(socket.create_connection(("localhost", int(PORT)), 5), server_hostname="localhost")
        one.sendall(begun)
        slow.append(one)
    started = time.monotonic()
    if ask("/readyz")[0] != 200 or time.monotonic() - started > 5:
        raise SystemExit("FAIL slow bodies hold the workers")
    for one in slow:
        one.close()
    sys.stdout.write("ok   slow bodies hold no worker\n")


def web_answers() -> bool:
    """Whether the web container serves through the proxy and its database answers."""
    try:
        return ask("/readyz")[0] == 200
    except (urllib.error.URLError, OSError):
        return False


def alertd_beats() -> bool:
    """Whether the guarantee loop has done a round within the last minute."""
    return "beating" in compose(
        "exec", "-T", "web", "sh", "-c", "python manage.py check_heartbeat && echo beating", check=False
    )


def owed() -> int:
    """How many patients are owed a classification."""
    code = (
        "from monitoring.models import ClassificationRequest as C; "
        "print(C.objects.values('patient').distinct().count())"
    )
    return int(manage("shell", "-v0", "-c", code).strip().splitlines()[-1])


def kill(service: str) -> None:
    """Kill the first process of a container from outside, as a crash would; its restart policy brings it back."""
    container = compose("ps", "-q", service).split()[0]
    inspected = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Pid}}", container], capture_output=True, text=True, check=True
    )
    os.kill(int(inspected.stdout), signal.SIGKILL)


_RECORD_AGAIN = """
import dataclasses
from monitoring.services.entry.reach import EVERYWHERE
from monitoring import clock
from monitoring.models import PcrResult
from monitoring.services.foundation.actors import system_actor
from monitoring.services.entry.amendments import amend_result, standing_result
for public_id in PcrResult.objects.filter(superseded_by=None).values_list("public_id", flat=True)[:60]:
    one = standing_result(public_id)
    report = dataclasses.replace(one.report, kit_lot=f"{one.report.kit_lot}+", reason="compose check")
    amend_result(
        one, report, patient=one.row.patient, by=system_actor("check"), reach=EVERYWHERE, version=one.row.version,
        now=clock.now(),
    )
"""


def check_added_worker() -> None:
    """A worker that is added while the stack runs takes work from the one that was there."""
    compose("up", "-d", "--no-recreate", "--scale", "worker-classify=2")
    wait("a second classifying worker is there", lambda: len(classified_by_worker()) == 2)
    manage("shell", "-v0", "-c", _RECORD_AGAIN)
    wait("both classifying workers took work", lambda: all(classified_by_worker().values()))
    wait("nothing is owed", lambda: owed() == 0)


def classified_by_worker() -> dict[str, int]:
    """How many patients each classifying worker has classified."""
    said = compose(
        "exec", "-T", "web", "celery", "-q", "-A", "tasks.celery", "inspect", "stats", "--json", "--timeout", "3",
        check=False,
    )  # fmt: skip
    start = said.find("{")
    found = json.loads(said[start:]) if start >= 0 else {}
    return {
        name: stats.get("total", {}).get("tasks.classify_patient", 0)
        for name, stats in found.items()
        if name.startswith("classify")
    }


def main() -> None:
    """The whole check."""
    make_certificate()
    compose("build")
    compose("up", "-d")
    wait("web serves", web_answers)
    check_proxy()
    check_slow_bodies()
    wait("alertd does its rounds", alertd_beats)
    for kind in ("patients", "treatments", "observations", "results"):
        manage(f"import_{kind}", f"{DEMO}/{kind}.csv")
    wait("the workers classified everybody", lambda: owed() == 0)
    manage("define_cohort", f"{DEMO}/cohort.json")
    manage("recompute_cohorts")
    figures = json.loads(manage("cohort_report", "zhao-2025-twin"))
    at = {one["months"]: round(100 * one["estimate"], 3) for one in figures["kaplan_meier"]["landmarks"]}
    if (figures["counts"]["events"], at[6], at[36]) != (15, 74.054, 56.044):
        raise SystemExit(f"FAIL the study's figures: {figures['counts']}, {at}")
    sys.stdout.write("ok   the study's figures\n")
    check_added_worker()
    for service in SERVICES:
        kill(service)
        wait(f"{service} was killed and the service answers", web_answers)
    wait("alertd does its rounds", alertd_beats)
    manage("check_response_ledger")
    sys.stdout.write("ok   nothing was lost\n")


if __name__ == "__main__":
    try:
        main()
    finally:
        compose("down", "-v", check=False)
        shutil.rmtree(CERTIFICATES)
