"""The control samples of a run: high, low, negative and without a template; whether each passes.

A run whose controls fail measured nothing that may be reported (CLINICAL_RULES 5: the run is invalid).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from monitoring.domain.quality.levey_jennings import Limits, Rule, broken_rules, limits_of
from monitoring.domain.vocabulary.scale import CONTROL_LIMITS, ControlGene

# Good laboratories agree within five-fold, 0.7 log (Branford 2008, Blood 112:3330): three SD of a target's limits.
TARGET_SD_LOG10 = 0.7 / 3


class ControlKind(StrEnum):
    """What a control sample is for."""

    HIGH = "high"
    LOW = "low"
    NEGATIVE = "negative"
    NO_TEMPLATE = "no_template"

    @property
    def has_value(self) -> bool:
        """Whether the sample holds the transcript, so that its value is followed."""
        return self in (ControlKind.HIGH, ControlKind.LOW)


class Fault(StrEnum):
    """Why a control fails, besides the rules of its chart."""

    NOT_DETECTED = "not_detected"
    DETECTED = "detected"
    NO_CONTROL_GENE = "no_control_gene"
    CONTROL_GENE = "control_gene"


@dataclass(frozen=True, slots=True)
class ControlReading:
    """A control as measured; no copies mean not detected. ``percent`` is % IS, or the ratio without a factor."""

    kind: ControlKind
    bcr_abl1_copies: Decimal | None
    control_gene_copies: Decimal | None
    percent: Decimal | None = None
    target_percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ControlVerdict:
    """Why a control fails and what it warns of; ``limits`` is None where its value could not be judged."""

    faults: tuple[str, ...] = ()
    warnings: tuple[Rule, ...] = ()
    limits: Limits | None = None

    @property
    def passes(self) -> bool:
        return not self.faults


def control_percent(copies: Decimal | None, control_copies: Decimal | None, factor: Decimal | None) -> Decimal | None:
    """The value of a control in % IS; the plain ratio in % where no factor is known. None where nothing was seen."""
    if not copies or not control_copies:
        return None
    return 100 * copies / control_copies * (factor if factor is not None else 1)


def judge_control(reading: ControlReading, gene: ControlGene, earlier: Sequence[Decimal] = ()) -> ControlVerdict:
    """Whether a control passes; ``earlier`` are the values of its lot in runs before, oldest first."""
    if reading.kind is ControlKind.NO_TEMPLATE:
        return ControlVerdict(tuple(_without_template(reading)))
    faults = []
    limits = CONTROL_LIMITS.get(gene)
    least = limits.mr4 if limits else Decimal(1)
    if reading.control_gene_copies is None or reading.control_gene_copies < least:
        faults.append(Fault.NO_CONTROL_GENE)
    if reading.kind is ControlKind.NEGATIVE:
        return ControlVerdict((*faults, *([Fault.DETECTED] if reading.bcr_abl1_copies else [])))
    if not reading.bcr_abl1_copies:
        return ControlVerdict((*faults, Fault.NOT_DETECTED))
    if reading.percent is None:
        return ControlVerdict(tuple(faults))
    target = math.log10(reading.target_percent) if reading.target_percent else None
    before = [math.log10(value) for value in earlier if value > 0]
    expected = limits_of(before, target, TARGET_SD_LOG10)
    if expected is None:
        return ControlVerdict(tuple(faults))
    broken = broken_rules(math.log10(reading.percent), before, expected)
    return ControlVerdict(
        (*faults, *(rule for rule in broken if rule.fails)), tuple(r for r in broken if not r.fails), expected
    )


def _without_template(reading: ControlReading) -> list[Fault]:
    found = [Fault.DETECTED] if reading.bcr_abl1_copies else []
    return [*found, *([Fault.CONTROL_GENE] if reading.control_gene_copies else [])]
