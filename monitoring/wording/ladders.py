"""Ladders in words: who is told at each step, and when the next one comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from monitoring.models import Role

DAY_HOURS = 24


def step_words(step: Any, names: Mapping[int, str]) -> str:
    """One step of a ladder: whom it tells, and after how long the next comes."""
    hours = step.wait.total_seconds() / 3600
    return _words(step.roles, step.people, hours, step.working_hours, names, operators=step.operators)


def policy_words(policy: Any, names: Mapping[int, str]) -> Sequence[str]:
    """The steps of a signed ladder or of an earlier version of it; one that cannot be read is said to be so."""
    if not policy.is_in_force:
        return [_("the built-in ladder")]
    try:
        return [
            _words(step["roles"], step.get("people", ()), step["wait_hours"], step.get("working_hours"), names)
            for step in policy.steps
        ]
    except (KeyError, TypeError, AttributeError, ValueError):
        return [_("cannot be read")]


def _words(
    roles: Sequence[str],
    people: Sequence[int],
    wait_hours: float,
    working_hours: float | None,
    names: Mapping[int, str],
    *,
    operators: bool = False,
) -> str:
    told = [str(Role(role).label) for role in roles] + [names.get(pk, f"#{pk}") for pk in people]
    told += [_("those who run the service")] if operators else []
    if wait_hours >= 2 * DAY_HOURS and wait_hours % DAY_HOURS == 0:
        after = _("%(days)s days") % {"days": f"{wait_hours / DAY_HOURS:g}"}
    else:
        after = _("%(hours)s h") % {"hours": f"{wait_hours:g}"}
    if working_hours is not None:
        after = _("%(working)s working hours, at most %(hours)s") % {"working": f"{working_hours:g}", "hours": after}
    return f"{', '.join(told)} → {after}"
