"""Questions about a new result: slips of unit, decimal point or factor, discordant replicates, duplicates.

A question never changes a class and never stops an alert: an unfounded doubt must not hide a loss. Distances are in
log10; good laboratories agree within five-fold, 0.7 log (Branford 2008, Blood 112:3330).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from monitoring.domain.course.series import Assessed
from monitoring.domain.following.kinetics import Change
from monitoring.domain.scoring.response_rules import EUTOS_2015
from monitoring.domain.vocabulary.measurement import Measurement, Reading
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import mr_of_percent

RULE_ID = "entry-checks.1"
CITATION = "Branford 2008, Blood 112:3330; EUTOS, Cross 2015, doi 10.1038/leu.2015.29"
APART_LOG10 = 0.7
REPLICATES_APART_LOG10 = 0.5
SLIP_TOLERANCE_LOG10 = 0.08
TOO_OLD_HOURS = 72
MOST_PLAUSIBLE_CONTROL = Decimal(10_000_000)


@dataclass(frozen=True, slots=True)
class Question:
    """A question to whoever enters the result. ``is_suspicious``: the value is probably not what was measured."""

    reason: Reason
    is_suspicious: bool = False


def questions(new: Assessed, others: Sequence[Assessed], change: Change | None, died_on: date | None) -> list[Question]:
    """Every question about a new result, most important first. ``others`` are the patient's other results."""
    m = new.result.measurement
    asked = [
        *_slips(m),
        *_like_another_unit(new, others),
        *_copies(m),
        *_replicates(m.readings),
        *_doubles(new, others),
    ]
    if (
        change is not None
        and change.is_real
        and change.change_log10 is not None
        and change.reference_change_log10 is not None
    ):
        limit = change.reference_change_log10
        asked.append(_ask("delta", "entry.delta", change=change.change_log10, limit=limit))
    hours = new.result.hours_to_laboratory
    if hours is not None and hours > TOO_OLD_HOURS:
        asked.append(_ask("sample_age", "entry.too_old", hours=round(hours), limit=TOO_OLD_HOURS))
    if died_on is not None and new.result.collected_on > died_on:
        asked.append(_ask("life", "entry.after_death", on=died_on, suspicious=True))
    return asked


def _ask(line: str, code: str, *, suspicious: bool = False, **facts: FactValue) -> Question:
    return Question(Reason(RULE_ID, line, CITATION, tuple(facts.items()), code), suspicious)


def _log10(value: Decimal) -> float:
    return math.log10(value)


# --- reported value against its own copies --------------------------------------------------------------------------


def _slips(m: Measurement) -> Iterator[Question]:
    """A reported percentage that is just a hundred-fold, ten-fold or one factor away from the value of its copies."""
    reported, computed = m.reported.is_percent, _computed(m)
    if reported is None or m.reported.comparator != "=" or computed is None:
        return
    distance = _log10(reported) - _log10(computed)
    for code, expected in _known_slips(m.conversion_factor):
        if abs(distance - expected) <= SLIP_TOLERANCE_LOG10:
            yield _ask("unit", code, reported=reported, computed=_short(computed), suspicious=True)
            return
    if abs(distance) > APART_LOG10:
        yield _ask("unit", "entry.copies_disagree", reported=reported, computed=_short(computed), suspicious=True)


def _known_slips(factor: Decimal | None) -> Iterator[tuple[str, float]]:
    yield "entry.fraction_for_percent", -2.0
    yield "entry.percent_twice", 2.0
    yield "entry.decimal_point", 1.0
    yield "entry.decimal_point", -1.0
    if factor is not None and abs(_log10(factor)) > SLIP_TOLERANCE_LOG10:
        yield "entry.factor_twice", _log10(factor)
        yield "entry.factor_missing", -_log10(factor)


def _computed(m: Measurement) -> Decimal | None:
    """The percentage computed from the copies and the factor; None without copies, control or factor."""
    floor = EUTOS_2015.low_positive_floor_copies
    copies = sum((max(r.bcr_abl1_copies, floor) for r in m.readings if r.bcr_abl1_copies is not None), Decimal(0))
    control = sum((r.control_gene_copies or Decimal(0) for r in m.readings), Decimal(0))
    if not m.copies_reported or not copies or not control or m.conversion_factor is None:
        return None
    return 100 * copies / control * m.conversion_factor


def _short(value: Decimal) -> Decimal:
    return Decimal(f"{value:.3g}")


# --- against the patient's other results ----------------------------------------------------------------------------


def _like_another_unit(new: Assessed, others: Sequence[Assessed]) -> Iterator[Question]:
    """A reported number without copies that fits the last value in another unit: an MR value or a fraction as
    percent.
    """
    m = new.result.measurement
    value = m.reported.is_percent
    before = [i for i in others if i.result.collected_on < new.result.collected_on and i.score.is_percent]
    if value is None or m.copies_reported or m.reported.comparator != "=" or not before:
        return
    last = max(before, key=lambda i: i.result.collected_on).score.is_percent
    assert last is not None
    distance = _log10(value) - _log10(last)
    mr_value = mr_of_percent(last)
    if mr_value is not None and distance > 1.5 and abs(value - mr_value) <= Decimal("0.7"):
        yield _ask("unit", "entry.mr_for_percent", reported=value, last=_short(last), suspicious=True)
    elif abs(distance + 2) <= 0.3 and last > Decimal("0.01"):
        yield _ask("unit", "entry.fraction_like_last", reported=value, last=_short(last), suspicious=True)


def _doubles(new: Assessed, others: Sequence[Assessed]) -> Iterator[Question]:
    """The same numbers on the same day under another accession number: probably one sample entered twice."""
    for item in others:
        same_day = item.result.collected_on == new.result.collected_on
        same_tubes = item.result.measurement.readings == new.result.measurement.readings
        if same_day and same_tubes and item.score.is_percent == new.score.is_percent:
            yield _ask("double", "entry.double", other=item.result.key.rpartition("/")[0], suspicious=True)
            return


# --- copies -----------------------------------------------------------------------------------------------------------


def _copies(m: Measurement) -> Iterator[Question]:
    for reading in m.readings:
        control, copies = reading.control_gene_copies, reading.bcr_abl1_copies
        if control is not None and control > MOST_PLAUSIBLE_CONTROL:
            yield _ask("copies", "entry.control_implausible", control=control, suspicious=True)
            return
        if control and copies is not None and copies > 10 * control:
            yield _ask("copies", "entry.copies_exchanged", copies=copies, control=control, suspicious=True)
            return


def _replicates(readings: Sequence[Reading]) -> Iterator[Question]:
    """The highest and the lowest ratio of the positive tubes."""
    ratios = [
        _log10(r.bcr_abl1_copies / r.control_gene_copies)
        for r in readings
        if r.bcr_abl1_copies and r.control_gene_copies
    ]
    if len(ratios) > 1 and max(ratios) - min(ratios) > REPLICATES_APART_LOG10:
        apart = Decimal(str(round(max(ratios) - min(ratios), 1)))
        yield _ask("replicates", "entry.replicates_apart", apart=apart, limit=Decimal(str(REPLICATES_APART_LOG10)))
