"""Codes as the words people read, in their language."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import partial

from django import template
from django.utils.translation import gettext as _

from monitoring.domain.measurement import Flag
from monitoring.domain.series import FactKind
from monitoring.models.alerts import AlertState
from monitoring.models.choices import (
    ALERT_KIND,
    CERTAINTY,
    EPISODE_STATE,
    EVENT_WORD,
    FACT_KIND,
    FLAG,
    RESPONSE_CLASS,
    STOP_REASON,
    type_choices,
)
from monitoring.selectors.timeline import TimelineRow
from monitoring.services.alert_identity import BY_A_PERSON
from monitoring.templatetags.figures import significant

register = template.Library()
_FLAGS = dict(FLAG)


# Filters that look a stored code up among the choices of its field; an unknown code stays as it is.
_WORDS_OF = {
    "response_word": RESPONSE_CLASS,
    "alert_word": ALERT_KIND,
    "certainty_word": CERTAINTY,
    "episode_word": EPISODE_STATE,
    "event_word": EVENT_WORD,
    "fact_word": FACT_KIND,
    "reason_word": STOP_REASON,
}


def _look_up(code: str, choices: type_choices) -> str:
    return str(dict(choices).get(code, code))


for _name, _choices in _WORDS_OF.items():
    register.filter(_name, partial(_look_up, choices=_choices))


@register.filter
def flag_words(flags: str | Iterable[Flag]) -> list[str]:
    """Flags in words, in their fixed order."""
    codes = set(flags.split(";") if isinstance(flags, str) else flags)
    return [str(_FLAGS[flag]) for flag in Flag if flag in codes]


@register.filter
def factor_word(state: str) -> str:
    """Where a conversion factor came from."""
    words = {"given": _("given"), "registered": _("registered"), "expired": _("expired"), "missing": _("missing")}
    return words.get(state, state)


@register.filter
def signed(value: Decimal) -> str:
    """A change with its sign."""
    return f"{value:+}"


@register.filter
def value_words(row: TimelineRow) -> str:
    """The value of a result as people say it."""
    shown = significant(row.percent)
    words = {
        "quantified": f"{shown} % IS",
        "below": f"< {shown} % IS",
        "above": f"> {shown} % IS",
        "undetected": _("not detected"),
        "not_evaluable": _("not evaluable"),
        "waiting": _("waits for its class"),
    }
    return words[row.shape.value]


@register.filter
def owed_word(name: str) -> str:
    """What is owed."""
    words = {
        "classifications": _("patients that are owed a classification"),
        "deliveries": _("messages that are due"),
        "escalations": _("alerts whose next step is due"),
        "acknowledgements": _("alerts nobody has acknowledged"),
        "verifications": _("results to verify"),
        "imports": _("files that wait to be loaded"),
        "jobs": _("nightly jobs that are not finished"),
    }
    return words.get(name, name)


@register.filter
def verdict_word(action: str) -> str:
    """What became of a row."""
    words = {
        "created": _("stored"),
        "unchanged": _("known already"),
        "completed": _("completed"),
        "amended": _("amended"),
        "refused": _("refused"),
        "refused_rows": _("refused rows"),
    }
    return words.get(action, action)


@register.filter
def kind_word(kind: str) -> str:
    """What a file holds."""
    words = {
        "results": _("results"),
        "patients": _("patients"),
        "treatments": _("treatments"),
        "observations": _("observations"),
    }
    return words.get(kind, kind)


@register.filter
def closing_words(reason: str) -> str:
    """Why an alert has ended: stored in English, with what a person wrote left as it was written."""
    known = {
        "the evidence no longer holds": _("the evidence no longer holds"),
        "the result is no longer preliminary": _("the result is no longer preliminary"),
        "nothing in it is open any more": _("nothing in it is open any more"),
        "nothing is set aside any more": _("nothing is set aside any more"),
    }
    if reason in known:
        return known[reason]
    withdrawn = f"{BY_A_PERSON}: withdrawn: "
    if reason.startswith(withdrawn):
        return _("acted: withdrawn: %(words)s") % {"words": reason.removeprefix(withdrawn)}
    if reason.startswith(f"{BY_A_PERSON}: "):
        return _("acted: %(words)s") % {"words": reason.removeprefix(f"{BY_A_PERSON}: ")}
    settled_by, on, day = reason.rpartition(" on ")
    settled = {
        "restart": _("restart"),
        FactKind.DEATH.value: _("death"),
        FactKind.ALLOGENEIC_TRANSPLANT.value: _("allogeneic transplant"),
    }
    if on and settled_by in settled:
        return _("%(what)s on %(day)s") % {"what": settled[settled_by], "day": day}
    return reason


@register.filter
def outcome_words(outcome: str) -> str:
    """What became of a message: stored in English; what a mail server said is left as it was said."""
    if outcome == "withdrawn before it was sent":
        return _("withdrawn before it was sent")
    not_sent, _colon, state = outcome.partition(": the alert is ")
    if not_sent == "not sent" and state in AlertState.values:
        return _("not sent: the alert is %(state)s") % {"state": AlertState(state).label}
    return outcome
