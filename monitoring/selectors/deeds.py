"""What people did about an alert, from its history: a later deed never covers an earlier one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from monitoring.models import Alert


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a person did: ``what`` is ``acknowledged`` or an action; ``on`` the day that belongs to it."""

    at: dt.datetime
    who: str
    what: str
    drug: str = ""
    on: dt.date | None = None
    note: str = ""


def deeds_of(alerts: Collection[Alert]) -> dict[int, list[Deed]]:
    """The deeds of each of these alerts by its id, oldest first, with one query."""
    events = Alert.pgh_event_model._default_manager  # type: ignore[attr-defined]  # set by pghistory
    rows = events.filter(pgh_obj_id__in=[alert.pk for alert in alerts]).select_related("acknowledged_by", "acted_by")
    by_alert: dict[int, dict[tuple[dt.datetime, str], Deed]] = {alert.pk: {} for alert in alerts}
    for row in rows.order_by("pgh_id"):
        known = by_alert[row.pgh_obj_id]
        if row.acknowledged_at is not None and row.acknowledged_at != row.acted_at:
            seen = Deed(row.acknowledged_at, row.acknowledged_by.get_username(), "acknowledged", note=row.note)
            known.setdefault((seen.at, seen.what), seen)
        if row.acted_at is not None:
            done = Deed(row.acted_at, row.acted_by.get_username(), row.action, row.action_drug, row.action_on, row.note)
            known.setdefault((done.at, done.what), done)
    return {pk: sorted(known.values(), key=lambda deed: deed.at) for pk, known in by_alert.items()}
