"""The figures of a cohort: from the table of its rows to the snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

from cohorts.domain.definition import Definition
from cohorts.domain.figures import fixed_time, whole
from cohorts.domain.figures.again import current_remission, regained
from cohorts.domain.figures.dating import dating_of_losses
from cohorts.domain.figures.descriptions import outcomes_after_loss, table1
from cohorts.domain.figures.factors import univariate
from cohorts.domain.figures.missing import missing_values
from cohorts.domain.figures.model import multivariable
from cohorts.domain.figures.risks import competing_risks
from cohorts.domain.member_table import MemberTable

# The version of what is computed from the rows. Every correction raises it, and so publishes all cohorts anew.
# 2: drop-outs as failures among those whose follow-up is long enough; crude split by what ended it; degrees of freedom
#    of the log-rank test; robust variance as R; figures independent of the order of rows; the flow of exclusions.
# 3: members on interferon, of a transcript never seen, or across a gap are also counted separately; marrow alone is
#    excluded by name.
# 4: our own solver, confirmed by lifelines: Cox equal to R to 1e-8, proportional hazards, Firth, competing risks,
#    restricted means, conditional curves.
# 5: landmark analyses, figures at fixed times, stratified tests, scores, smooth curves, residuals, bounds of
#    left-censored lengths, remission after further stops, centres side by side.
FIGURES_VERSION = 5


def compute_figures(
    table: MemberTable, definition: Definition, cutoff: date, passed_over: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Any]:
    """All published figures of these rows, in the form of the snapshot. Deterministic: same rows, same numbers.

    ``cutoff`` is the last day of the data, ``passed_over`` the episodes that are no rows, by criterion.
    """
    members = table.members
    events = int(members["event"].sum())
    by_factor = [univariate(factor, members, definition, cutoff) for factor in definition.factors]
    return {
        "counts": {
            "members": len(members),
            "events": events,
            "censored": len(members) - events,
            "excluded": whole.exclusions(table),
        },
        "flow": whole.flow(table, definition, passed_over),
        "read_apart": whole.read_apart(members),
        "crude": whole.crude(members, definition),
        "drop_outs_as_failures": whole.drop_outs_as_failures(table, definition, cutoff),
        "maintenance": fixed_time.maintenance(members, definition, cutoff),
        "sustained": fixed_time.sustained(members, definition, cutoff),
        "kaplan_meier": whole.kaplan_meier(members, definition),
        "dating_of_losses": dating_of_losses(members, definition),
        "univariate": by_factor,
        "cox": multivariable(members, definition, by_factor, cutoff),
        "competing_risks": competing_risks(members, definition),
        "follow_up": whole.follow_up(members, definition),
        "table1": table1(members),
        "outcomes_after_loss": outcomes_after_loss(members),
        "current_remission": current_remission(members, definition),
        "regained": regained(members, definition),
        "missing": missing_values(members, definition),
        "by_centre": fixed_time.by_centre(members, definition, cutoff),
    }
