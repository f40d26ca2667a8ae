"""One English template for every code of a reason, with named placeholders in the form that gettext checks.

``%(name)s`` is a fact of that name. Nothing here knows Django, so that commands and tests can say a reason too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from monitoring.domain.vocabulary.reasons import Reason
from monitoring.wording.rule_texts import RULE_TEXTS
from monitoring.wording.standing_texts import STANDING_TEXTS


def in_english(reason: Reason) -> str:
    """The template with its facts, untranslated."""
    return TEXTS[reason.text_code] % reason.values


TEXTS: Mapping[str, str] = MappingProxyType({**RULE_TEXTS, **STANDING_TEXTS})
