"""The watchdog: looks at everything that must not stop, from outside, and says so by a way of its own."""

from __future__ import annotations

import os
import time
import urllib.request
from pathlib import Path
from typing import Any

import environ
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.watch import Watch, look

LOOK_EVERY_SECONDS = 30.0
START_SECONDS = 240.0  # in a new database nobody has given a sign yet
CHANNEL_FAILURES = (OSError, ValueError)  # smtplib's and urllib's own are OSErrors


class Command(BaseCommand):
    help = (
        "Every 30 seconds: is anything owed for too long, does alertd beat, do workers answer, did the night run, are "
        "disk and clock in order? Says what is not, by log and mail; beats outwards only while all is well."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="look once; exit 1 where something is not in order")

    def handle(self, *args: Any, **options: Any) -> None:
        environment = environ.Env()
        address = os.environ.get("DATABASE_WATCHDOG_URL") or os.environ["DATABASE_URL"]
        folders = [Path(folder) for folder in environment.list("WATCHDOG_FOLDERS", default=[str(settings.VAR_DIR)])]
        backup_folder = environment.str("WATCHDOG_BACKUPS", default="")
        backups = Path(backup_folder) if backup_folder else None
        beat_url = environment.str("WATCHDOG_HEARTBEAT_URL", default="")
        if beat_url and not beat_url.startswith(("https://", "http://")):
            raise CommandError(
                f"WATCHDOG_HEARTBEAT_URL is {beat_url!r}; write an address such as https://…", returncode=2
            )
        if options["once"]:
            findings = look(address, folders, backups)
            for finding in findings:
                self.stdout.write(f"{finding.name}: {finding.words}")
            if findings:
                raise SystemExit(1)
            return
        channel = _Channel(environment)
        watch, began = Watch(self._teller(channel)), time.monotonic()
        while True:
            findings = look(address, folders, backups)
            starting = time.monotonic() - began < START_SECONDS
            watch.take([one for one in findings if not (starting and one.is_never)], time.time())
            if beat_url and not findings:
                self._beat(beat_url)
            time.sleep(LOOK_EVERY_SECONDS)

    def _teller(self, channel: _Channel) -> Any:
        def tell(subject: str, words: str) -> None:
            self._say(f"{subject}: {words}")
            try:
                channel.send(subject, words)
            except CHANNEL_FAILURES as problem:
                self._say(f"watchdog: its mail cannot be sent ({type(problem).__name__}: {problem})")

        return tell

    def _beat(self, address: str) -> None:
        try:
            urllib.request.urlopen(address, timeout=10).close()  # noqa: S310  # the scheme was looked at
        except CHANNEL_FAILURES as problem:
            self._say(f"watchdog: nobody takes its heartbeat ({type(problem).__name__})")

    def _say(self, text: str) -> None:
        self.stderr.write(text, style_func=lambda line: line)
        self.stderr.flush()


class _Channel:
    """Mail over a server of the watchdog's own, to people of its own; without either nothing is sent."""

    def __init__(self, environment: environ.Env) -> None:
        self._people = environment.list("WATCHDOG_MAIL_TO", default=[])
        url = environment.str("WATCHDOG_EMAIL_URL", default="") or environment.str("EMAIL_URL", default="")
        self._options: dict[str, Any] = {}
        if url:
            config = environment.email_url_config(url)
            self._options = {
                "backend": config["EMAIL_BACKEND"], "host": config["EMAIL_HOST"], "port": config["EMAIL_PORT"] or 25,
                "username": config["EMAIL_HOST_USER"] or "", "password": config["EMAIL_HOST_PASSWORD"] or "",
                "use_tls": config.get("EMAIL_USE_TLS", False), "use_ssl": config.get("EMAIL_USE_SSL", False),
                "timeout": 10,
            }  # fmt: skip

    def send(self, subject: str, words: str) -> None:
        """Send one mail to all of them. Raises ``OSError`` or ``ValueError``."""
        if self._people and self._options:
            connection = get_connection(**self._options)
            body = f"{words}\n\n{settings.PUBLIC_URL}/operations/\n"
            EmailMessage(subject, body, to=self._people, connection=connection).send()
