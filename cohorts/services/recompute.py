"""One computation of one cohort: rows, figures, self-check, digest, and a snapshot published by moving a pointer.

An unchanged night publishes nothing; a failed one leaves the standing snapshot up with the failure beside it. This
module loads lifelines and takes seconds to import: tasks and commands only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import logging
import math
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction

from cohorts.domain.artefact import frozen as frozen_rows
from cohorts.domain.artefact import is_artefact, thawed
from cohorts.domain.definition import Definition
from cohorts.domain.definition_file import DefinitionProblem, as_json, parse_definition
from cohorts.domain.difference import changes_between, counted
from cohorts.domain.figures.compute import FIGURES_VERSION, compute_figures
from cohorts.domain.member_table import MemberTable
from cohorts.domain.members import cohort_of
from cohorts.domain.readings import Columns, read_histories
from cohorts.models import Cohort, CohortPublication, CohortRun, CohortSnapshot
from cohorts.services.kept_readings import KeptReadings
from monitoring import clock
from monitoring.domain.scoring.response_rules import EUTOS_2015
from monitoring.selectors.histories import load_histories
from monitoring.services.foundation.set_aside import is_database_lost

logger = logging.getLogger(__name__)

SERVICE_VERSION = "0.1.0"
LIBRARIES = ("lifelines", "numpy", "pandas", "pyarrow", "scipy")


def recompute(
    cohort: Cohort,
    *,
    as_of: dt.date | None = None,
    known_at: dt.datetime | None = None,
    kept: KeptReadings | None = None,
) -> CohortRun:
    """Compute the figures of a cohort and publish them if anything changed. Whoever is pending is classified before.

    This is a boundary: whatever the data of one cohort bring about is recorded in its run and, with the whole
    traceback, in the log of the operator; the standing figures stay up and the other cohorts are computed.

    ``as_of`` leaves out what was collected later; ``known_at`` uses only what was recorded by that instant: a look
    back, which replays, and whose snapshot is kept and never takes the place of what is published. ``kept`` are
    readings that several cohorts share.
    """
    run = _begun(cohort, as_of, known_at)
    try:
        definition = parse_definition(cohort.definition)
        if as_of is None and known_at is None:
            readings = (kept or KeptReadings()).of(definition)
            snapshot, unchanged = _publish(cohort, definition, readings, run.as_of, publishes=True)
        else:
            histories = (history.until(run.as_of) for history in load_histories(known_at))
            readings = read_histories(histories, definition.event_rule, definition.dmr)
            snapshot, unchanged = _publish(cohort, definition, readings, run.as_of, publishes=False)
    except SoftTimeLimitExceeded:
        raise  # the time of the whole night is over: no fault of this cohort, which is claimed again
    except Exception as problem:  # the boundary: see above
        if is_database_lost(problem):
            raise
        logger.exception("cohort %s failed", cohort.slug)
        return _ended(run, problem)
    run.snapshot, run.unchanged = snapshot, unchanged
    return _ended(run)


def record_failure(
    cohort: Cohort, problem: Exception, *, as_of: dt.date | None = None, known_at: dt.datetime | None = None
) -> CohortRun:
    """A run that failed before anything was computed."""
    return _ended(_begun(cohort, as_of, known_at), problem)


def _begun(cohort: Cohort, as_of: dt.date | None, known_at: dt.datetime | None) -> CohortRun:
    now = clock.now()
    cutoff = as_of or (known_at or now).date()
    return CohortRun.objects.create(cohort=cohort, as_of=cutoff, known_at=known_at, started_at=now)


def _ended(run: CohortRun, problem: Exception | None = None) -> CohortRun:
    run.ok = problem is None
    run.error = "" if problem is None else f"{type(problem).__name__}: {problem}"[:1000]
    run.finished_at = clock.now()
    run.save()
    return run


def _publish(
    cohort: Cohort, definition: Definition, readings: Columns, cutoff: dt.date, *, publishes: bool
) -> tuple[CohortSnapshot, bool]:
    table, passed_over = cohort_of(readings, definition)
    by = versions()
    frozen = frozen_rows(table)
    content = json.dumps([as_json(definition), by, passed_over], sort_keys=True)
    digest = hashlib.sha256(content.encode() + frozen).hexdigest()
    now = clock.now()
    standing = CohortPublication.objects.filter(cohort=cohort).select_related("snapshot").first()
    if standing is not None and standing.snapshot.digest == digest:
        standing.confirmed_at = now
        standing.save(update_fields=["confirmed_at"])
        return standing.snapshot, True
    figures = without_nan(
        {
            **by,
            "definition": as_json(definition),
            "moved_by": _moved_by(standing.snapshot, by, as_json(definition), frozen) if standing else [],
            "moved": _moved(standing.snapshot, table) if standing and publishes else None,
            **compute_figures(table, definition, cutoff, passed_over),
        }
    )
    with transaction.atomic():
        snapshot, _ = CohortSnapshot.objects.get_or_create(
            cohort=cohort,
            digest=digest,
            defaults={
                "figures": figures,
                "rows": frozen,
                "data_cutoff": cutoff,
                "computed_at": now,
            },
        )
        if publishes:
            CohortPublication.objects.update_or_create(
                cohort=cohort, defaults={"snapshot": snapshot, "published_at": now, "confirmed_at": now}
            )
    return snapshot, False


def versions() -> dict[str, Any]:
    """The versions of what computes: rules, libraries, the figures themselves."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "rule_versions": {"response": EUTOS_2015.version},
        "library_versions": {**libraries, "service": SERVICE_VERSION},
        "figures_version": FIGURES_VERSION,
    }


def _moved_by(before: CohortSnapshot, versions: dict[str, Any], definition: dict[str, Any], frozen: bytes) -> list[str]:
    """What is different from the snapshot that stood: the data, the definition, or a version of what computes."""
    old = before.figures
    moved = [name for name, value in versions.items() if old.get(name) != value]
    if not same_definition(old.get("definition"), definition):
        moved.append("definition")
    if bytes(before.rows) != frozen:
        moved.append("data")
    return moved


def _moved(before: CohortSnapshot, table: MemberTable) -> dict[str, Any] | None:
    """How many entered, left, or are different since the snapshot that stood; None where its rows are no Parquet."""
    raw = bytes(before.rows)
    if not is_artefact(raw):
        return None
    return {"since": before.digest, **counted(changes_between(thawed(raw), table))}


def same_definition(stored: Any, definition: Any) -> bool:
    """Whether two definitions say the same: one that was stored earlier may lack keys that mean nothing by default."""
    try:
        return parse_definition(stored) == parse_definition(definition)
    except DefinitionProblem:  # of a version that wrote them otherwise
        return bool(stored == definition)


def without_nan(value: Any) -> Any:
    """The same data with null for every number that does not exist."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
