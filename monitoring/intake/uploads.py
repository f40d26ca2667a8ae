"""Files given on the page: kept in the database until a worker has read them, so that neither a restart nor another
machine loses one; every row gets its verdict."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from monitoring import clock
from monitoring.intake.loading import Outcome, Upload, load_file
from monitoring.intake.tables import FileProblem
from monitoring.models import ImportRun, JobRun, Role
from monitoring.permissions import memberships_of
from monitoring.services.jobs import claim_slot, finish
from monitoring.services.reach import reach_of
from tasks import hints

LOADING = (Role.TECHNICIAN, Role.VERIFIER, Role.ADMINISTRATOR)
MOST_BYTES = 10_000_000
LEASE_SECONDS = 120
KEPT_FOR = dt.timedelta(days=1)
# A workbook is an archive: what it unpacks to is bounded before it is opened.
MOST_UNPACKED_BYTES, MOST_RATIO, MOST_PARTS = 150_000_000, 100, 500
VERDICT_COLUMNS = ("row", "verdict", "column", "value", "reason")


def take_upload(
    kind: str, name: str, content: bytes, *, by: User, dry_run: bool, amend_reason: str = "", language: str = "en"
) -> ImportRun:
    """Keep a file and hint to a worker. Raises ``FileProblem`` for one that is too large or no honest archive."""
    if len(content) > MOST_BYTES:
        raise FileProblem(
            _("The file has more than %(most)s MB; load it with the command.") % {"most": MOST_BYTES // 10**6}
        )
    _check_archive(content)
    with transaction.atomic():
        run = ImportRun.objects.create(
            kind=kind, file_name=Path(name).name[:255], sha256=hashlib.sha256(content).hexdigest(), by=by,
            dry_run=dry_run, amend_reason=amend_reason[:500], content=content, language=language,
            started_at=clock.now(),
        )  # fmt: skip
        hints.after_commit(hints.LOAD_UPLOAD, run.pk)
    return run


def _check_archive(content: bytes) -> None:
    if not content.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile:
        raise FileProblem(_("The file looks like a workbook and cannot be opened; save it again.")) from None
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > MOST_PARTS or unpacked > MOST_UNPACKED_BYTES or unpacked > MOST_RATIO * len(content):
        raise FileProblem(_("The workbook unpacks to far more than it should; save the sheet as CSV."))


def load_again(run: ImportRun, *, by: User) -> ImportRun | None:
    """Load the file of a finished dry run for real; None where it is no longer kept."""
    if not run.dry_run or run.content is None or run.finished_at is None:
        return None
    return take_upload(
        run.kind, run.file_name, bytes(run.content), by=by, dry_run=False, amend_reason=run.amend_reason,
        language=run.language,
    )  # fmt: skip


@dataclass
class _Verdicts:
    """The verdict of every row, compressed as it grows: one line for a row without a problem, one for each problem."""

    buffer: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        self._text = io.TextIOWrapper(gzip.GzipFile(fileobj=self.buffer, mode="wb", mtime=0), "utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")

    def say(self, line: int, verdict: str, column: str = "", value: str = "", reason: str = "") -> None:
        self._writer.writerow((line, verdict, column, value, reason))

    def packed(self) -> bytes:
        self._text.close()
        return self.buffer.getvalue()


def load_upload(run_id: int) -> bool:
    """Load a kept file, unless somebody else does or has; returns whether this call did it.

    A worker that is killed leaves whole records only; the lease ends, and the file is read again from its beginning.
    """
    run = (
        ImportRun.objects.filter(pk=run_id, finished_at__isnull=True, content__isnull=False)
        .select_related("by")
        .first()
    )
    if run is None:
        return False
    claimed = claim_slot(f"import:{run.pk}", run.started_at, now=clock.now(), lease_seconds=LEASE_SECONDS)
    if claimed is None:
        return False
    verdicts = _Verdicts()
    assert isinstance(run.by, User)
    upload = Upload(run, reach_of(memberships_of(run.by), LOADING, by_file=True), verdicts.say)
    with translation.override(run.language), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / run.file_name
        path.write_bytes(bytes(run.content or b""))
        try:
            outcome = load_file(
                run.kind, path, by=run.by, amend_reason=run.amend_reason, dry_run=run.dry_run, upload=upload,
                progress=lambda done, total: _note_progress(run, claimed, done, total),
            )  # fmt: skip
        except FileProblem as problem:
            run.problem = str(problem).removeprefix(f"{path}: ")[:500]
            outcome = Outcome()
    _end(run, outcome, verdicts.packed())
    finish(claimed, ok=not run.problem, detail=run.problem, now=clock.now())
    return True


def _note_progress(run: ImportRun, claimed: JobRun, done: int, total: int) -> None:
    ImportRun.objects.filter(pk=run.pk).update(rows_done=done, rows=total)
    until = clock.now() + dt.timedelta(seconds=LEASE_SECONDS)
    JobRun.objects.filter(pk=claimed.pk, attempts=claimed.attempts).update(lease_until=until)


def _end(run: ImportRun, outcome: Outcome, verdicts: bytes) -> None:
    run.finished_at = clock.now()
    run.rows = run.rows_done = outcome.rows
    run.counts = {**outcome.actions, "refused_rows": outcome.refused_rows}
    run.notes = [*(f"{note} ({count})" for note, count in outcome.notes.most_common(20)), *outcome.created_names][:50]
    run.verdicts = verdicts
    if not run.dry_run:
        run.content = None  # what was loaded stands in the tables; the file is not kept
    run.save(update_fields=["finished_at", "rows", "rows_done", "counts", "notes", "verdicts", "content", "problem"])


def verdict_rows(run: ImportRun) -> list[dict[str, str]]:
    """The verdicts of a finished run, one a row of the file or problem."""
    if run.verdicts is None:
        return []
    text = gzip.decompress(bytes(run.verdicts)).decode()
    return [dict(zip(VERDICT_COLUMNS, row, strict=True)) for row in csv.reader(io.StringIO(text))]


def owed_uploads(*, now: dt.datetime, older_than_seconds: float = 0, but: Collection[str] = ()) -> list[int]:
    """Files that nobody is reading: never claimed, or claimed by something that died; ``but`` are set aside."""
    before = now - dt.timedelta(seconds=older_than_seconds)
    waiting = ImportRun.objects.filter(finished_at__isnull=True, content__isnull=False, started_at__lte=before)
    waiting = waiting.exclude(public_id__in=list(but))
    leased = {
        int(job.removeprefix("import:"))
        for job in JobRun.objects.filter(job__startswith="import:", lease_until__gte=now, finished_at__isnull=True).values_list("job", flat=True)
    }  # fmt: skip
    return [pk for pk in waiting.order_by("started_at").values_list("pk", flat=True)[:20] if pk not in leased]


def forget_old_files(*, now: dt.datetime) -> int:
    """Drop the content of dry runs that nobody has loaded within a day; returns how many."""
    return ImportRun.objects.filter(finished_at__lt=now - KEPT_FOR, content__isnull=False).update(content=None)
