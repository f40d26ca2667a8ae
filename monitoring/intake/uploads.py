"""Files uploaded on the page: kept in the database until a worker has read them, so that a restart loses none.

Every row gets a verdict. The worker may run on another machine than the page.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import logging
import tempfile
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from monitoring import clock
from monitoring.intake.apart import ApartReader, ReaderLostError
from monitoring.intake.bounds import PAGE
from monitoring.intake.file_problems import FileProblem
from monitoring.intake.foreseen_files import ForeseenFile
from monitoring.intake.lines import NoWorkbook, TooMuch
from monitoring.intake.loading import FileOutcome, Upload, load_file, recorder_of
from monitoring.intake.mending import RefusedRows
from monitoring.intake.sheets import check_archive
from monitoring.models import ImportRun, JobRun, Role
from monitoring.permissions import memberships_of
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.reach import Reach, reach_of
from monitoring.services.foundation.jobs import claim_slot, finish
from monitoring.services.foundation.sealing import seal, unseal
from tasks import hints

logger = logging.getLogger(__name__)

LOADING = (Role.TECHNICIAN, Role.VERIFIER, Role.ADMINISTRATOR)
MOST_BYTES = 10_000_000
LEASE_SECONDS = 120
MOST_ATTEMPTS = 3
KEPT_FOR = dt.timedelta(days=1)
VERDICTS_KEPT_FOR = dt.timedelta(days=30)
CONTENT, VERDICTS = "upload content", "upload verdicts"
REFUSED, FORESEEN = "upload refused rows", "upload foreseen"
# The name of our copy on disk: the uploader's name may be too long for one, or empty.
_NAME_ON_DISK = "given"
# A lost database connection is not the fault of the file: these errors are raised, and the file stays to be read.
_DATABASE_LOST = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
_IDENTITY_COLUMNS = frozenset(IdentityFacts.__slots__)
VERDICT_COLUMNS = ("row", "verdict", "column", "value", "reason")


def take_upload(
    kind: str, name: str, content: bytes, *, by: User, dry_run: bool, amend_reason: str = "", language: str = "en"
) -> ImportRun:
    """Keep a file and hint to a worker. Raises ``FileProblem`` for one too large, or an unusable archive."""
    if len(content) > MOST_BYTES:
        raise FileProblem(
            _("The file has more than %(most)s MB; load it with the command.") % {"most": MOST_BYTES // 10**6}
        )
    _check_archive(content)
    public_id = uuid.uuid4()
    with transaction.atomic():
        run = ImportRun.objects.create(
            public_id=public_id, kind=kind, file_name=Path(name).name[:255], sha256=hashlib.sha256(content).hexdigest(),
            by=by,
            dry_run=dry_run, amend_reason=amend_reason[:500],
            content=seal(content, owner=public_id, purpose=CONTENT), language=language,
            started_at=clock.now(),
        )  # fmt: skip
        hints.after_commit(hints.LOAD_UPLOAD, run.pk)
    return run


def _check_archive(content: bytes) -> None:
    if not content.startswith(b"PK"):
        return
    try:
        check_archive(io.BytesIO(content), len(content), PAGE)
    except TooMuch as problem:
        raise FileProblem(str(problem)) from None
    except NoWorkbook:
        raise FileProblem(_("The file looks like a workbook and cannot be opened; save it again.")) from None


def load_again(run: ImportRun, *, by: User) -> ImportRun | None:
    """Load the file of a finished dry run for real; None where it is no longer kept."""
    if not run.dry_run or run.content is None or run.finished_at is None:
        return None
    content = unseal(run.content, owner=run.public_id, purpose=CONTENT)
    if content is None:
        return None
    return take_upload(
        run.kind, run.file_name, content, by=by, dry_run=False, amend_reason=run.amend_reason,
        language=run.language,
    )  # fmt: skip


@dataclass
class _Verdicts:
    """The verdict of every row, compressed as it grows: one line for a row without a problem, one for each problem.

    Names and hospital numbers are not repeated, neither as a value nor in a reason. Of a file of patients no value is
    repeated, because a shifted row has a name in any column.
    """

    kind: str
    buffer: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        self._text = io.TextIOWrapper(gzip.GzipFile(fileobj=self.buffer, mode="wb", mtime=0), "utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")

    def say(self, line: int, verdict: str, column: str = "", value: str = "", reason: str = "") -> None:
        if value and column in _IDENTITY_COLUMNS:
            reason = reason.replace(value, _("(not repeated here)"))
        if value and (column in _IDENTITY_COLUMNS or self.kind == "patients"):
            value = _("(not repeated here)")
        self._writer.writerow((line, verdict, column, value, reason))

    def packed(self) -> bytes:
        self._text.close()
        return self.buffer.getvalue()


def load_upload(run_id: int) -> bool:
    """Load a kept file, unless somebody else does or has; returns whether this call did it.

    A killed worker leaves whole records only. Its lease ends, and the file is read again from its beginning, three
    times at most. Any other failure ends the run with a message for the uploader; an unexpected one is also raised.
    """
    run = (
        ImportRun.objects.filter(pk=run_id, finished_at__isnull=True, content__isnull=False)
        .select_related("by")
        .first()
    )
    if run is None:
        return False
    claimed = claim_slot(_job(run.pk), run.started_at, now=clock.now(), lease_seconds=LEASE_SECONDS)
    if claimed is None:
        _end_what_was_finished(run)
        return False
    with translation.override(run.language):
        try:
            _load(run, claimed)
        except _LeaseLostError:
            return False
        except _DATABASE_LOST:
            raise
        except ReaderLostError as problem:
            logger.warning("upload %s: %s; attempt %s", run.pk, problem, claimed.attempts)
            if claimed.attempts < MOST_ATTEMPTS:
                _give_back(claimed)
                return False
            _end_with_words(run, claimed, _three_times())
        except Exception:  # the uploader gets an answer whatever happened; the error is raised again
            logger.exception("upload %s failed", run.pk)
            words = _("The file could not be read for a reason that lies in the service; tell its operator.")
            _end_with_words(run, claimed, words)
            raise
    return True


def _end_what_was_finished(run: ImportRun) -> None:
    """End a run whose job is already finished: no worker would claim it again, and it would wait for ever."""
    if JobRun.objects.filter(job=_job(run.pk), slot_at=run.started_at, finished_at__isnull=False).exists():
        with translation.override(run.language):
            words = _("The file can no longer be read; give it again.")
        unfinished = ImportRun.objects.filter(pk=run.pk, finished_at__isnull=True)
        unfinished.update(finished_at=clock.now(), problem=words, content=None)


class _LeaseLostError(Exception):
    """Another worker reads the file now: this one was held up for longer than its lease."""


def _load(run: ImportRun, claimed: JobRun) -> None:
    if claimed.attempts > MOST_ATTEMPTS:
        _end_with_words(run, claimed, _three_times())
        return
    content = unseal(run.content or b"", owner=run.public_id, purpose=CONTENT)
    if content is None:
        _end_with_words(run, claimed, _("The file can no longer be read; give it again."))
        return
    verdicts, refused = _Verdicts(run.kind), RefusedRows()
    assert isinstance(run.by, User)
    reach = reach_of(memberships_of(run.by), LOADING, by_file=True)
    foreseen = _foreseen(run, run.by, reach) if run.dry_run else None
    upload = Upload(run, reach, verdicts.say, refused, foreseen)
    with tempfile.TemporaryDirectory() as folder, ApartReader(lambda: _renew(claimed)) as reader:
        path = Path(folder) / _NAME_ON_DISK
        path.write_bytes(content)
        try:
            outcome = load_file(
                run.kind, path, by=run.by, amend_reason=run.amend_reason, dry_run=run.dry_run, upload=upload,
                progress=lambda done, total: _note_progress(run, claimed, done, total), opened=reader.open_table,
            )  # fmt: skip
        except FileProblem as problem:
            _end_with_words(run, claimed, problem.reason)
            return
    if foreseen is not None:
        told = json.dumps(foreseen.told(lambda: _renew(claimed))).encode()
        run.foreseen = seal(told, owner=run.public_id, purpose=FORESEEN)
    if rows := refused.packed():
        run.refused = seal(rows, owner=run.public_id, purpose=REFUSED)
    _end(run, claimed, outcome, verdicts.packed())


def _foreseen(run: ImportRun, by: User, reach: Reach) -> ForeseenFile:
    """What takes the records of a file that is only tried, and says what they would mean."""
    record, reason = recorder_of(run.kind), run.amend_reason

    def as_if(facts: Sequence[Any]) -> object:
        return record(facts, by=by, reach=reach, now=clock.now(), amend_reason=reason)

    return ForeseenFile(as_if, clock.now().date())


def _three_times() -> str:
    values = {"times": MOST_ATTEMPTS}
    return _("Reading the file was broken off %(times)s times; save it anew as CSV and give it in parts.") % values


def _job(run_id: int) -> str:
    return f"import:{run_id}"


def _note_progress(run: ImportRun, claimed: JobRun, done: int, total: int) -> None:
    _renew(claimed)
    ImportRun.objects.filter(pk=run.pk).update(rows_done=done, rows=total)


def _renew(claimed: JobRun) -> None:
    """Renew the lease. Raises ``_LeaseLostError`` where another worker has it."""
    until = clock.now() + dt.timedelta(seconds=LEASE_SECONDS)
    ours = JobRun.objects.filter(pk=claimed.pk, attempts=claimed.attempts, finished_at__isnull=True)
    if not ours.update(lease_until=until):
        raise _LeaseLostError


def _give_back(claimed: JobRun) -> None:
    """End the lease now, so that the next sweep finds the file."""
    JobRun.objects.filter(pk=claimed.pk, attempts=claimed.attempts).update(lease_until=None)


def _end_with_words(run: ImportRun, claimed: JobRun, words: str) -> None:
    run.problem = words[:500]
    _end(run, claimed, FileOutcome(), _Verdicts(run.kind).packed())


def _end(run: ImportRun, claimed: JobRun, outcome: FileOutcome, verdicts: bytes) -> None:
    run.finished_at = clock.now()
    run.rows = run.rows_done = outcome.rows
    run.counts = {**outcome.actions, "refused_rows": outcome.refused_rows}
    run.notes = [*(f"{note} ({count})" for note, count in outcome.notes.most_common(20)), *outcome.created_names][:50]
    run.verdicts = seal(verdicts, owner=run.public_id, purpose=VERDICTS)
    if not run.dry_run:
        run.content = None  # its data are stored now; the file is not kept
    with transaction.atomic():
        if finish(claimed, ok=not run.problem, detail=run.problem, now=run.finished_at):
            run.save(
                update_fields=[
                    "finished_at", "rows", "rows_done", "counts", "notes", "verdicts", "content", "problem", "refused",
                    "foreseen",
                ]
            )  # fmt: skip


def verdict_rows(run: ImportRun) -> list[dict[str, str]]:
    """The verdicts of a finished run: one for a row without a problem, one for each problem."""
    if run.verdicts is None:
        return []
    packed = unseal(run.verdicts, owner=run.public_id, purpose=VERDICTS)
    if packed is None:
        return []
    text = gzip.decompress(packed).decode()
    return [dict(zip(VERDICT_COLUMNS, row, strict=True)) for row in csv.reader(io.StringIO(text))]


def foreseen_of(run: ImportRun) -> dict[str, Any]:
    """What a file that was only tried would mean, as ``ForeseenFile.told`` said it; empty where it is not kept."""
    told = unseal(run.foreseen, owner=run.public_id, purpose=FORESEEN) if run.foreseen else None
    return json.loads(told) if told else {}


def refused_rows(run: ImportRun) -> str:
    """The refused rows as a CSV file to mend and give again; empty where there are none or they are not kept."""
    packed = unseal(run.refused, owner=run.public_id, purpose=REFUSED) if run.refused else None
    return gzip.decompress(packed).decode() if packed else ""


def owed_uploads(*, now: dt.datetime, older_than_seconds: float = 0, but: Collection[str] = ()) -> list[int]:
    """Files that nobody is reading: never claimed, or claimed by something that died; ``but`` are set aside."""
    before = now - dt.timedelta(seconds=older_than_seconds)
    waiting = ImportRun.objects.filter(finished_at__isnull=True, content__isnull=False, started_at__lte=before)
    waiting = waiting.exclude(public_id__in=list(but))
    leased = {
        int(job.removeprefix("import:"))
        for job in JobRun.objects.filter(
            job__startswith="import:", lease_until__gte=now, finished_at__isnull=True
        ).values_list("job", flat=True)
    }
    return [pk for pk in waiting.order_by("started_at").values_list("pk", flat=True) if pk not in leased][:20]


def forget_old_files(*, now: dt.datetime) -> int:
    """Drop files a day after they were read, and verdicts after thirty days; returns how many of both."""
    runs = ImportRun.objects
    rows = Q(content__isnull=False) | Q(refused__isnull=False)
    contents = runs.filter(rows, finished_at__lt=now - KEPT_FOR).update(content=None, refused=None)
    told = Q(verdicts__isnull=False) | Q(foreseen__isnull=False)
    verdicts = runs.filter(told, finished_at__lt=now - VERDICTS_KEPT_FOR).update(verdicts=None, foreseen=None)
    return contents + verdicts
