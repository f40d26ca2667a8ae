"""Faults and warnings of control samples in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from monitoring.domain.quality.controls import Fault
from monitoring.domain.quality.levey_jennings import Rule

FAULT_WORDS: Mapping[str, Promise] = {
    Fault.NOT_DETECTED: _("BCR::ABL1 is not detected in a control that holds it"),
    Fault.DETECTED: _("BCR::ABL1 is detected in a control that must hold none"),
    Fault.NO_CONTROL_GENE: _("too few control gene copies"),
    Fault.CONTROL_GENE: _("the control gene is detected where there is no template"),
    Rule.ONE_3S: _("more than 3 SD from the mean (1-3s)"),
    Rule.TWO_2S: _("twice in a row more than 2 SD to one side (2-2s)"),
    Rule.R_4S: _("more than 4 SD from the run before (R-4s)"),
    Rule.ONE_2S: _("more than 2 SD from the mean (1-2s)"),
    Rule.FOUR_1S: _("four times in a row more than 1 SD to one side (4-1s)"),
    Rule.TEN_X: _("ten times in a row on one side of the mean (10-x)"),
}


def fault_words(codes: Iterable[str]) -> list[str]:
    """Each fault or warning in words."""
    return [str(FAULT_WORDS[code]) for code in codes if code]
