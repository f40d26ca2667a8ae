"""The menu of every page: the places that somebody's roles open, and which of them the page belongs to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.urls import get_script_prefix, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from monitoring.models import Role


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the menu. ``also`` are beginnings of further addresses that belong to it."""

    name: str
    words: Promise
    roles: tuple[Role, ...] = ()  # of none: for everybody
    also: tuple[str, ...] = ()
    is_for_operator: bool = False


_LABORATORY = (Role.TECHNICIAN, Role.VERIFIER)
_ADMINISTRATOR = (Role.ADMINISTRATOR,)
PLACES = (
    Place("home", _("Home")),
    Place("bench", _("Bench"), _LABORATORY),
    Place("waiting", _("Verify"), (*_LABORATORY, Role.ADMINISTRATOR)),
    Place("imports", _("Load a file"), (*_LABORATORY, Role.ADMINISTRATOR)),
    Place("patients", _("Patients"), also=("results/", "records/")),
    Place("due", _("Samples due")),
    Place("alerts", _("Alerts")),
    Place("cohorts", _("Cohorts"), also=("outputs/",)),
    Place("laboratories", _("Laboratories")),
    Place("absences", _("Absences")),
    Place("people", _("People"), _ADMINISTRATOR, is_for_operator=True),
    Place("ladders", _("Who is told"), _ADMINISTRATOR, is_for_operator=True),
    Place("protocols", _("Protocols"), _ADMINISTRATOR, also=("backtests/",)),
    Place("operations", _("Operations"), _ADMINISTRATOR),
    Place("admin:index", _("Configuration"), _ADMINISTRATOR, is_for_operator=True),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A place as it stands in the menu; ``current`` is the value of ``aria-current``, empty elsewhere."""

    name: str
    words: Promise
    address: str
    current: str


def menu_of(roles: Collection[str], path: str, *, is_operator: bool) -> list[Entry]:
    """The places for these roles in their order; that of the page itself, or of the page above it, is marked."""
    entries = []
    for place in PLACES:
        if place.roles and not set(place.roles) & set(roles) and not (is_operator and place.is_for_operator):
            continue
        address = reverse(place.name)
        beginnings = [get_script_prefix() + beginning for beginning in place.also]
        if place.name != "home":
            beginnings.append(address)
        below = any(path.startswith(beginning) for beginning in beginnings)
        current = "page" if path == address else "true" if below else ""
        entries.append(Entry(place.name, place.words, address, current))
    return entries
