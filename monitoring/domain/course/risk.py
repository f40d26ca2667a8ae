"""The risk at diagnosis computed from its parts: the ELTS and the Sokal score.

Sources: ELTS, Pfirrmann et al., Leukemia 2016 (PMID 26416462); Sokal et al., Blood 1984 (PMID 6584184).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class RiskScore(StrEnum):
    """The scores that are computed."""

    ELTS = "elts"
    SOKAL = "sokal"


class RiskGroup(StrEnum):
    """The groups of both scores."""

    LOW = "low"
    INTERMEDIATE = "intermediate"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class RiskParts:
    """What the scores are computed from, all of it at diagnosis and before any treatment.

    The spleen is measured in cm below the costal margin, 0 where it cannot be felt; platelets are counted in 10⁹/L;
    blasts are in % of the white cells of peripheral blood.
    """

    age_years: int
    spleen_cm: Decimal
    platelets_e9_per_l: Decimal
    blasts_percent: Decimal


@dataclass(frozen=True, slots=True)
class Risk:
    """A score and its group."""

    score: RiskScore
    value: float
    group: RiskGroup


# Up to the first bound, included, the risk is low; above the second it is high. Of Sokal 0.8 itself is intermediate.
_ELTS_BOUNDS = (1.5680, 2.2185)
_SOKAL_BOUNDS = (0.8, 1.2)


def risk_of(score: RiskScore, parts: RiskParts) -> Risk:
    """The score of these parts, as published."""
    value = _elts(parts) if score is RiskScore.ELTS else _sokal(parts)
    low, high = _ELTS_BOUNDS if score is RiskScore.ELTS else _SOKAL_BOUNDS
    is_low = value <= low if score is RiskScore.ELTS else value < low
    group = RiskGroup.LOW if is_low else RiskGroup.HIGH if value > high else RiskGroup.INTERMEDIATE
    return Risk(score, value, group)


def _elts(parts: RiskParts) -> float:
    age, platelets = parts.age_years / 10, float(parts.platelets_e9_per_l) / 1000
    spleen, blasts = float(parts.spleen_cm), float(parts.blasts_percent)
    return 0.0025 * age**3 + 0.0615 * spleen + 0.1052 * blasts + 0.4104 / math.sqrt(platelets)


def _sokal(parts: RiskParts) -> float:
    platelets = float(parts.platelets_e9_per_l) / 700
    spleen, blasts = float(parts.spleen_cm), float(parts.blasts_percent)
    return math.exp(
        0.0116 * (parts.age_years - 43.4)
        + 0.0345 * (spleen - 7.51)
        + 0.188 * (platelets**2 - 0.563)
        + 0.0887 * (blasts - 2.10)
    )
