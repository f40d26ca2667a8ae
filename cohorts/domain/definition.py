"""A cohort definition: who belongs to it, what counts as the event, and what is compared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from monitoring.domain.course.episodes import DmrRule
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.course.series import StopReason
from monitoring.domain.vocabulary.scale import ResponseClass

DURATIONS = ("dmr_months", "tki_months", "time_to_dmr_months")
AGES = ("age_at_diagnosis", "age_at_stop")
YEARS = ("stop_year",)
CATEGORIES = (
    "sex", "transcript", "drug_at_stop", "risk_group", "centre", "elts_group", "sokal_group", "line_of_therapy",
    "earlier_resistance", "dose_reduction",
)  # fmt: skip
# Seen only after the stop: factors of a landmark analysis, with the month by which each is measured. What has no month
# of its own is dated, and read up to the landmark.
LANDMARK_FACTORS = {
    "mr4_5_at_month_3": 3,
    "mr4_5_at_month_6": 6,
    "mr4_5_at_month_12": 12,
    "doubling_at_month_2": 2,
    "fluctuation": 0,
    "withdrawal_syndrome": 0,
}
SCORE = "score"
RISK_GROUPS = ["low", "intermediate", "high"]


@dataclass(frozen=True, slots=True)
class Points:
    """A part of a published score: so much per month or year, from a cut on, or for one level of a category."""

    name: str
    weight: float
    at_least: int | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor asked of every member: by cut, by category, or as a number."""

    id: str
    name: str
    cut: float | None = None
    chosen_on_data: bool = False  # the cut was looked for in these data, so its P values are too small
    source: str = ""  # of a score: where it was published
    points: tuple[Points, ...] = ()  # of a score: what is added up

    @property
    def is_category(self) -> bool:
        return self.name in CATEGORIES or self.name in LANDMARK_FACTORS

    @property
    def column(self) -> str:
        """Where the number of a factor stands among the columns of a cohort."""
        return f"{SCORE}.{self.id}" if self.name == SCORE else self.name


@dataclass(frozen=True, slots=True)
class Definition:
    """Who belongs to a cohort, what counts as the event, and what is compared."""

    slug: str
    title: str
    stop_reasons: tuple[str, ...] = (StopReason.TFR_ATTEMPT.value,)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    stopped_from: dt.date | None = None
    stopped_to: dt.date | None = None
    min_class: ResponseClass = ResponseClass.MMR
    window_days: int | None = None
    attempts: str = "first"
    endpoint: str = "loss_of_mmr"
    event_rule: LossRule = field(default_factory=LossRule)
    dmr: DmrRule = field(default_factory=DmrRule)
    factors: tuple[Factor, ...] = ()
    cox: tuple[str, ...] | None = None
    transform: str = "log-log"
    level: float = 0.95
    ties: str = "efron"
    penalised: bool = False  # Firth's estimate is given also where nothing is separated
    landmark_months: int | None = None  # only who is observed and free of the event at that month
    strata: tuple[str, ...] = ()  # ids of factors within whose groups the log-rank test compares, too

    def factor(self, factor_id: str) -> Factor:
        """The factor of an id."""
        return next(f for f in self.factors if f.id == factor_id)
