"""Versions of results: as they stand in the database, and as new ones are written."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet

from monitoring.domain.scoring.laboratory_report import LaboratoryReport, ReplicateReport
from monitoring.models import LateReport, PcrResult, Replicate
from monitoring.selectors.laboratories import ReportingLaboratory
from monitoring.selectors.series import REPORT_COLUMNS, load_replicates, report_of
from monitoring.services.foundation.copy_rows import copy_rows, next_ids

_INSERTED = ("accession_number", "version", *REPORT_COLUMNS, "recorded_at")


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One version of a result as it stands in the database."""

    id: int
    public_id: uuid.UUID
    patient_id: int
    centre_id: int
    recorded_by_id: int
    report: LaboratoryReport


@dataclass(frozen=True, slots=True)
class Insertion:
    """One version that is to be stored."""

    public_id: uuid.UUID
    report: LaboratoryReport
    patient_id: int
    laboratory_id: int
    version: int
    supersedes: StoredResult | None


def stored_versions(
    reports: Sequence[LaboratoryReport], laboratories: Mapping[str, ReportingLaboratory]
) -> dict[tuple[int, str], list[StoredResult]]:
    """All versions of the named accessions, oldest first."""
    named = PcrResult.objects.filter(
        laboratory__in=[lab.row.pk for lab in laboratories.values()],
        accession_number__in={r.accession_number for r in reports},
    )
    return _versions(named)


def _versions(named: QuerySet[PcrResult]) -> dict[tuple[int, str], list[StoredResult]]:
    known = list(named.values_list("id", flat=True))
    if not known:  # most reports are new: the wide query is then not worth asking
        return {}
    rows = list(
        PcrResult.objects.filter(id__in=known)
        .order_by("version")
        .values(
            "id",
            "public_id",
            "patient_id",
            "patient__centre_id",
            "recorded_by_id",
            "laboratory_id",
            "laboratory__code",
            "accession_number",
            *REPORT_COLUMNS,
        )
    )
    replicates = load_replicates(known)
    by_key: dict[tuple[int, str], list[StoredResult]] = defaultdict(list)
    for row in rows:
        report = report_of(row, replicates.get(row["id"], ()), row["laboratory__code"])
        by_key[row["laboratory_id"], row["accession_number"]].append(
            StoredResult(
                row["id"], row["public_id"], row["patient_id"], row["patient__centre_id"], row["recorded_by_id"], report
            )
        )
    return by_key


def versions_of(result: PcrResult) -> list[StoredResult]:
    """All versions of one result, oldest first."""
    (versions,) = _versions(PcrResult.objects.filter(public_id=result.public_id)).values()
    return versions


def is_reported(replicates: Sequence[ReplicateReport]) -> bool:
    """Whether any tube carries a number or a statement; that its run failed is one."""
    return any(r.reported or r.control_gene_copies is not None or not r.run_valid for r in replicates)


def versions_of_each(results: Sequence[PcrResult]) -> dict[uuid.UUID, list[StoredResult]]:
    """All versions of each of these results by its public id, oldest first, read together."""
    named = PcrResult.objects.filter(public_id__in={result.public_id for result in results})
    return {versions[0].public_id: versions for versions in _versions(named).values()}


# --- storing ---------------------------------------------------------------------------------------------------------


_RESULT_COLUMNS = ("public_id", "laboratory_id", "patient_id", "supersedes_id", "recorded_by_id", *_INSERTED)
_TUBE_COLUMNS = ("number", "bcr_abl1_copies", "control_gene_copies", "run_valid", "bcr_abl1_reported")
# One result with its tubes in one statement: COPY pays from some dozen rows on.
_INSERT_ONE = f"""
with stored as (
    insert into monitoring_pcrresult ({", ".join(_RESULT_COLUMNS)})
    values ({", ".join(["%s"] * len(_RESULT_COLUMNS))}) returning id
)
insert into monitoring_replicate (result_id, {", ".join(_TUBE_COLUMNS)})
select stored.id, tube.*
from stored, unnest(%s::int[], %s::numeric[], %s::numeric[], %s::boolean[], %s::boolean[]) tube
"""  # noqa: S608  # column names of this file


def insert_versions(insertions: Sequence[Insertion], by: User, now: dt.datetime) -> None:
    """Store new versions with their tubes: one by a single statement, more by COPY."""
    if len(insertions) == 1:
        tubes = list(zip(*_tubes(insertions[0]), strict=True)) or [()] * len(_TUBE_COLUMNS)
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_ONE, [*_row(insertions[0], by, now), *map(list, tubes)])
        return
    ids = next_ids(PcrResult, len(insertions))
    copy_rows(
        PcrResult,
        ["id", *_RESULT_COLUMNS],
        ((pk, *_row(i, by, now)) for pk, i in zip(ids, insertions, strict=True)),
    )
    copy_rows(
        Replicate,
        ["result_id", *_TUBE_COLUMNS],
        ((pk, *tube) for pk, i in zip(ids, insertions, strict=True) for tube in _tubes(i)),
    )


def keep_late_reports(late: Sequence[tuple[StoredResult, LaboratoryReport]], by: User, now: dt.datetime) -> None:
    """Keep reports that were older than what stood when they came, each once."""
    if not late:
        return
    kept = LateReport.objects.filter(result__in={newest.public_id for newest, _report in late})
    known = [(row.result, row.content) for row in kept]
    for newest, report in late:
        content = _as_json(report)
        if (newest.public_id, content) not in known:
            known.append((newest.public_id, content))
            LateReport.objects.create(
                result=newest.public_id, stated_version=report.stated_version, issued_at=report.issued_at,
                content=content, recorded_at=now, recorded_by=by,
            )  # fmt: skip


def _as_json(report: LaboratoryReport) -> dict[str, Any]:
    """What a report says, by field name, without what it leaves open."""
    values = {n: getattr(report, n) for n in report.__slots__ if n != "replicates"}
    tubes = [dataclasses.asdict(tube) for tube in report.replicates] if is_reported(report.replicates) else []
    texts = {n: str(value) for n, value in values.items() if value not in (None, "")}
    return texts | {"replicates": [{n: str(v) for n, v in tube.items() if v is not None} for tube in tubes]}


def _row(insertion: Insertion, by: User, now: dt.datetime) -> tuple[Any, ...]:
    """The values of ``_RESULT_COLUMNS``."""
    report, before = insertion.report, insertion.supersedes
    own = {
        "collected_on": report.collected.on,
        "collected_precision": report.collected.precision.value,
        "version": insertion.version,
        "stated_version": _stated_version(insertion),
        "recorded_at": now,
    }
    values = (own[name] if name in own else getattr(report, name) for name in _INSERTED)
    keys = (insertion.public_id, insertion.laboratory_id, insertion.patient_id, before.id if before else None, by.pk)
    return (*keys, *values)


def _stated_version(insertion: Insertion) -> int | None:
    """How the laboratory counts this version; a change that does not come from it counts no further."""
    stated, before = insertion.report.stated_version, insertion.supersedes
    return before.report.stated_version if stated is None and before is not None else stated


def _tubes(insertion: Insertion) -> list[tuple[Any, ...]]:
    """The values of ``_TUBE_COLUMNS`` of each tube that was reported."""
    tubes = insertion.report.replicates
    if not is_reported(tubes):
        return []
    return [(t.number, t.bcr_abl1_copies, t.control_gene_copies, t.run_valid, t.reported) for t in tubes]
