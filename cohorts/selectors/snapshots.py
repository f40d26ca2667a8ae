"""Published figures as programs and pages read them."""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

from cohorts.domain.member_table import CSV_COLUMNS
from cohorts.models import Cohort, CohortPublication, CohortSnapshot
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
    if snapshot is None:
        return None
    return CohortPublication(
        cohort=cohort, snapshot=snapshot, published_at=snapshot.computed_at, confirmed_at=snapshot.computed_at
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
    frozen = csv.DictReader(io.StringIO(gzip.decompress(bytes(publication.snapshot.rows)).decode()))
    buffer = io.StringIO()
    mark = {"synthetic": SYNTHETIC_MARK} if is_synthetic() else {}
    writer = csv.DictWriter(buffer, (*CSV_COLUMNS, *mark), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(as_cells({**row, **mark}) for row in frozen)
    return buffer.getvalue().encode()
