"""What the study behind this service published, and the definition that reads the same from today's data.

Zhao H. et al. 2025, Chinese Journal of Hematology, doi 10.3760/cma.j.cn121090-20250222-00087: 36 children and
adolescents of 8 centres who stopped imatinib. Figures only, as printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE = "Zhao H. et al. 2025, doi 10.3760/cma.j.cn121090-20250222-00087"
DMR_CUT_MONTHS, TKI_CUT_MONTHS = 72, 100
DMR_CUT, TKI_CUT, DMR, TKI = "dmr_72", "tki_100", "dmr_months", "tki_months"

MEMBERS, EVENTS, IN_REMISSION = 36, 15, 21
KAPLAN_MEIER_PERCENT = {6: 74.1, 12: 60.7, 24: 60.7, 36: 56.0}
HAZARD_RATIO = (5.419, 1.524, 19.272)  # deep response below over at least 72 months
HAZARD_P = 0.009
P_OF_CUTS = {DMR_CUT: 0.003, TKI_CUT: 0.017}
IN_REMISSION_BY_CUT = {DMR_CUT: (84.2, 29.4), TKI_CUT: (82.4, 36.8)}  # at least, below; crude
# Medians with quartiles.
MEDIANS = {
    "age_at_diagnosis": (11, 5, 16),
    "age_at_stop": (20, 14, 25),
    "tki_months": (96, 84, 121),
    "time_to_dmr_months": (21, 13, 38),
    "dmr_months": (74, 63, 89),
    "follow_up_months": (38, 15, 68),
    "months_to_loss": (5, 3, 11),
}


def definition(slug: str, title: str, centres: list[str]) -> dict[str, Any]:
    """The definition that asks what the study asked, and what it leaves open.

    Both cuts are called chosen on the data, both durations stand as numbers too, both cuts are in one model, and every
    model gets the penalised estimate beside it.
    """
    return {
        "slug": slug,
        "title": title,
        "include": {"stop_reason": ["tfr_attempt"], **({"centre": centres} if centres else {})},
        "endpoint": "loss_of_mmr",
        "factors": [
            {"id": DMR_CUT, "name": "dmr_months", "cut": DMR_CUT_MONTHS, "chosen_on_data": True},
            {"id": TKI_CUT, "name": "tki_months", "cut": TKI_CUT_MONTHS, "chosen_on_data": True},
            {"name": DMR},
            {"name": TKI},
            {"name": "sex"},
            {"name": "age_at_stop"},
        ],
        "cox": [DMR_CUT, TKI_CUT],
        "model": {"penalised": True},
    }


def asks_the_same(found: Mapping[str, Any]) -> bool:
    """Whether a stored definition has the two cuts of the study: its figures can stand beside the published ones."""
    cuts = {(factor["name"], factor.get("cut")) for factor in found.get("factors", ())}
    return {("dmr_months", DMR_CUT_MONTHS), ("tki_months", TKI_CUT_MONTHS)} <= cuts
