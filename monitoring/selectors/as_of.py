"""What was known at an instant: rows as their history had them, results as they stood."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.db.models import Exists, Model, OuterRef, QuerySet

from monitoring.models import Centre, PcrResult, ResultStatus
from monitoring.models.centres import zone_of


def end_of_day(text: str, centre: Centre, now: dt.datetime) -> dt.datetime | None:
    """The end of a day that is over, in a centre's time zone, as an instant; None for anything else."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    if not 1900 < day.year < 2200:
        return None
    end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone_of(centre))
    return end.astimezone(dt.UTC) if end < now else None


def day_of(known_at: dt.datetime | None, centre: Centre, now: dt.datetime) -> dt.date:
    """The day that the end of a day belongs to, in a centre's time zone; today where nothing was asked."""
    if known_at is None:
        return now.date()
    return (known_at.astimezone(zone_of(centre)) - dt.timedelta(microseconds=1)).date()


def as_known(model: type[Model], known_at: dt.datetime | None) -> QuerySet[Any]:
    """The rows of a model as they stood at an instant, read from its history; the present rows without one.

    Rows of the history carry the same fields; their own key is ``pgh_obj_id``.
    """
    if known_at is None:
        return model._default_manager.all()
    events = model.pgh_event_model._default_manager  # type: ignore[attr-defined]  # set by pghistory
    rows: QuerySet[Any] = (
        events.filter(pgh_created_at__lte=known_at)
        .order_by("pgh_obj_id", "-pgh_created_at", "-pgh_id")
        .distinct("pgh_obj_id")
    )
    return rows


def known_rows(model: type[Model], ids: Collection[int], known_at: dt.datetime | None) -> QuerySet[Any]:
    """The named rows of a model, now or as they stood at an instant."""
    return as_known(model, known_at).filter(**{"pgh_obj_id__in" if known_at else "pk__in": ids})


def row_key(row: Any) -> int:
    """The key of a row, read from the table or from its history."""
    return int(getattr(row, "pgh_obj_id", None) or row.pk)


def siblings_of(result: PcrResult) -> QuerySet[PcrResult]:
    """Other standing accessions of the same patient, laboratory and day: one may be meant to replace the other."""
    alike = {"patient": result.patient_id, "laboratory": result.laboratory_id, "collected_on": result.collected_on}
    others = standing_results(None).filter(**alike).exclude(public_id=result.public_id)
    return others.exclude(status=ResultStatus.ENTERED_IN_ERROR).order_by("accession_number")


def standing_results(known_at: dt.datetime | None) -> QuerySet[PcrResult]:
    """The versions of results that stand now, or stood at an instant."""
    # "Not exists" and not "is null": the planner then knows that most versions stand.
    later = PcrResult.objects.filter(supersedes=OuterRef("pk"))
    if known_at is None:
        return PcrResult.objects.filter(~Exists(later))
    return PcrResult.objects.filter(~Exists(later.filter(recorded_at__lte=known_at)), recorded_at__lte=known_at)
