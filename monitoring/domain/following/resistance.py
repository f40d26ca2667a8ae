"""A rise on treatment while MMR is still held: one log above the lowest value under the same drug, on one assay.

NCCN asks for a mutation analysis at a rise of one log with loss of MMR (2018, as in PMC6094551). Here the rise is
reported before MMR is lost (design), so that a falling response on the drug is not treated as routine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from monitoring.domain.course.episodes import Episode
from monitoring.domain.course.series import Course, TimePoint, tki_courses
from monitoring.domain.course.treatment import is_off
from monitoring.domain.following.kinetics import Value
from monitoring.domain.vocabulary.scale import CLASS_LIMIT_PERCENT, ONE_LOG


@dataclass(frozen=True, slots=True)
class Rise:
    """The latest run of values one log above the lowest: its first, whether a second confirmed it, whether it is
    over.
    """

    first: TimePoint
    is_confirmed: bool
    is_over: bool


def rise_on_treatment(
    courses: Sequence[Course], points: Sequence[TimePoint], values: Sequence[Value], episodes: Sequence[Episode]
) -> Rise | None:
    """The last rise of one log in MMR since the present treatment began, or None.

    Not detected counts as the limit of its class: 0.095 % after an MR4.5 without detection is a rise of 1.47 log.
    """
    since = _treatment_since(courses, episodes)
    by_key = {value.key: value for value in values}
    lowest: dict[tuple[str, ...], Decimal] = {}
    rise: Rise | None = None
    for point in (p for p in points if since is not None and p.on > since and not is_off(episodes, p.on)):
        value = by_key[point.key]
        assay = (value.laboratory, value.method.value, value.control_gene.value)
        level = value.is_percent if value.is_percent is not None else CLASS_LIMIT_PERCENT.get(point.response_class)
        if level is None or value.low_control:
            continue
        least = lowest.get(assay)
        risen = value.is_percent is not None and least is not None and level >= least * ONE_LOG
        if risen and point.in_mmr and (rise is None or rise.is_over):
            rise = Rise(point, is_confirmed=False, is_over=False)
        elif rise is not None and not rise.is_over:
            rise = Rise(rise.first, is_confirmed=risen or rise.is_confirmed, is_over=not risen)
        lowest[assay] = min(level, least or level)
    return rise


def _treatment_since(courses: Sequence[Course], episodes: Sequence[Episode]) -> date | None:
    """The first day of the present or last time on treatment: the first TKI, or the last restart."""
    tkis = tki_courses(courses)
    restarts = [e.restarted_on for e in episodes if e.restarted_on is not None]
    return max(restarts, default=tkis[0].started_on if tkis else None)
