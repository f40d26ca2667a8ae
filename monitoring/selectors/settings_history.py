"""Who changed a setting, when and why: from its history, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from pghistory.models import Event


@dataclass(frozen=True, slots=True)
class Change:
    """One version of a setting: ``row`` holds it as it was from ``at`` on."""

    at: dt.datetime
    by: str
    reason: str
    row: Any


def changes_of(model: type[models.Model], most: int = 20, **of: Any) -> Sequence[Change]:
    """The last versions of the settings that ``of`` names."""
    events: type[Event] = model.pgh_event_model  # type: ignore[attr-defined]  # set by pghistory
    rows = events._default_manager.filter(**of).order_by("-pgh_id")[:most]
    return [_change(row) for row in rows]


def _change(row: Any) -> Change:
    context = row.pgh_context or {}
    return Change(row.pgh_created_at, str(context.get("by", "")), str(context.get("reason", "")), row)
