"""Codes as the words people read, in their language."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

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
)
from monitoring.selectors.timeline import TimelineRow
from monitoring.services.alert_identity import BY_A_PERSON
from monitoring.templatetags.figures import significant

register = template.Library()
_FLAGS = dict(FLAG)


@register.filter
def response_word(code: str) -> str:
    """The name of a class."""
    return str(dict(RESPONSE_CLASS).get(code, code))


@register.filter
def alert_word(code: str) -> str:
    """The name of a kind of alert."""
    return str(dict(ALERT_KIND).get(code, code))


@register.filter
def certainty_word(code: str) -> str:
    """How sure an alert is."""
    return str(dict(CERTAINTY).get(code, code))


@register.filter
def episode_word(code: str) -> str:
    """Where an episode stands."""
    return str(dict(EPISODE_STATE).get(code, code))


@register.filter
def event_word(code: str) -> str:
    """The name of a line of the ledger."""
    return str(dict(EVENT_WORD).get(code, code))


@register.filter
def fact_word(code: str) -> str:
    """The name of a kind of observation."""
    return str(dict(FACT_KIND).get(code, code))


@register.filter
def reason_word(code: str) -> str:
    """The reason of a stop."""
    return str(dict(STOP_REASON).get(code, code))


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
