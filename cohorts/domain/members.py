"""From readings to the rows of a cohort: which times off treatment are members, how each ended, and their factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cohorts.domain.definition import (
    AGES,
    CATEGORIES,
    DURATIONS,
    LANDMARK_FACTORS,
    SCORE,
    YEARS,
    Definition,
    Factor,
    Points,
)
from cohorts.domain.engine.arrays import Bools, Floats, Ints
from cohorts.domain.member_table import ENDS, Grouping, MemberTable
from cohorts.domain.paths import remission_paths
from cohorts.domain.readings import Column, Columns, in_order, rows_of
from monitoring.domain.course.series import StopReason
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH
from monitoring.domain.vocabulary.scale import DEPTH, ResponseClass

NOT_IN_MMR_AT_STOP = "NOT_IN_MMR_AT_STOP"
NO_BASELINE_PCR = "NO_BASELINE_PCR"
NO_PCR_AFTER_STOP = "NO_PCR_AFTER_STOP"
ONLY_BONE_MARROW = "ONLY_BONE_MARROW_AFTER_STOP"
MISSING_CRITERION = "MISSING_INCLUSION_CRITERION"
ENDED_BEFORE_LANDMARK = "ENDED_BEFORE_LANDMARK"
NOT_OBSERVED_TO_LANDMARK = "NOT_OBSERVED_TO_LANDMARK"
STOP_REASON, ATTEMPTS, STOPPED_ON = "include.stop_reason", "attempts", "include.stopped_on"

EVENTS = {
    "loss_of_mmr": {"loss_of_mmr"},
    "mrfs": {"loss_of_mmr", "death"},
    "tfr": {"loss_of_mmr", "restart", "death"},
    "tfs": {"loss_of_mmr", "restart", "death", "progression"},
}
_NEVER = np.iinfo(np.int64).max

# Answers to "is it at least …?" where it may not be known.
Answer = Ints
NO, UNKNOWN, YES = 0, -1, 1


def criteria_of(definition: Definition) -> list[str]:
    """The criteria of a definition in the order in which they are asked.

    The centres are none of them: people elsewhere are not counted at all, not even as left out.
    """
    names = [name for name in CATEGORIES if name in definition.categories and name != "centre"]
    names += list(definition.bounds)
    return [STOP_REASON, ATTEMPTS, STOPPED_ON, *(f"include.{name}" for name in names)]


def cohort_of(columns: Columns, definition: Definition) -> tuple[MemberTable, dict[str, int]]:
    """Members and excluded episodes of a cohort, and how many readings are no rows, by the first criterion not met."""
    readings = _of_centres(in_order(columns), definition)
    of_kind = np.isin(readings["stop_reason"], definition.stop_reasons)
    asked = of_kind & _asked(readings, of_kind, definition)
    passed_over = {STOP_REASON: int((~of_kind).sum()), ATTEMPTS: int((of_kind & ~asked).sum())}
    rows = rows_of(readings, asked)
    not_met, all_known = _criteria(rows, definition)
    for position, name in enumerate(criteria_of(definition)[2:]):
        passed_over[name] = int((not_met == position).sum())
    exclusion = _exclusion(rows, definition)
    exclusion[~all_known] = MISSING_CRITERION
    kept = not_met < 0
    paths = np.full(len(kept), "", dtype=object)
    if definition.attempts == "first":  # attempts of one patient are one path
        paths[kept] = remission_paths(readings, _patients(readings), np.flatnonzero(asked)[kept])
    table = _table(rows, exclusion, _numbers_among_asked(rows), paths, definition)
    return table.of(kept), {name: number for name, number in passed_over.items() if number}


def _of_centres(readings: Columns, definition: Definition) -> Columns:
    """The readings of the centres that a definition names; all where it names none."""
    centres = definition.categories.get("centre")
    return readings if centres is None else rows_of(readings, np.isin(readings["centre"], centres))


def _patients(readings: Columns) -> Ints:
    """Numbers of the patients of readings in order: equal for readings of one patient."""
    if not len(readings["stopped_on"]):
        return np.array([], np.int64)
    new = (readings["patient_id"][1:] != readings["patient_id"][:-1]) | (
        readings["centre"][1:] != readings["centre"][:-1]
    )
    return np.concatenate([[0], np.cumsum(new)])


def _asked(readings: Columns, of_kind: Bools, definition: Definition) -> Bools:
    """The episodes of the stop reasons asked for; ``first`` keeps the first TFR attempt, else the first episode."""
    if definition.attempts == "all":
        return of_kind
    patients = _patients(readings)
    candidates = np.flatnonzero(of_kind)
    no_attempt = readings["stop_reason"][candidates] != StopReason.TFR_ATTEMPT.value
    ordered = candidates[np.lexsort((candidates, no_attempt, patients[candidates]))]
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = patients[ordered][1:] != patients[ordered][:-1]
    chosen = np.zeros(len(of_kind), bool)
    chosen[ordered[is_first]] = True
    return chosen


def _numbers_among_asked(rows: Columns) -> Ints:
    """1, 2, … for the rows of each patient."""
    patients = _patients(rows)
    if not len(patients):
        return patients
    starts = np.flatnonzero(np.diff(patients, prepend=-1))
    return np.arange(len(patients)) - starts[patients] + 1


# --- criteria ----------------------------------------------------------------------------------------------------


def _criteria(rows: Columns, definition: Definition) -> tuple[Ints, Bools]:
    """Which criterion is the first that a row does not meet (-1: none), and whether all of them are known.

    The positions are those of ``criteria_of`` after the choice of attempts.
    """
    size = len(rows["stopped_on"])
    outside = np.zeros(size, bool)
    if definition.stopped_from:
        outside |= rows["stopped_on"] < np.datetime64(definition.stopped_from, "D")
    if definition.stopped_to:
        outside |= rows["stopped_on"] > np.datetime64(definition.stopped_to, "D")
    not_met = np.where(outside, 0, -1)
    known = np.ones(size, bool)
    answers: list[Answer] = [np.where(outside, NO, YES)]
    for name in CATEGORIES:
        if name in definition.categories and name != "centre":
            value = category(rows, name)
            met = np.isin(value, definition.categories[name])
            answers.append(np.where(value == "", UNKNOWN, np.where(met, YES, NO)))
    for name, bounds in definition.bounds.items():
        answers.append(_within(rows, name, bounds))
    for position, answer in enumerate(answers[1:], start=1):
        not_met[(not_met < 0) & (answer == NO)] = position
        known &= (answer != UNKNOWN) | outside
    return not_met, known


def _within(rows: Columns, name: str, bounds: Mapping[str, int]) -> Answer:
    """Whether a factor is within all bounds, by calendar months: 72 months to the day are ``ge`` 72, not ``gt`` 72."""
    answer = np.full(len(rows["stopped_on"]), YES)
    for bound, limit in bounds.items():
        reached = reaches(rows, name, limit, beyond=bound in ("gt", "le"))
        wanted = reached if bound in ("ge", "gt") else np.where(reached == UNKNOWN, UNKNOWN, 1 - reached)
        answer = np.where((answer == NO) | (wanted == NO), NO, np.minimum(answer, wanted))
    return answer


def category(rows: Columns, name: str) -> Column:
    """The level of a category; empty where it is not known."""
    if name in ("elts_group", "sokal_group"):
        return np.where(rows["risk_score"] == name.removesuffix("_group"), rows["risk_group"], "").astype(object)
    if name == "line_of_therapy":
        return np.asarray(np.array(["1", "2", "3+"], dtype=object)[np.clip(rows[name].astype(int), 1, 3) - 1])
    if name in ("earlier_resistance", "dose_reduction"):
        flags = rows["dose_reduced" if name == "dose_reduction" else name]
        return np.where(flags, "yes", "no").astype(object)
    column: Column = rows[name]
    return column


def at_landmark(rows: Columns, name: str, days: float) -> Column:
    """The level of a factor that is seen only after the stop, from nothing later than the landmark."""

    def by_then(on: Column) -> Bools:
        return np.asarray((on - rows["stopped_on"]).astype("timedelta64[D]").astype(float) <= days) & ~np.isnat(on)

    if name.startswith("mr4_5_at_month_"):
        found = rows[f"class_at_{LANDMARK_FACTORS[name]}"]
        deep = np.isin(found, [c.value for c in DEPTH if ResponseClass(c).at_least(ResponseClass.MR4_5)])
        return np.where(found == "", "", np.where(deep, "yes", "no")).astype(object)
    if name == "doubling_at_month_2":
        return np.where(by_then(rows["month_two_on"]), rows["month_two"], "").astype(object)
    seen_on = rows["fluctuated_on" if name == "fluctuation" else "withdrawal_syndrome_on"]
    return np.where(by_then(seen_on), "yes", "no").astype(object)


def score(rows: Columns, points: Sequence[Points]) -> Floats:
    """The sum of a published score; NaN where a part of it is not known."""
    total = np.zeros(len(rows["stopped_on"]))
    for one in points:
        if one.level is not None:
            found = category(rows, one.name)
            part = np.where(found == "", np.nan, np.where(found == one.level, one.weight, 0.0))
        elif one.at_least is not None:
            answer = reaches(rows, one.name, one.at_least)
            part = np.where(answer == UNKNOWN, np.nan, np.where(answer == YES, one.weight, 0.0))
        else:
            part = number(rows, one.name) * one.weight
        total = total + part
    return total


def reaches(rows: Columns, name: str, cut: int, *, beyond: bool = False) -> Answer:
    """Whether a factor is at least ``cut`` whole calendar months or completed years, or ``beyond`` it.

    A left-censored length is a lower bound: it can prove that a cut is reached, never that it is not.
    """
    if name in YEARS:
        return np.where(number(rows, name) >= cut + beyond, YES, NO)
    if name in AGES:
        limit = cut + beyond
        return _agreed(rows[f"{name}_least"] >= limit, rows[f"{name}_most"] < limit)
    prefix = name.removesuffix("_months")
    limit = 2 * cut + beyond
    least, most = rows[f"{prefix}_least"], rows[f"{prefix}_most"]
    if name == "dmr_months":
        no_run = np.isnan(least)
        least, most = np.where(no_run, 0, least), np.where(no_run, 0, most)
        censored = rows["left_censored"] & ~no_run
    else:
        censored = rows["left_censored"] & (name != "tki_months")
    return _agreed(least >= limit, (most < limit) & ~censored)


def _agreed(surely: Bools, surely_not: Bools) -> Answer:
    return np.where(surely, YES, np.where(surely_not, NO, UNKNOWN))


def number(rows: Columns, name: str) -> Floats:
    """A duration in months or an age in years; NaN where it is not known, as a left-censored one is not."""
    if name in YEARS:
        return np.asarray(rows["stopped_on"].astype("datetime64[Y]").astype(int) + 1970.0)
    if name in AGES:
        return rows[name].astype(float)
    months: Floats = rows[f"{name.removesuffix('_months')}_days"].astype(float) / DAYS_PER_MONTH
    if name == "tki_months":
        return months
    months = np.where(rows["left_censored"], np.nan, months)
    if name == "dmr_months":
        months = np.where(np.isnan(rows["dmr_days"]), 0.0, months)
    return months


def _exclusion(rows: Columns, definition: Definition) -> Column:
    """Why an episode is no member; empty where it is one."""
    size = len(rows["stopped_on"])
    no_baseline = np.isnat(rows["baseline_on"])
    if definition.window_days is not None:
        age = (rows["stopped_on"] - rows["baseline_on"]).astype("timedelta64[D]").astype(np.int64)
        no_baseline |= age > definition.window_days
    deep_enough = [c.value for c in DEPTH if ResponseClass(c).at_least(definition.min_class)]
    unseen = np.isnat(rows["last_off_on"])
    reasons = np.full(size, "", dtype=object)
    reasons[unseen] = np.where(rows["marrow_off"][unseen], ONLY_BONE_MARROW, NO_PCR_AFTER_STOP)
    reasons[~np.isin(rows["baseline_class"], deep_enough)] = NOT_IN_MMR_AT_STOP
    reasons[no_baseline] = NO_BASELINE_PCR
    return reasons


# --- the end of observation --------------------------------------------------------------------------------------


def _ends(rows: Columns, definition: Definition) -> tuple[Column, Bools, Column]:
    """End date, whether it is the event, and what ended it. An event on the day of a censoring comes first."""
    events = EVENTS[definition.endpoint]
    lost = ~np.isnat(rows["loss_on"])
    # A restart for a loss does not end the observation before the loss is confirmed, unless it is an event itself.
    restarted = rows["restarted_on"] if "restart" in events else np.where(lost, _nat(), rows["restarted_on"])
    ends = {
        "death": rows["death_on"],
        "loss_of_mmr": rows["loss_on"],
        "restart": restarted,
        "transplant": rows["transplant_on"],
    }
    if definition.endpoint == "tfs":
        ends["progression"] = rows["progression_on"]
    reasons = sorted(ends)
    keys = np.stack([_key(ends[r], r not in events, reasons.index(r)) for r in reasons])
    first = keys.argmin(axis=0)
    none = keys.min(axis=0) == _NEVER
    end_on = np.where(none, rows["last_off_on"], np.choose(first, [ends[r] for r in reasons]))
    names = np.array(reasons, dtype=object)[first]
    unobserved = np.where(np.isnat(rows["last_off_on"]), "", "last_evaluable_pcr")
    reason = np.where(none, unobserved, names).astype(object)
    return end_on.astype("datetime64[D]"), ~none & np.isin(reason, list(events)), reason


def _nat() -> np.datetime64:
    return np.datetime64("NaT", "D")


def _key(days: Column, is_censoring: bool, rank: int) -> Ints:
    """A number that orders ends: by day, on a day events before censorings, then by name."""
    number = days.astype("datetime64[D]").astype(np.int64) * 32 + 16 * is_censoring + rank
    return np.where(np.isnat(days), _NEVER, number)


# --- the table ---------------------------------------------------------------------------------------------------


def _table(rows: Columns, exclusion: Column, numbers: Ints, paths: Column, definition: Definition) -> MemberTable:
    end_on, event, end_reason = _ends(rows, definition)
    days = (end_on - rows["stopped_on"]).astype("timedelta64[D]").astype(np.int64)
    if definition.landmark_months is not None:
        too_short = (exclusion == "") & (days <= definition.landmark_months * DAYS_PER_MONTH)
        ended = np.isin(end_reason, ENDS)
        exclusion = np.where(too_short, np.where(ended, ENDED_BEFORE_LANDMARK, NOT_OBSERVED_TO_LANDMARK), exclusion)
    other = rows["other_drug_from"]
    columns: dict[str, Column] = {
        "patient_id": rows["patient_id"],
        "centre": rows["centre"],
        "sex": rows["sex"],
        "transcript": rows["transcript"],
        "risk_group": rows["risk_group"],
        "drug_at_stop": rows["drug_at_stop"],
        "attempt": np.where(rows["attempt"] > 0, rows["attempt"], numbers).astype(np.int64),
        "exclusion_reason": exclusion,
        "stopped_on": rows["stopped_on"],
        "end_on": end_on,
        "days": np.where(np.isnat(end_on), -1, days),
        "event": event,
        "end_reason": end_reason,
        "first_dmr_on": rows["first_dmr_on"],
        "dmr_run_from": rows["dmr_run_from"],
        "left_censored": rows["left_censored"],
        "restarted_on": rows["restarted_on"],
        "restart_drug": rows["restart_drug"],
        "mmr_regained_on": rows["mmr_regained_on"],
        "dmr_regained_on": rows["dmr_regained_on"],
        "last_contact_on": rows["last_contact_on"],
        "withdrawal_syndrome_on": rows["withdrawal_syndrome_on"],
        "last_negative_on": rows["last_negative_on"],
        "loss_on": rows["loss_on"],
        "last_seen_on": rows["last_seen_on"],
        "remission_path": paths,
        "TRANSCRIPT_NEVER_SEEN": rows["baseline_unseen"],
        "OTHER_DRUG_AFTER_STOP": ~np.isnat(other) & (np.isnat(end_on) | (other <= end_on)),
        "DMR_ACROSS_GAP": rows["dmr_across_gap"],
        **{name: number(rows, name) for name in (*DURATIONS, *AGES, *YEARS)},
        **{factor.column: score(rows, factor.points) for factor in definition.factors if factor.name == SCORE},
    }
    groupings = {f.id: g for f in definition.factors if (g := _grouping(rows, columns, f, definition)) is not None}
    return MemberTable(columns, groupings)


def _grouping(rows: Columns, columns: Mapping[str, Column], factor: Factor, definition: Definition) -> Grouping | None:
    """Groups of a cut in the order ``>=``, ``<``, categories by their label; None for a number."""
    if factor.name in LANDMARK_FACTORS:
        assert definition.landmark_months is not None
        return _categories(at_landmark(rows, factor.name, definition.landmark_months * DAYS_PER_MONTH))
    if factor.is_category:
        return _categories(category(rows, factor.name))
    if factor.cut is None:
        return None
    if factor.name == SCORE:
        values = columns[factor.column]
        answer = np.where(np.isnan(values), UNKNOWN, np.where(values >= factor.cut, YES, NO))
    else:
        answer = reaches(rows, factor.name, int(factor.cut))
    codes = np.where(answer == YES, 0, np.where(answer == NO, 1, -1))
    return _present(Grouping((f">= {factor.cut}", f"< {factor.cut}"), codes))


def _categories(values: Column) -> Grouping:
    if not len(values):
        return Grouping((), np.array([], np.int64))
    labels, codes = np.unique(values.astype(str), return_inverse=True)
    texts = [str(label) for label in labels]
    if "" in texts:  # not known; it sorts first
        return Grouping(tuple(texts[1:]), codes - 1)
    return Grouping(tuple(texts), codes)


def _present(grouping: Grouping) -> Grouping:
    """Without the groups that nobody is in."""
    there = [code for code in range(len(grouping.labels)) if (grouping.codes == code).any()]
    position = np.full(len(grouping.labels) + 1, -1)
    position[there] = range(len(there))
    return Grouping(tuple(grouping.labels[code] for code in there), position[grouping.codes])
