"""The parameters of each kind of rule set, and how each is read. None may be missing and none added.

A file holds only what the service reads (``tests/domain/rules/test_rules_are_read.py`` proves it of every value). Where
the service has only one way of doing something, the line has no value. It gives the source, which is shown with the
results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitoring.domain.rules.values import (
    Reader,
    a_class,
    a_confirmation,
    a_decimal,
    a_text,
    a_truth,
    a_whole_number,
    an_interval,
    asked,
    bands,
    days_limit,
    depth_limit,
    dmr_limit,
    months_limit,
    one_of,
    or_null,
    phases,
    sd_ranges,
    tests_limit,
    transcript_limit,
)


def statuses(raw: Any) -> tuple[str, ...]:
    """The words of a milestone table, from the best to the worst."""
    if not isinstance(raw, list) or len(raw) < 2 or len(set(raw)) != len(raw):
        raise ValueError("write a list of different words from the best to the worst")
    return tuple(a_text(item) for item in raw)


def one_or_two(raw: Any) -> int:
    """How many consecutive values make an event."""
    if raw not in (1, 2) or isinstance(raw, bool):
        raise ValueError(f"write 1 or 2 instead of {raw!r}; only these are implemented")
    return int(raw)


def a_probability(raw: Any) -> Any:
    """A number between 0 and 1."""
    number = a_decimal(raw)
    if number >= 1:
        raise ValueError(f"write a number between 0 and 1 instead of {raw!r}")
    return number


def STATED(raw: Any) -> None:  # noqa: N802  # a shape like the others below
    """A line without a value: it gives the source of what the service does in one way only."""


COUNT = a_whole_number(1)
DAYS = a_whole_number()

SHAPES: Mapping[str, Mapping[str, Reader]] = {
    "response": {
        "version": a_text,
        "cap_positive_by_control": a_truth,
        "low_positive_floor_copies": a_decimal,
        "mismatch_fraction": a_probability,
        "old_sample_hours": COUNT,
    },
    "loss": {
        "n_consecutive": one_or_two,
        "date_of_event": one_of("first", "confirming"),
        "max_gap_days": or_null(COUNT),
        "restart_confirms": a_truth,
        "confirmed_loss_of": or_null(a_class),
    },
    "schedule": {
        "off_treatment": phases,
        "after_loss_of_mr4": or_null(an_interval),
        "after_loss_of_mmr": or_null(an_interval),
        "after_restart_until_mmr": an_interval,
        "after_restart_in_mmr": an_interval,
        "on_treatment_until_mmr": an_interval,
        "on_treatment_in_mmr": an_interval,
        "result_overdue_days": COUNT,
        "sample_match_days": DAYS,
        "followed_within_days": COUNT,
    },
    "eligibility": {
        "minimum_age_at_stop": or_null(COUNT),
        "diagnosed_before_age": or_null(COUNT),
        "chronic_phase": or_null(asked),
        "patient_agreement": or_null(asked),
        "international_scale": or_null(asked),
        "sensitivity": or_null(depth_limit),
        "turnaround": or_null(days_limit),
        "accepts_schedule": or_null(asked),
        "line": or_null(asked),
        "no_prior_failure": or_null(asked),
        "transcript": or_null(transcript_limit),
        "tki_duration": or_null(months_limit),
        "tki_duration_second_generation": or_null(months_limit),
        "tki_duration_optimal": or_null(months_limit),
        "dmr_duration": or_null(dmr_limit),
        "dmr_duration_optimal": or_null(dmr_limit),
        "depth_at_stop": or_null(depth_limit),
        "max_dips": a_whole_number(),
        "last_sample_within_months": COUNT,
        "max_gap_days": COUNT,
        "risk_not_high": or_null(asked),
        "test_density": or_null(tests_limit),
    },
    "milestones": {
        "statuses": statuses,
        "month_3": or_null(bands),
        "month_6": or_null(bands),
        "month_12": or_null(bands),
        "month_18": or_null(bands),
        "any_time": or_null(bands),
        "any_time_after_months": COUNT,
        "confirm_month_3": or_null(a_confirmation),
        "loss_of_mmr": or_null(a_text),
        "mutation": or_null(a_text),
        "milestone_window_days": COUNT,
    },
    "kinetics": {
        "formula": STATED,
        "control_gene": STATED,
        "method_change": STATED,
        "sd_log10": sd_ranges,
        "normal_quantile": a_decimal,
        "month_2_cut_days": a_decimal,
        "month_2_window_days": COUNT,
        "halving_cut_days": a_decimal,
        "halving_applies_above_percent": a_decimal,
        "halving_window_days": COUNT,
        "baseline_days_before": COUNT,
        "baseline_days_after": DAYS,
        "projection_limit_percent": a_decimal,
        "projection_horizon_days": COUNT,
    },
}
