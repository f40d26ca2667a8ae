"""Control gene copies of a sample: which replicates have enough, and how deep a class their sum supports."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.scoring.response_rules import ResponseRules
from monitoring.domain.vocabulary.measurement import Flag, Measurement, Reading
from monitoring.domain.vocabulary.scale import (
    CONTROL_LIMITS,
    ControlGene,
    ControlLimits,
    ResponseClass,
    Sensitivity,
    bcr_limits,
    shallower,
)


def limits_of(m: Measurement) -> ControlLimits | None:
    if m.control_gene is ControlGene.BCR:
        return bcr_limits(m.bcr_minimum_copies) if m.bcr_minimum_copies else None
    return CONTROL_LIMITS[m.control_gene]


@dataclass(frozen=True, slots=True)
class Control:
    """The control gene copies of a measurement: which replicates have enough and what their sum supports."""

    good: tuple[Reading, ...]
    failed: tuple[Reading, ...]
    sensitivity: Sensitivity
    known: bool

    @property
    def all_failed(self) -> bool:
        return self.known and not self.good


def control_of(m: Measurement) -> Control:
    limits = limits_of(m)
    with_copies = tuple(r for r in m.readings if r.control_gene_copies is not None)
    if limits is None or not with_copies:
        return Control(m.readings, (), Sensitivity.NONE, known=False)
    minimum = max(limits.mr4, m.replicate_minimum_copies or limits.mr4)  # a laboratory may ask for more, never for less
    good = tuple(r for r in m.readings if r.run_valid and (r.control_gene_copies or 0) >= minimum)
    failed = tuple(r for r in m.readings if r not in good)
    return Control(good, failed, limits.sensitivity(control_sum(good)), known=True)


def control_sum(readings: tuple[Reading, ...]) -> Decimal:
    return sum((r.control_gene_copies or Decimal(0) for r in readings), Decimal(0))


def capped_by_control(
    by_value: ResponseClass, control: Control, rules: ResponseRules
) -> tuple[ResponseClass, set[Flag]]:
    """Rows 8 to 11 and 14: the class by value, never deeper than the control copies support."""
    if not control.known:
        return by_value, {Flag.SENSITIVITY_UNKNOWN}
    flags = {Flag.LOW_CONTROL} if control.all_failed else set()
    if not by_value.is_dmr or not rules.cap_positive_by_control:
        return by_value, flags
    allowed = control.sensitivity.as_class or ResponseClass.MMR
    capped = shallower(by_value, allowed)
    if capped is not by_value:
        flags.add(Flag.CAPPED_BY_CONTROL)
    return capped, flags
