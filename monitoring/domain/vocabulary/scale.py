"""The International Scale (IS): thresholds, classes, and arithmetic that is exact at every threshold.

Thresholds and their inclusive reading: White 2022 (doi 10.1038/s41375-022-01607-z) and NCI PDQ Adult CML; minimum
control copies: EUTOS, Cross 2015 (doi 10.1038/leu.2015.29). Classes are decided on the percentage, never on its
logarithm: 0.0032 % is MR4.5 although its MR value is 4.495.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from types import MappingProxyType

# Wide enough for exact products of two laboratory numbers (15 digits each) and a threshold.
_EXACT = Context(prec=60)
# Digits stored of a percentage: more than any laboratory reports, and the same number when it is read back.
STORED_DIGITS = Context(prec=18)
HUNDRED = Decimal(100)
ONE_LOG = 10  # the least rise on a single assay that counts as a rise


class ResponseClass(StrEnum):
    """Molecular response of one result; the last three say that there is no class on the scale."""

    NO_MMR = "NO_MMR"
    MMR = "MMR"
    MR4 = "MR4"
    MR4_5 = "MR4_5"
    MR5 = "MR5"
    INEVALUABLE_MR4 = "INEVALUABLE_MR4"
    NOT_ON_IS = "NOT_ON_IS"
    INVALID = "INVALID"

    @property
    def is_evaluable(self) -> bool:
        """Whether the class says how deep the response is."""
        return self in DEPTH

    @property
    def is_dmr(self) -> bool:
        """Deep molecular response: MR4 or deeper."""
        return self in (ResponseClass.MR4, ResponseClass.MR4_5, ResponseClass.MR5)

    def at_least(self, level: ResponseClass) -> bool:
        """Whether this class is evaluable and as deep as ``level`` or deeper."""
        return self in DEPTH and DEPTH[self] >= DEPTH[level]


DEPTH: dict[ResponseClass, int] = {
    ResponseClass.NO_MMR: 0,
    ResponseClass.MMR: 1,
    ResponseClass.MR4: 2,
    ResponseClass.MR4_5: 3,
    ResponseClass.MR5: 4,
}


class Sensitivity(StrEnum):
    """The deepest class that the control-gene copies of a sample can support."""

    NONE = "NONE"
    MR4 = "MR4"
    MR4_5 = "MR4_5"
    MR5 = "MR5"

    @property
    def as_class(self) -> ResponseClass | None:
        """The class an undetected sample of this sensitivity has, or None where it supports none."""
        return None if self is Sensitivity.NONE else ResponseClass(self.value)


# Upper limits in % IS, inclusive: 0.1 % is MMR, 0.01 % is MR4, 0.0032 % is MR4.5, 0.001 % is MR5.
MMR_LIMIT_PERCENT = Decimal("0.1")
CLASS_LIMITS_PERCENT: tuple[tuple[ResponseClass, Decimal], ...] = (
    (ResponseClass.MR5, Decimal("0.001")),
    (ResponseClass.MR4_5, Decimal("0.0032")),
    (ResponseClass.MR4, Decimal("0.01")),
    (ResponseClass.MMR, MMR_LIMIT_PERCENT),
)
CLASS_LIMIT_PERCENT: Mapping[ResponseClass, Decimal] = MappingProxyType(dict(CLASS_LIMITS_PERCENT))


class ControlGene(StrEnum):
    """Reference gene whose copies measure the quality of a sample."""

    ABL1 = "ABL1"
    GUSB = "GUSB"
    BCR = "BCR"


@dataclass(frozen=True, slots=True)
class ControlLimits:
    """Minimum control-gene copies: per replicate and for MR4 together, for MR4.5, for MR5."""

    mr4: Decimal
    mr4_5: Decimal
    mr5: Decimal

    def sensitivity(self, control_copies: Decimal) -> Sensitivity:
        """The deepest class that this many summed control copies support."""
        if control_copies >= self.mr5:
            return Sensitivity.MR5
        if control_copies >= self.mr4_5:
            return Sensitivity.MR4_5
        if control_copies >= self.mr4:
            return Sensitivity.MR4
        return Sensitivity.NONE


CONTROL_LIMITS: dict[ControlGene, ControlLimits] = {
    ControlGene.ABL1: ControlLimits(Decimal(10_000), Decimal(32_000), Decimal(100_000)),
    ControlGene.GUSB: ControlLimits(Decimal(24_000), Decimal(77_000), Decimal(240_000)),
}


def bcr_limits(minimum_copies: Decimal) -> ControlLimits:
    """Limits for BCR as control gene from the laboratory's own minimum; no published ones exist.

    The steps of the ABL1 ladder (1 : 3.2 : 10) are kept.
    """
    return ControlLimits(minimum_copies, minimum_copies * Decimal("3.2"), minimum_copies * 10)


@dataclass(frozen=True, slots=True)
class IsValue:
    """A percentage kept as an exact fraction, so that a comparison with a threshold never uses a rounded quotient."""

    numerator: Decimal
    denominator: Decimal = Decimal(1)

    @classmethod
    def from_copies(cls, bcr_abl1_copies: Decimal, control_gene_copies: Decimal, factor: Decimal) -> IsValue:
        """% IS of summed copies, kept as a fraction: no decision rests on the quotient."""
        product = _EXACT.multiply(_EXACT.multiply(bcr_abl1_copies, factor), HUNDRED)
        return cls(product, control_gene_copies)

    def at_most(self, limit_percent: Decimal) -> bool:
        """Whether the value is at or below the limit, exactly."""
        return self.numerator <= _EXACT.multiply(limit_percent, self.denominator)

    def response_class(self) -> ResponseClass:
        """Class by value alone (section 1.2 of the rules): inclusive limits, deepest first."""
        for response_class, limit in CLASS_LIMITS_PERCENT:
            if self.at_most(limit):
                return response_class
        return ResponseClass.NO_MMR

    @property
    def percent(self) -> Decimal:
        """The percentage for display and storage, rounded to 28 significant digits."""
        return self.numerator / self.denominator


# What laboratories write for a class, besides its own name.
_CLASS_WORDS = {
    "MR1": ResponseClass.NO_MMR, "MR2": ResponseClass.NO_MMR, "MR3": ResponseClass.MMR, "MR3.0": ResponseClass.MMR,
    "MR4.0": ResponseClass.MR4, "MR4.5": ResponseClass.MR4_5, "MR5.0": ResponseClass.MR5,
}  # fmt: skip
CLASS_WORDS: tuple[str, ...] = (*ResponseClass, *_CLASS_WORDS)


def class_named(word: str) -> ResponseClass | None:
    """The class that one of ``CLASS_WORDS`` names; None for an empty text."""
    return _CLASS_WORDS.get(word) or (ResponseClass(word) if word else None)


def class_of_percent(is_percent: Decimal) -> ResponseClass:
    """Class by value of a percentage on the IS."""
    return IsValue(is_percent).response_class()


def percent_of_mr(mr_value: Decimal) -> Decimal:
    """% IS of an MR value: 10 to the power of (2 − MR)."""
    return Decimal(10) ** (2 - mr_value)


def mr_of_percent(is_percent: Decimal) -> Decimal | None:
    """MR value, 2 − log10(% IS), to two decimals half up; None for zero. For display only, never for a decision."""
    if is_percent <= 0:
        return None
    return (2 - is_percent.log10()).quantize(Decimal("0.01"), ROUND_HALF_UP)


def shallower(first: ResponseClass, second: ResponseClass) -> ResponseClass:
    """The less deep of two evaluable classes."""
    return first if DEPTH[first] <= DEPTH[second] else second
