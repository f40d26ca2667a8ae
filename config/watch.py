"""What the watchdog looks at, in its own words and its own queries: it shares no code with what it watches.

It reads as a login of its own that may write nothing, needs neither Celery nor Redis, and has its own way to send mail.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must not be older than its limit: the query answers its age in seconds, null for none."""

    name: str
    words: str
    limit_seconds: float
    query: bytes


MINUTE, HOUR, NEVER = 60.0, 3600.0, 1e9
CONDITIONS = (
    Condition(
        "classification", "a patient is owed a classification", 2 * MINUTE,
        b"select extract(epoch from clock_timestamp() - min(requested_at)) from monitoring_classificationrequest",
    ),
    Condition(
        "escalation", "the next step of an alert is overdue", MINUTE,
        b"select extract(epoch from clock_timestamp() - min(next_action_at)) from monitoring_alert"
        b" where state in ('open', 'acknowledged') and (hand_over_id is null or acted_at is not null)"
        b" and next_action_at < clock_timestamp()",
    ),
    Condition(
        "urgent messages", "a message about what cannot wait has not left", 2 * MINUTE,
        b"select extract(epoch from clock_timestamp() - min(owed_at)) from monitoring_alertdelivery"
        b" where settled_at is null and urgency < 3",
    ),
    Condition(
        "messages", "a message has not left", 15 * MINUTE,
        b"select extract(epoch from clock_timestamp() - min(owed_at)) from monitoring_alertdelivery"
        b" where settled_at is null",
    ),
    Condition(
        "alertd", "alertd has done no whole round", 90.0,
        b"select coalesce(extract(epoch from clock_timestamp() - max(beat_at)), 1e9) from monitoring_heartbeat"
        b" where name = 'alertd' and beat_at < clock_timestamp() + interval '1 minute'",
    ),
    Condition(
        "worker", "the worker has not answered the canary that beat sends", 4 * MINUTE,
        b"select coalesce(extract(epoch from clock_timestamp() - max(beat_at)), 1e9) from monitoring_heartbeat"
        b" where name = 'worker classify' and beat_at < clock_timestamp() + interval '1 minute'",
    ),
    Condition(
        "night", "a cohort was not recomputed", 26 * HOUR,
        b"select extract(epoch from clock_timestamp() - min(last)) from (select coalesce("
        b"max(r.finished_at) filter (where r.ok and r.known_at is null), min(r.started_at)) as last"
        b" from cohorts_cohort c join cohorts_cohortrun r on r.cohort_id = c.id where c.is_active group by c.id) runs",
    ),
    Condition(
        "canary", "the mail about the hourly canary has not left", 70 * MINUTE,
        b"select extract(epoch from clock_timestamp() - coalesce(max(d.settled_at) filter (where d.delivered),"
        b" min(d.owed_at))) from monitoring_alertdelivery d join monitoring_alert a on a.id = d.alert_id"
        b" join monitoring_centre c on c.id = a.centre_id where c.is_canary and a.kind = 'loss_of_mmr'",
    ),
    Condition(
        "housekeeping", "the nightly lists, mails and forgetting were not done", 26 * HOUR,
        b"select extract(epoch from clock_timestamp() - coalesce(max(finished_at) filter (where ok), min(claimed_at)))"
        b" from monitoring_jobrun where job = 'housekeeping'",
    ),
)  # fmt: skip
MOST_DISK_PERCENT = 80.0
MOST_CLOCK_SECONDS = 2.0
MOST_BACKUP_HOURS = 26


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that does not hold, in words that name no patient."""

    name: str
    words: str
    is_never: bool = False  # what was to give a sign has never given one


def look(
    address: str, folders: Sequence[Path], backups: Path | None = None, conditions: Sequence[Condition] = CONDITIONS
) -> list[Finding]:
    """Everything that is not as it must be. A database that does not answer is one finding, and hides the others."""
    findings = [*_disks(folders), *(_backups(backups) if backups else [])]
    try:
        with psycopg.connect(address, connect_timeout=5, autocommit=True) as session:
            session.execute("set statement_timeout = '10s'")
            findings += _clock(session)
            for condition in conditions:
                age = _number(session, condition.query)
                if age is not None and age > condition.limit_seconds:
                    is_never = age >= NEVER
                    lasting = "never" if is_never else f"for {age / MINUTE:.0f} minutes"
                    findings.append(Finding(condition.name, f"{condition.words}: {lasting}", is_never))
    except psycopg.Error as problem:
        findings.append(Finding("database", f"the database does not answer ({type(problem).__name__})"))
    return findings


def _number(session: psycopg.Connection, query: bytes) -> float | None:
    row = session.execute(query).fetchone()
    return None if row is None or row[0] is None else float(row[0])


def _clock(session: psycopg.Connection) -> Iterator[Finding]:
    before = time.time()
    there = _number(session, b"select extract(epoch from clock_timestamp())")
    here = (before + time.time()) / 2
    if there is None or abs(there - here) > MOST_CLOCK_SECONDS + (time.time() - before):
        yield Finding("clock", "the clocks of the database and of this machine differ by more than two seconds")


def _disks(folders: Sequence[Path]) -> Iterator[Finding]:
    for folder in folders:
        try:
            usage = shutil.disk_usage(folder)
        except OSError as problem:
            yield Finding(f"disk {folder}", f"{folder} cannot be looked at ({problem.strerror})")
            continue
        percent = 100 * (1 - usage.free / usage.total)
        if percent > MOST_DISK_PERCENT:
            yield Finding(f"disk {folder}", f"{folder} is {percent:.0f} % full")


def _backups(folder: Path) -> Iterator[Finding]:
    """Whether the newest file of a folder is young enough; whoever writes backups decides what they look like."""
    try:
        newest = max((file.stat().st_mtime for file in folder.iterdir() if file.is_file()), default=None)
    except OSError as problem:
        yield Finding("backup", f"{folder} cannot be looked at ({problem.strerror})")
        return
    if newest is None:
        yield Finding("backup", f"there is no backup in {folder}")
    elif time.time() - newest > MOST_BACKUP_HOURS * HOUR:
        yield Finding("backup", f"the last backup is {(time.time() - newest) / HOUR:.0f} hours old")


class Watch:
    """What was found last, so that people are told when something begins, goes on for hours, and ends."""

    def __init__(self, tell: Callable[[str, str], None], again_after_seconds: float = 6 * HOUR) -> None:
        self._tell = tell
        self._again_after_seconds = again_after_seconds
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def take(self, findings: Sequence[Finding], now: float) -> None:
        """Tell what is new or still so, and what is over."""
        found = {finding.name: finding for finding in findings}
        for name, finding in found.items():
            self._since.setdefault(name, now)
            if now - self._told.get(name, -1e18) >= self._again_after_seconds:
                self._tell(f"CML monitoring: {name}", finding.words)
                self._told[name] = now
        for name in self._told.keys() - found.keys():
            minutes = (now - self._since.pop(name)) / MINUTE
            self._tell(f"CML monitoring: {name} is right again", f"It was not for {minutes:.0f} minutes.")
            del self._told[name]
