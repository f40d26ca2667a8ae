"""What is not known: of each factor, in each group of the others, and how much it could matter."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cohorts.domain import survival
from cohorts.domain.definition import Definition, Factor
from cohorts.domain.engine.cox import fit_cox
from cohorts.domain.estimates import NotEstimable
from cohorts.domain.member_table import Grouping, MemberTable

CENSORED_LENGTHS = ("dmr_months",)  # the run began before our first result: it was longer than what was seen


def missing_values(members: MemberTable, definition: Definition) -> dict[str, Any]:
    """Who lacks which factor: among all, among those with the event, and in each group of every other factor."""
    unknown = {factor.id: ~members.is_known(factor) for factor in definition.factors}
    every = np.zeros(len(members), bool)
    for lacking in unknown.values():
        every |= lacking
    return {
        "members": len(members),
        "complete": int((~every).sum()),
        "handled": "complete cases in each model; imputed only in the script of the bundle",
        "factors": [
            {
                "id": factor.id,
                "name": factor.name,
                "missing": int(unknown[factor.id].sum()),
                "missing_with_event": int((unknown[factor.id] & members["event"]).sum()),
                "left_censored": int((unknown[factor.id] & members["left_censored"]).sum())
                if factor.name in CENSORED_LENGTHS
                else 0,
                "by_group": _by_group(factor, unknown[factor.id], members, definition),
            }
            for factor in definition.factors
        ],
    }


def _by_group(factor: Factor, lacking: Any, members: MemberTable, definition: Definition) -> list[dict[str, Any]]:
    """The missing values of a factor in each group of the others, where there are any."""
    if not lacking.any():
        return []
    return [
        {"id": other, "label": label, "members": int(here.sum()), "missing": int((here & lacking).sum())}
        for other, grouping in members.groupings.items()
        if other != factor.id
        for code, label in enumerate(grouping.labels)
        for here in (grouping.codes == code,)
        if here.any()
    ]


def left_censored_bounds(factor: Factor, members: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """The comparison by a cut of a length, with everybody whose length is only known to be longer put on one side.

    ``best``: all of them reached the cut; ``worst``: none did. None where nobody is left-censored.
    """
    if factor.cut is None or factor.name not in CENSORED_LENGTHS or definition.attempts == "all":
        return None
    grouping = members.groupings[factor.id]
    open_ended = members["left_censored"] & ~grouping.known
    if not open_ended.any():
        return None
    labels = (f">= {factor.cut}", f"< {factor.cut}")
    own = {label: code for code, label in enumerate(grouping.labels)}
    codes = np.select([grouping.codes == own.get(label, -2) for label in labels], [0, 1], -1)
    return {
        "left_censored": int(open_ended.sum()),
        **{
            name: _compared(members, Grouping(labels, np.where(open_ended, side, codes)), definition)
            for name, side in (("best", 0), ("worst", 1))
        },
    }


def _compared(members: MemberTable, grouping: Grouping, definition: Definition) -> dict[str, Any]:
    known = grouping.known
    times, codes = members.times.of(known), grouping.codes[known]
    test = survival.log_rank(times, codes) if len(times) else None
    found: dict[str, Any] = {
        "groups": [
            {"label": label, "members": int((codes == code).sum()), "events": int(times.event[codes == code].sum())}
            for code, label in enumerate(grouping.labels)
        ],
        "logrank": dataclasses.asdict(test) if test else None,
        "term": None,
    }
    try:
        fit = fit_cox(times, (codes == 1).astype(float)[:, None], definition.ties)
    except NotEstimable:
        return found
    if not fit.separated.any():
        (term,) = survival.wald_terms(fit.coefficients, fit.variance, definition.level)
        found["term"] = dataclasses.asdict(term)
    return found
