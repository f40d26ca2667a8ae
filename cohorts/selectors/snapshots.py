"""Published figures as programs and pages read them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from typing import Any

from cohorts.domain.columns import CSV_COLUMNS
from cohorts.domain.member_table import csv_rows
from cohorts.models import Cohort, CohortPublication, CohortSnapshot, SnapshotName
from monitoring.domain.text.spreadsheet import as_cells
from monitoring.models import Centre

SYNTHETIC_MARK = "SYNTHETIC: made-up data, no person's results"


def is_synthetic() -> bool:
    """Whether this database holds synthetic data: every export then says so."""
    return Centre.objects.filter(is_synthetic=True).exists()


def published(cohort: Cohort) -> CohortPublication | None:
    """What is shown of a cohort, None before the first computation."""
    return CohortPublication.objects.filter(cohort=cohort).select_related("snapshot", "cohort").first()


def kept(cohort: Cohort, digest: str) -> CohortPublication | None:
    """The latest snapshot whose digest begins so, look-backs included, as if published; None where there is none."""
    snapshot = CohortSnapshot.objects.filter(cohort=cohort, digest__startswith=digest).order_by("-computed_at").first()
    return None if snapshot is None else as_published(snapshot)


def named(cohort: Cohort, name: str) -> CohortPublication | None:
    """The snapshot of a name, as if published; None where nothing is called so."""
    found = SnapshotName.objects.filter(cohort=cohort, name=name).select_related("snapshot__cohort").first()
    return None if found is None else as_published(found.snapshot)


def is_published(publication: CohortPublication) -> bool:
    """Whether this is what is shown of a cohort, and not an older snapshot as if it were."""
    return not publication._state.adding


def as_published(snapshot: CohortSnapshot) -> CohortPublication:
    """A snapshot as if it were published; where it is, its publication."""
    standing = CohortPublication.objects.filter(snapshot=snapshot).select_related("snapshot", "cohort").first()
    return standing or CohortPublication(
        cohort=snapshot.cohort, snapshot=snapshot, published_at=snapshot.computed_at, confirmed_at=snapshot.computed_at
    )


def snapshot_json(publication: CohortPublication) -> dict[str, Any]:
    """The snapshot in the form of the contract."""
    snapshot = publication.snapshot
    mark = {"synthetic": SYNTHETIC_MARK} if is_synthetic() else {}
    return {
        **mark,
        "cohort": publication.cohort.slug,
        "title": publication.cohort.title,
        "data_cutoff": snapshot.data_cutoff.isoformat(),
        "computed_at": snapshot.computed_at.isoformat(),
        "confirmed_at": publication.confirmed_at.isoformat(),
        "digest": snapshot.digest,
        **snapshot.figures,
    }


def members_csv(publication: CohortPublication) -> bytes:
    """The member file of the contract, taken from the frozen rows."""
    buffer = io.StringIO()
    mark = {"synthetic": SYNTHETIC_MARK} if is_synthetic() else {}
    writer = csv.DictWriter(buffer, (*CSV_COLUMNS, *mark), lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_cells({**row, **mark}) for row in frozen_members(publication.snapshot))
    return buffer.getvalue().encode()


# --- frozen rows -------------------------------------------------------------------------------------------------

_GZIP = b"\x1f\x8b"  # snapshots frozen before rows were Parquet hold a CSV file


def frozen_members(snapshot: CohortSnapshot) -> Iterator[dict[str, str]]:
    """The frozen rows of a snapshot as texts, members and excluded: a registry has a hundred thousand."""
    raw = bytes(snapshot.rows)
    if raw.startswith(_GZIP):
        for row in csv.DictReader(io.TextIOWrapper(gzip.GzipFile(fileobj=io.BytesIO(raw)), "utf-8", newline="")):
            yield {name: row.get(name) or "" for name in CSV_COLUMNS}
        return
    from cohorts.domain.artefact import thawed  # it loads Arrow, which no page needs before rows are read

    yield from csv_rows(thawed(raw))


def frozen_centres(snapshot: CohortSnapshot) -> Iterator[tuple[str, bool]]:
    """The centre of each frozen row, and whether it is a member."""
    raw = bytes(snapshot.rows)
    if raw.startswith(_GZIP):
        yield from ((row["centre"], row["included"] == "true") for row in frozen_members(snapshot))
        return
    from cohorts.domain.artefact import centres_of  # as above

    centres, is_member = centres_of(raw)
    yield from zip(centres.tolist(), is_member.tolist(), strict=True)
