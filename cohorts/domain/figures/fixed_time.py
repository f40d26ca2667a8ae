"""Figures at a fixed time, among those who had the time and whose outcome is known: proportions and odds ratios."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from cohorts.domain import survival
from cohorts.domain.definition import Definition
from cohorts.domain.engine.arrays import Bools, Floats, Ints
from cohorts.domain.engine.logistic import fit_logistic
from cohorts.domain.estimates import NotEstimable
from cohorts.domain.figures.terms import Columns, per_year
from cohorts.domain.figures.whole import later_landmarks
from cohorts.domain.member_table import ENDS, MemberTable
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

SUSTAINED_MONTHS = 12
# Odds ratios as EURO-SKI gives them: by month 6, by month 36, and of those in remission at month 6.
ODDS_PERIODS = ((0, 6), (6, 36), (0, 36))
Rate = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of members until the end of the data: once for every figure at a fixed time."""

    since_stop: Ints  # days from the stop to the end of the data
    days: Ints
    event: Bools
    ended: Bools  # the remission off treatment ended, for whatever reason

    @classmethod
    def of(cls, members: MemberTable, cutoff: date) -> Seen:
        since = (np.datetime64(cutoff, "D") - members["stopped_on"]).astype("timedelta64[D]").astype(np.int64)
        return cls(since, members["days"], members["event"], np.isin(members["end_reason"], ENDS))

    def had_time(self, months: float) -> Bools:
        """Who stopped so long before the end of the data: nobody else can be counted, lost or not."""
        return np.asarray(self.since_stop >= months * DAYS_PER_MONTH)

    def kept(self, months: float) -> Bools:
        """Who was observed so long and free of every end."""
        return np.asarray((self.days >= months * DAYS_PER_MONTH) & ~self.failed(months))

    def lost(self, months: float) -> Bools:
        """Who had the event of the endpoint by then."""
        return np.asarray(self.event & (self.days <= months * DAYS_PER_MONTH))

    def failed(self, months: float) -> Bools:
        """Whose remission off treatment had ended by then, for whatever reason."""
        return np.asarray(self.ended & (self.days <= months * DAYS_PER_MONTH))


def maintenance(members: MemberTable, definition: Definition, cutoff: date) -> list[Rate]:
    """Who still had no event at each landmark, among those whose state is known then (MMR maintenance, EURO-SKI).

    Who had less time, was not observed so long, or ended by something else than the event is not counted.
    """
    seen = Seen.of(members, cutoff)
    return [_rate(seen, months, seen.lost(months), definition) for months in later_landmarks(definition)]


def sustained(members: MemberTable, definition: Definition, cutoff: date) -> Rate | None:
    """Off treatment and in remission for twelve months (Shanmuganathan 2021); a restart or a death is a failure."""
    if (definition.landmark_months or 0) >= SUSTAINED_MONTHS:
        return None
    seen = Seen.of(members, cutoff)
    return _rate(seen, SUSTAINED_MONTHS, seen.failed(SUSTAINED_MONTHS), definition)


def _rate(seen: Seen, months: float, failed: Bools, definition: Definition) -> Rate:
    chance = seen.had_time(months)
    kept, failed = seen.kept(months) & chance, failed & chance
    total, number = int((kept | failed).sum()), int(kept.sum())
    lower, upper = survival.exact_binomial(number, total, definition.level)
    return {
        "months": months,
        "had_time": int(chance.sum()),
        "evaluable": total,
        "kept": number,
        "proportion": number / total if total else None,
        "lower": lower,
        "upper": upper,
    }


def odds_ratios(columns: Columns, members: MemberTable, definition: Definition, cutoff: date) -> list[Rate]:
    """Logistic models of keeping the remission over fixed periods, of these columns together.

    The columns are of all members, so that the direction is the same in every period. A period begins at the landmark
    of the definition at the earliest.
    """
    seen = Seen.of(members, cutoff)
    landmark = definition.landmark_months or 0
    periods = dict.fromkeys((max(start, landmark), end) for start, end in ODDS_PERIODS if end > landmark)
    found = []
    for start, end in periods:
        chance = seen.had_time(end)
        if start:
            chance = chance & seen.kept(start)
        kept, lost = seen.kept(end) & chance, seen.lost(end) & chance
        rows = kept | lost
        model = _model(columns.labels, columns.values[rows], kept[rows], definition.level)
        numbers = {"evaluable": int(rows.sum()), "kept": int(kept.sum())}
        found.append({"from_months": start, "months": end, **numbers, **model})
    return found


def _model(labels: Sequence[dict[str, Any]], values: Floats, kept: Bools, level: float) -> dict[str, Any]:
    try:
        fit = fit_logistic(kept, values)
    except NotEstimable as problem:
        return {"terms": [], "lrt_p": None, "reason": str(problem)}
    if fit.separated:
        return {"terms": [], "lrt_p": None, "reason": "separated"}
    terms = survival.wald_terms(fit.coefficients, fit.variance, level)
    told = [
        {**dataclasses.asdict(term), **per_year(label["level"], term)}
        for label, term in zip(labels, terms, strict=True)
    ]
    named = [{**label, "or": one.pop("hr"), **one} for label, one in zip(labels, told, strict=True)]
    return {"terms": named, "lrt_p": fit.lrt.p}


# --- centres -----------------------------------------------------------------------------------------------------

FUNNEL_MONTHS = 12
FUNNEL_LEVELS = (0.95, 0.998)


def by_centre(members: MemberTable, definition: Definition, cutoff: date) -> dict[str, Any] | None:
    """The share of losses by month 12 of each centre beside that of all, with exact limits for its size.

    Counted are those who had the time and whose state is known, as in the proportions. None with one centre.
    """
    if (definition.landmark_months or 0) >= FUNNEL_MONTHS:
        return None
    seen = Seen.of(members, cutoff)
    chance = seen.had_time(FUNNEL_MONTHS)
    lost = seen.lost(FUNNEL_MONTHS) & chance
    counted = lost | (seen.kept(FUNNEL_MONTHS) & chance)
    names, codes = np.unique(members["centre"][counted].astype(str), return_inverse=True)
    if len(names) < 2:
        return None
    totals, losses = np.bincount(codes), np.bincount(codes[lost[counted]], minlength=len(names))
    overall = float(lost.sum() / counted.sum())
    return {
        "months": FUNNEL_MONTHS,
        "evaluable": int(counted.sum()),
        "lost": int(lost.sum()),
        "proportion": overall,
        "method": "crude proportion of losses, limits of the binomial distribution for the size of the centre",
        "centres": [
            {
                "centre": str(name),
                "evaluable": int(total),
                "lost": int(number),
                "proportion": float(number / total),
                "limits": {str(level): funnel_limits(int(total), overall, level) for level in FUNNEL_LEVELS},
            }
            for name, total, number in zip(names, totals, losses, strict=True)
        ],
    }


def funnel_limits(total: int, share: float, level: float) -> list[float]:
    """The proportions between which a centre of this size lies by chance (Spiegelhalter 2005, exact, interpolated).

    The upper limit is the lower one of those who were not lost: beyond each lies at most the tail.
    """
    if share in (0.0, 1.0):
        return [share, share]
    tail = (1 - level) / 2
    return [_lower_limit(total, share, tail), 1 - _lower_limit(total, 1 - share, tail)]


def _lower_limit(total: int, share: float, tail: float) -> float:
    number = int(survival.binomial_quantile(tail, total, share))
    at, below = survival.binomial_below(number, total, share), survival.binomial_below(number - 1, total, share)
    inside = (at - tail) / (at - below) if at > below else 0.0
    return min(1.0, max(0.0, (number - inside) / total))
