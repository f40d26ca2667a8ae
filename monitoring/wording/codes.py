"""Codes as the words people read, in their language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.scale import Sensitivity
from monitoring.models import Alert, AlertDelivery, Replicate, Role
from monitoring.models.alerts import AlertState, ClosingReason, DeliveryAbout, DeliveryOutcome
from monitoring.models.choices import (
    ALERT_KIND,
    CERTAINTY,
    DRUG_WORD,
    EPISODE_STATE,
    EVENT_WORD,
    FACT_KIND,
    FLAG,
    RESPONSE_CLASS,
    RISK_GROUP,
    STOP_REASON,
    type_choices,
)
from monitoring.models.escalation import LADDER_NAME, SEVERITY
from monitoring.models.runs import CONTROL_KIND
from monitoring.selectors.timeline import TimelineRow
from monitoring.wording.numbers import plain_number, significant

_FLAGS = dict(FLAG)


# Which field's choices hold the words of a stored code; an unknown code stays as it is.
LOOKED_UP: dict[str, type_choices] = {
    "response_word": RESPONSE_CLASS,
    "alert_word": ALERT_KIND,
    "certainty_word": CERTAINTY,
    "episode_word": EPISODE_STATE,
    "drug_word": DRUG_WORD,
    "event_word": EVENT_WORD,
    "fact_word": FACT_KIND,
    "reason_word": STOP_REASON,
    "risk_word": RISK_GROUP,
    "control_word": CONTROL_KIND,
    "severity_word": SEVERITY,
    "ladder_word": LADDER_NAME,
    "role_word": [*Role.choices],
}


def look_up(code: str, choices: type_choices) -> str:
    """The words of a code among the choices of its field."""
    return str(dict(choices).get(code, code))


def flag_words(flags: str | Iterable[Flag]) -> list[str]:
    """Flags in words, in their fixed order."""
    codes = set(flags.split(";") if isinstance(flags, str) else flags)
    return [str(_FLAGS[flag]) for flag in Flag if flag in codes]


def factor_word(state: str) -> str:
    """Where a conversion factor came from."""
    words = {"given": _("given"), "registered": _("registered"), "expired": _("expired"), "missing": _("missing")}
    return words.get(state, state)


_CELLS = {
    "accession_number": gettext_lazy("accession"),
    "patient_id": gettext_lazy("patient"),
    "collected_on": gettext_lazy("collected"),
    "received_on": gettext_lazy("received"),
    "bcr_abl1_copies": gettext_lazy("BCR::ABL1"),
    "control_gene_copies": gettext_lazy("control gene"),
}


def cell_word(name: str) -> str:
    """The head of a cell of a run's grid; those of a tube carry its number."""
    whole, _mark, number = name.rpartition("_")
    if number.isdigit():
        return f"{_CELLS.get(whole, whole)} {number}"
    return str(_CELLS.get(name, name))


def cell_of(cells: Mapping[str, str], name: str) -> str:
    """What was typed in a cell of a row."""
    return cells.get(name, "")


def sensitivity_word(code: str) -> str:
    """The deepest class that a sample could show."""
    return _("no deep response") if code == Sensitivity.NONE else look_up(code, RESPONSE_CLASS)


def signed(value: Decimal) -> str:
    """A change with its sign."""
    return f"{value:+}"


def value_words(row: TimelineRow) -> str:
    """The value of a result as people say it."""
    shown = significant(row.percent)
    if row.shape == "off_scale":
        return _ratio_words(row)
    words = {
        "quantified": f"{shown} % IS",
        "below": f"< {shown} % IS",
        "above": f"> {shown} % IS",
        "undetected": _("not detected"),
        "not_evaluable": _("not evaluable"),
        "waiting": _("waits for its class"),
    }
    return words[row.shape.value]


def _ratio_words(row: TimelineRow) -> str:
    if not row.ratio_percent:
        return _("not detected (off the scale)")
    ratio = {"ratio": significant(row.ratio_percent), "change": row.ratio_change_log10}
    if row.ratio_change_log10 is None:
        return _("ratio %(ratio)s %%, after not detected") % ratio
    if not row.ratio_change_log10:
        return _("ratio %(ratio)s %%, the lowest so far") % ratio
    return _("ratio %(ratio)s %%, %(change)s log above the lowest") % ratio


def copies_words(tube: Replicate) -> str:
    """The BCR::ABL1 copies of one replicate."""
    if not tube.bcr_abl1_reported:
        return _("not counted")
    return _("not detected") if tube.bcr_abl1_copies is None else plain_number(tube.bcr_abl1_copies)


def standing_word(standing: str) -> str:
    """Whether a conversion factor holds, and what is to be done about it."""
    words = {
        "in_force": _("in force"),
        "not_yet": _("not yet in force"),
        "replaced": _("replaced by a later one"),
        "expired": _("expired"),
        "expires_soon": _("expires soon"),
        "revalidation_due": _("re-validation is overdue"),
    }
    return words.get(standing, _("re-validation is near"))


def owed_word(name: str) -> str:
    """What is owed."""
    words = {
        "classifications": _("patients that are owed a classification"),
        "deliveries": _("messages that have not left"),
        "urgent_deliveries": _("messages about losses that have not left"),
        "escalations": _("alerts whose next step is due"),
        "acknowledgements": _("alerts nobody has acknowledged"),
        "verifications": _("results to verify"),
        "imports": _("files that wait to be loaded"),
        "jobs": _("nightly jobs that are not finished"),
    }
    return words.get(name, name)


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


def would_word(action: str) -> str:
    """What would become of a row of a file that is only tried."""
    words = {
        "created": _("would be stored"),
        "unchanged": _("known already"),
        "completed": _("would be completed"),
        "amended": _("would be amended"),
    }
    return words.get(action) or verdict_word(action)


def change_word(deed: str) -> str:
    """What would become of an alert."""
    words = {
        "opened": _("would be opened"),
        "told_again": _("would be told again"),
        "ended": _("would be ended"),
    }
    return words.get(deed, deed)


def kind_word(kind: str) -> str:
    """What a file holds."""
    words = {
        "results": _("results"),
        "patients": _("patients"),
        "treatments": _("treatments"),
        "observations": _("observations"),
    }
    return words.get(kind, kind)


def closing_words(alert: Alert) -> str:
    """Why an alert has ended; what a person wrote is left as it was written."""
    if not alert.closing_reason:
        return ""
    words: str = str(ClosingReason(alert.closing_reason).label) % alert.closing_values
    return words


def outcome_words(delivery: AlertDelivery) -> str:
    """What became of a message; what a mail server said is left as it was said."""
    if not delivery.outcome_code:
        return delivery.outcome
    said = {"words": delivery.outcome}
    if delivery.outcome in AlertState.values:
        said["state"] = str(AlertState(delivery.outcome).label)
    return str(DeliveryOutcome(delivery.outcome_code).label) % said


def sending_words(delivery: AlertDelivery) -> str:
    """Whether a message was sent, and what became of it."""
    if delivery.delivered and delivery.settled_at is not None:
        return _("sent %(at)s") % {"at": f"{delivery.settled_at:%H:%M}"}
    words = outcome_words(delivery)
    return words if delivery.settled_at else f"{_('not sent yet')} {words}".strip()


def about_words(delivery: AlertDelivery) -> str:
    """What a message was about: opened, told anew because it is surer or higher, reminded, or withdrawn."""
    if delivery.about == DeliveryAbout.WITHDRAWN:
        return str(delivery.get_about_display())
    if delivery.step:
        words = _("reminder %(step)s")
    else:
        words = _("surer or higher than told before") if delivery.round > 1 else _("opened")
    certainty = delivery.get_certainty_display()
    return " · ".join(filter(None, [words % {"step": delivery.step}, str(certainty)]))


def deed_word(what: str) -> str:
    """What a person did about an alert."""
    words = {
        "acknowledged": _("acknowledged"),
        "restart": _("drug restarted"),
        "repeat": _("repeat sample ordered"),
        "watch": _("decided to watch"),
        "entered_in_error": _("result entered in error, to be corrected"),
        "other": _("other, closes the alert"),
    }
    return words.get(what, what)
