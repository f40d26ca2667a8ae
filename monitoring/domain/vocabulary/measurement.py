"""One measurement as the decision table reads it, and the flags that may accompany its class."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from monitoring.domain.vocabulary.scale import ControlGene, ResponseClass


class Flag(StrEnum):
    """What a reader must know besides the class. Flags are written in the order given here."""

    LOW_CONTROL = "LOW_CONTROL"
    REPLICATES_DISCORDANT = "REPLICATES_DISCORDANT"
    CAPPED_BY_CONTROL = "CAPPED_BY_CONTROL"
    SENSITIVITY_UNKNOWN = "SENSITIVITY_UNKNOWN"
    TRANSCRIPT_UNKNOWN = "TRANSCRIPT_UNKNOWN"
    BELOW_LOQ = "BELOW_LOQ"
    CF_EXPIRED = "CF_EXPIRED"
    CF_MISSING = "CF_MISSING"
    CF_MISMATCH = "CF_MISMATCH"
    IS_MISMATCH = "IS_MISMATCH"
    NEAR_THRESHOLD = "NEAR_THRESHOLD"
    OLD_SAMPLE = "OLD_SAMPLE"
    LAB_CHANGED = "LAB_CHANGED"
    IMPUTED_DATE = "IMPUTED_DATE"


def flags_text(flags: frozenset[Flag]) -> str:
    """Flags as files write them: fixed order, separated by semicolons."""
    return ";".join(flag.value for flag in Flag if flag in flags)


class Transcript(StrEnum):
    """BCR::ABL1 transcript type; the IS is validated for e13a2 and e14a2 only (Cross 2015)."""

    E13A2 = "e13a2"
    E14A2 = "e14a2"
    BOTH = "e13a2+e14a2"
    E1A2 = "e1a2"
    E19A2 = "e19a2"
    OTHER = "other"
    UNKNOWN = ""

    @property
    def is_on_scale(self) -> bool:
        """Unknown is scored as e13a2/e14a2 (over 95 % of patients)."""
        return self in (Transcript.E13A2, Transcript.E14A2, Transcript.BOTH, Transcript.UNKNOWN)


class Method(StrEnum):
    """How copies were counted."""

    RT_QPCR = "rt-qpcr"
    DPCR = "dpcr"
    CARTRIDGE = "cartridge"


class FactorState(StrEnum):
    """Where a conversion factor came from."""

    GIVEN = "given"
    REGISTERED = "registered"
    EXPIRED = "expired"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Reading:
    """One replicate. ``bcr_abl1_copies`` None means not detected; ``control_gene_copies`` None means not reported."""

    bcr_abl1_copies: Decimal | None
    control_gene_copies: Decimal | None
    run_valid: bool = True


@dataclass(frozen=True, slots=True)
class Reported:
    """What the laboratory itself reported on the IS: a percentage with comparator, an MR value, or only a class."""

    is_percent: Decimal | None = None
    comparator: str = "="
    mr_value: Decimal | None = None
    response_class: ResponseClass | None = None

    @property
    def has_value(self) -> bool:
        """Whether there is a number, not a class alone."""
        return self.is_percent is not None or self.mr_value is not None


@dataclass(frozen=True, slots=True)
class Measurement:
    """Everything about one result that its class depends on.

    ``detected`` is the laboratory's own statement, None where it made none. ``copies_reported`` is False where the
    readings have copies of the control gene only and no count of BCR::ABL1.
    """

    readings: tuple[Reading, ...] = ()
    control_gene: ControlGene = ControlGene.ABL1
    copies_reported: bool = True
    reported: Reported = field(default_factory=Reported)
    detected: bool | None = None
    limit_of_detection_percent: Decimal | None = None
    conversion_factor: Decimal | None = None
    factor_state: FactorState = FactorState.MISSING
    factor_mismatch: bool = False
    transcript: Transcript = Transcript.UNKNOWN
    method: Method = Method.RT_QPCR
    bcr_minimum_copies: Decimal | None = None
    assay_sees_transcript: bool = True
    limit_of_quantification_percent: Decimal | None = None
    limit_of_blank_copies: Decimal | None = None
    replicate_minimum_copies: Decimal | None = None
