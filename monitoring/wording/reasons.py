"""Statements of the rules in the reader's language, each with its rule, line and citation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

from django.utils.translation import gettext as _

from monitoring.domain.following.kinetics import Change, Direction
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.models import PcrResult, ResponseAssessment
from monitoring.models.choices import ANSWER, DRUG_WORD, FACT_KIND, PHASE, RESPONSE_CLASS, RISK_GROUP, TRANSCRIPT
from monitoring.selectors.why import class_reason
from monitoring.wording.numbers import plain_number, significant
from monitoring.wording.reason_texts import TEXTS

MOST_DIGITS = 6  # what a rule or a laboratory writes; a quotient is shown shorter, never across a class limit
_CODES = {**dict(RESPONSE_CLASS), **dict(FACT_KIND), **dict(DRUG_WORD)}
# Only where a criterion is shown: a fact of a sentence may be the name of a laboratory, which can be anything.
_CRITERION_CODES = {**dict(PHASE), **dict(RISK_GROUP), **dict(ANSWER), **dict(TRANSCRIPT)}


def reason_words(reason: Reason) -> str:
    """The sentence of a reason with its facts."""
    return _(TEXTS[reason.text_code]) % {name: _shown(name, value) for name, value in reason.facts}


def source_words(reason: Reason) -> str:
    """What a reason rests on: rule set, line, citation; and that its line was worked out afterwards, where it was."""
    words = f"{reason.rule_id}, {reason.line}; {reason.citation}"
    guess = _("row worked out afterwards: the class is older than the record of its row")
    return f"{words}; {guess}" if reason.is_guess else words


# Times that are computed: nobody measures a part of a day.
_DAYS = ("days", "shortest", "longest", "cut")


def _shown(name: str, value: FactValue) -> str:
    return days_words(value) if name in _DAYS and isinstance(value, Decimal) else fact_words(value)


def rule_title(rule_id: str) -> str:
    """The title of a rule set."""
    return rule_set(rule_id).title


def days_words(value: FactValue) -> str:
    """A time in days with one decimal at most; the cut-offs of rules stand as they are written."""
    if not isinstance(value, Decimal):
        return fact_words(value)
    exponent = value.as_tuple().exponent
    return plain_number(value if isinstance(exponent, int) and exponent >= -2 else value.quantize(Decimal("0.1")))


def kinetics_words(change: Change) -> str:
    """The doubling or halving time of two values, with its limits; empty where they give none."""
    words = []
    days = None if change.days is None else days_words(change.days)
    if change.direction is Direction.RISING and days is not None:
        words.append(_("doubling time %(days)s days") % {"days": days})
    elif change.direction is Direction.FALLING and days is not None:
        words.append(_("halving time %(days)s days") % {"days": days})
    if change.at_most:
        words.append(f"({_('at most')})")
    if change.shortest:
        longest = "∞" if change.longest is None else days_words(change.longest)
        words.append(f"({_('95 %% limits from the assay') % {}} {days_words(change.shortest)}–{longest})")
    return " ".join(words)


def two_places(value: FactValue) -> str:
    """A change in log with two decimals."""
    return f"{value:.2f}" if isinstance(value, Decimal) else fact_words(value)


def why_class(assessment: ResponseAssessment, result: PcrResult) -> Reason:
    """Why a class of a result stands."""
    return class_reason(assessment, result)


def fact_words(value: FactValue) -> str:
    """A fact as people read it."""
    if value is None:
        return "–"
    if isinstance(value, Decimal):
        return plain_number(value) if len(value.as_tuple().digits) <= MOST_DIGITS else significant(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(_CODES.get(str(value), value))


def criterion_value_words(value: FactValue) -> str:
    """The value of a criterion, or what is asked for."""
    known = _CRITERION_CODES.get(value) if isinstance(value, str) else None
    return str(known) if known else fact_words(value)


def unit_word(unit: str) -> str:
    """The unit of a criterion."""
    words = {"months": _("months"), "days": _("days"), "drugs": _("drugs"), "tests": _("tests")}
    return words.get(unit, unit)


def operator_word(operator: str) -> str:
    """How a value is compared with what is asked for."""
    signs = {">=": "≥", "<=": "≤", "!=": "≠", "in": _("one of")}
    return signs.get(operator, operator)


def plan_word(state: str) -> str:
    """Where the next sample stands."""
    words = {
        "planned": _("planned"),
        "due": _("due now"),
        "overdue_sample": _("sample overdue"),
        "awaiting_result": _("result awaited"),
        "overdue_result": _("result overdue"),
        "not_followed": _("not followed at present"),
        "ended": _("no samples planned any more"),
        "no_plan": _("no plan"),
    }
    return words.get(state, state)


def milestone_word(status: str) -> str:
    """The status of a milestone, in the words of its rule set."""
    words = {
        "optimal": _("optimal"),
        "warning": _("warning"),
        "failure": _("failure"),
        "sensitive": _("sensitive"),
        "sensitive_goal_dependent": _("sensitive, depends on the goal"),
        "possible_resistance": _("possible resistance"),
        "resistant": _("resistant"),
        "no_sample": _("no sample in the window"),
        "not_yet_due": _("not yet due"),
        "unassigned": _("no line for this value"),
        "undecided": _("undecided"),
        "off_treatment": _("off treatment"),
    }
    return words.get(status, status)


def population_word(population: str) -> str:
    """Whom a rule set speaks of."""
    words = {"adult": _("adults"), "paediatric": _("children"), "any": _("any age")}
    return words.get(population, population)


def evidence_word(evidence: str) -> str:
    """How well the source of a rule set is known."""
    words = {
        "S": _("read in the source"),
        "S2": _("read in a secondary source"),
        "unconfirmed": _("not confirmed"),
        "derived": _("computed from sources"),
        "design": _("our own choice"),
    }
    return words.get(evidence, evidence)


def criterion_word(name: str) -> str:
    """The name of a criterion."""
    words = {
        "chronic_phase": _("first chronic phase only"),
        "patient_agreement": _("motivation and agreement"),
        "international_scale": _("PCR on the International Scale, of quality"),
        "sensitivity": _("sensitivity of the assay"),
        "turnaround": _("turnaround of results"),
        "accepts_schedule": _("accepts the schedule after the stop"),
        "line": _("line of treatment"),
        "no_prior_failure": _("no treatment failure before"),
        "transcript": _("transcript on the International Scale"),
        "tki_duration": _("length of TKI treatment"),
        "tki_duration_second_generation": _("length of TKI treatment"),
        "tki_duration_optimal": _("length of TKI treatment, optimal"),
        "dmr_duration": _("length of deep response"),
        "dmr_duration_optimal": _("length of deep response, optimal"),
        "depth_at_stop": _("depth of response at the stop"),
        "risk_not_high": _("risk group not high"),
        "test_density": _("density of tests"),
        "pregnancy": _("no pregnancy"),
        "transplant": _("no allogeneic transplant"),
    }
    return words.get(name, name.replace("_", " "))


def criteria_words(criteria: Iterable[str]) -> list[str]:
    """The names of criteria, each once."""
    return list(dict.fromkeys(criterion_word(name) for name in criteria))


def parameters_words(parameters: Iterable[str]) -> list[str]:
    """The names of parameters of a rule set, each once; a test holds that none is without words."""
    words = {
        "minimum_age_at_stop": _("least age at the stop"),
        "diagnosed_before_age": _("age at diagnosis"),
        "last_sample_within_months": _("how old the last sample may be"),
        "max_dips": _("values outside deep response that are borne"),
        "control_gene": _("control gene"),
        "month_2_window_days": _("window of the doubling time at month 2"),
        "halving_window_days": _("window of the halving time"),
        "baseline_days_before": _("days before the start that count as baseline"),
        "baseline_days_after": _("days after the start that count as baseline"),
        "projection_horizon_days": _("how far is projected"),
        "date_of_event": _("day of the event"),
        "max_gap_days": _("longest gap between two values in a row"),
        "restart_confirms": _("a restart confirms the loss"),
        "any_time_after_months": _("from when on “at any time” counts"),
        "milestone_window_days": _("window around a milestone"),
        "statuses": _("optimal, warning, failure"),
        "month_3": _("month 3"),
        "month_6": _("month 6"),
        "month_12": _("month 12"),
        "month_18": _("month 18"),
        "any_time": _("at any time"),
        "confirm_month_3": _("repeat of the value of month 3"),
        "loss_of_mmr": _("loss of MMR"),
        "mutation": _("mutation"),
        "cap_positive_by_control": _("control copies limit the class of a detected sample"),
        "low_positive_floor_copies": _("floor of few copies"),
        "mismatch_fraction": _("when a reported and a computed value disagree"),
        "result_overdue_days": _("when a result is overdue"),
        "sample_match_days": _("which result answers a sampling"),
        "followed_within_days": _("for how long a patient counts as followed"),
        "off_treatment": _("sampling off treatment"),
        "after_loss_of_mr4": _("sampling after loss of MR4"),
        "after_loss_of_mmr": _("sampling after loss of MMR"),
        "after_restart_until_mmr": _("sampling after a restart until MMR"),
        "after_restart_in_mmr": _("sampling after a restart in MMR"),
        "on_treatment_until_mmr": _("sampling on treatment until MMR"),
        "on_treatment_in_mmr": _("sampling on treatment in MMR"),
    }
    return list(dict.fromkeys(words[name] if name in words else criterion_word(name) for name in parameters))


def state_word(state: str) -> str:
    """Whether a criterion, or all together, is met."""
    words = {
        "met": _("met"),
        "not_met": _("not met"),
        "not_known": _("not known"),
        "not_applicable": _("does not apply"),
    }
    return words.get(state, state)


def month_two_word(group: str) -> str:
    """The group of month 2."""
    words = {
        "fast": _("doubling fast"),
        "slow": _("rising slowly"),
        "not_rising": _("not rising"),
        "not_known": _("not known"),
    }
    return words.get(group, group)
