"""Transcripts off the International Scale: the ratio of copies, and its change against the patient's own lowest value.

No class and no limit in % IS holds for them (Cross 2015; ELN laboratory recommendations 2023, doi
10.1038/s41375-023-02048-y, Table 2: only the individual change). A transcript that is detectable again after it was
not,
or that has risen by one log on one assay, counts as a relapse, on treatment and off it, until a person has looked
(design).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from monitoring.domain.course.series import Assessed
from monitoring.domain.vocabulary.scale import CONTROL_LIMITS, HUNDRED, ONE_LOG

RULE_ID = "off-scale.1"
_CHANGE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Ratio:
    """One sample of blood: BCR::ABL1 in % of the control gene, 0 where not detected.

    ``assay`` is laboratory, method and control gene: a rise of one log is told only between values of one assay.
    ``proves``: detected, or not detected in as many control copies as an evaluable sample has.
    """

    result_id: int
    key: str
    on: date
    percent: Decimal
    assay: tuple[str, str, str]
    is_final: bool
    proves: bool


def ratios_of(assessed: Sequence[Assessed]) -> tuple[Ratio, ...]:
    """The ratios of a series whose transcript is off the scale, in order of collection."""
    return tuple(ratio for item in assessed if (ratio := _ratio_of(item)) is not None)


def _ratio_of(item: Assessed) -> Ratio | None:
    result, m = item.result, item.result.measurement
    if m.transcript.is_on_scale or result.is_bone_marrow or (not m.assay_sees_transcript and not item.score.detected):
        return None
    tubes = [t for t in m.readings if t.run_valid and t.control_gene_copies]
    control = sum((t.control_gene_copies or Decimal(0) for t in tubes), Decimal(0))
    percent = m.reported.is_percent
    if control and m.copies_reported:
        percent = sum((t.bcr_abl1_copies or Decimal(0) for t in tubes), Decimal(0)) / control * HUNDRED
    elif not item.score.detected:
        percent = Decimal(0)
    if percent is None:
        return None
    limits = CONTROL_LIMITS.get(m.control_gene)
    return Ratio(
        result.id, result.key, result.collected_on, percent,
        (result.laboratory, m.method.value, m.control_gene.value), not result.is_preliminary,
        proves=percent > 0 or (limits is not None and control >= limits.mr4),
    )  # fmt: skip


def change_log10(ratio: Ratio, ratios: Sequence[Ratio]) -> Decimal | None:
    """Log units above the lowest value before on the same assay, 0 for the lowest itself.

    None where nothing is detected, or nothing was in an earlier sample: 0 has no logarithm.
    """
    if not ratio.percent or any(not r.percent for r in ratios if r.on < ratio.on):
        return None
    lowest = min(r.percent for r in ratios if r.assay == ratio.assay and r.on <= ratio.on and r.percent)
    return (ratio.percent / lowest).log10().quantize(_CHANGE)


def relapse_of(ratios: Sequence[Ratio]) -> Ratio | None:
    """The first sample of a relapse that still lasts, or None. A preliminary result may open a relapse but not end it.

    A relapse is a detection after a sample in which nothing was detected, or a value ten times the lowest before it on
    its assay.
    """
    first: Ratio | None = None
    before: list[Ratio] = []
    for ratio in ratios:
        if _is_relapse(ratio, before):
            first = first or ratio
        elif ratio.is_final:
            first = None
        before.append(ratio)
    return first


def _is_relapse(ratio: Ratio, before: Sequence[Ratio]) -> bool:
    if not ratio.percent:
        return False
    if any(not r.percent for r in before):
        return True
    lowest = min((r.percent for r in before if r.assay == ratio.assay), default=None)
    return lowest is not None and ratio.percent >= lowest * ONE_LOG
