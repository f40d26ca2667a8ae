"""Which criteria before stopping a TKI a patient meets on a (planned) day, by a published rule set.

Adult rule sets do not apply below their age at the stop, the paediatric one not from its age at diagnosis on, and the
answer says so (register D19). A rule set of which our sources do not give every criterion is never "met": the answer
lists what is not in our sources. What is on record against any stop (an advanced phase, a failure, a mutation, a
transcript off the scale, a pregnancy, a transplant) counts against every set, whether or not the set asks for it.
Nothing here advises to stop or to go on: a clinician decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.series import Assessed, Series, assess, time_points
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.stopping.criteria import criteria
from monitoring.domain.stopping.criterion import Criterion, EligibilityFacts, State
from monitoring.domain.stopping.vetoes import vetoes
from monitoring.domain.vocabulary.dates import PartialDate, add_months, completed_years
from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.reasons import Reason

OPTIONAL = "optimal"
POPULATION_LINES = ("minimum_age_at_stop", "diagnosed_before_age")


class Overall(StrEnum):
    """All criteria of a rule set together."""

    MET = "met"
    NOT_MET = "not_met"
    NOT_KNOWN = "not_known"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The criteria of one rule set on one day.

    ``overall`` counts mandatory and minimal criteria, ``optimal`` those that a source calls optimal (None: it has
    none). ``earliest_on`` is the first day on which all that count would be met if treatment and response hold; None
    where waiting is not enough or something is not known. ``reason`` is set where the rule set does not (or may not)
    apply. ``not_in_our_sources`` are the criteria that no text we read gives; ``overall`` is then at best not known.
    """

    rule_id: str
    stop_on: date
    overall: Overall
    optimal: State | None
    criteria: tuple[Criterion, ...]
    earliest_on: date | None
    reason: Reason | None = None
    not_in_our_sources: tuple[str, ...] = ()


def facts_of_series(series: Series, stop_on: date, assessed: Sequence[Assessed] | None = None) -> EligibilityFacts:
    """The facts that a series gives; ``dataclasses.replace`` adds those from the patient's record or from a person."""
    items = assessed if assessed is not None else assess(series)
    counted = [i for i in items if i.counts and i.result.collected_on <= stop_on]
    return EligibilityFacts(
        stop_on=stop_on,
        courses=series.courses,
        points=time_points(items),
        facts=series.facts,
        first_dmr_on=series.first_dmr_on,
        transcript=counted[-1].result.measurement.transcript if counted else EligibilityFacts(stop_on).transcript,
        never_detected=bool(counted) and Flag.TRANSCRIPT_UNKNOWN in counted[-1].score.flags,
        assay_sensitivity=counted[-1].score.sensitivity.as_class if counted else None,
    )


def eligibility(facts: EligibilityFacts, rules: RuleSet) -> Eligibility:
    """Every criterion of a rule set on the day of the stop, and all of them together."""
    applies, reason, from_on = _population(facts, rules)
    if applies is False:
        return Eligibility(rules.id, facts.stop_on, Overall.NOT_APPLICABLE, None, (), from_on, reason)
    asked = tuple(criteria(facts, rules))
    listed = (*vetoes(facts, {c.id for c in asked}), *asked)
    needed = [c for c in listed if c.level != OPTIONAL]
    optimal = [c for c in listed if c.level == OPTIONAL]
    gaps = tuple(name for name in rules.not_in_our_sources if name not in POPULATION_LINES)
    overall = Overall(_together(needed))
    if (applies is None or rules.not_in_our_sources) and overall is Overall.MET:
        overall = Overall.NOT_KNOWN
    return Eligibility(
        rule_id=rules.id,
        stop_on=facts.stop_on,
        overall=overall,
        optimal=_together(optimal) if optimal else State.NOT_KNOWN if gaps else None,
        criteria=listed,
        earliest_on=None if applies is None or rules.not_in_our_sources else _earliest(needed),
        reason=reason,
        not_in_our_sources=gaps,
    )


def _together(counted: Sequence[Criterion]) -> State:
    """Not met where one criterion is not met; else not known where one is not known; else met."""
    states = {c.state for c in counted}
    return next((s for s in (State.NOT_MET, State.NOT_KNOWN) if s in states), State.MET)


def _earliest(needed: Sequence[Criterion]) -> date | None:
    """The day on which the last criterion is met; None where one is not known or cannot be met by waiting."""
    if any(c.state is State.NOT_KNOWN or (c.state is State.NOT_MET and c.earliest_on is None) for c in needed):
        return None
    return max((c.earliest_on for c in needed if c.earliest_on is not None), default=None)


# --- to whom a rule set applies -----------------------------------------------------------------------------------


def _population(facts: EligibilityFacts, rules: RuleSet) -> tuple[bool | None, Reason | None, date | None]:
    """Whether the rule set applies to this person (None: not known), why not, and the birthday from which it does."""
    minimum = rules.optional("minimum_age_at_stop", int)
    if minimum is not None:
        ages = ages_on(facts.born, PartialDate(facts.stop_on), facts.age_at_stop)
        refused = rules.reason("minimum_age_at_stop", "eligibility.population.under_age", limit=minimum)
        if ages is not None and ages[1] < minimum:
            return False, refused, birthday(facts.born, minimum) if facts.born else None
        if ages is None or ages[0] < minimum:
            return None, rules.reason("minimum_age_at_stop", "eligibility.population.age_not_known"), None
    before = rules.optional("diagnosed_before_age", int)
    if before is not None:
        return _diagnosed_before(facts, before, rules)
    if minimum is None and any(rules.is_silent(line) for line in POPULATION_LINES):
        line = next(line for line in POPULATION_LINES if rules.is_silent(line))
        return None, rules.reason(line, "eligibility.population.not_in_our_sources"), None
    return True, None, None


def _diagnosed_before(
    facts: EligibilityFacts, age: int, rules: RuleSet
) -> tuple[bool | None, Reason | None, date | None]:
    name = "diagnosed_before_age"
    ages = ages_on(facts.born, facts.diagnosed, facts.age_at_diagnosis)
    if ages is not None and ages[0] >= age:
        return False, rules.reason(name, "eligibility.population.diagnosed_later", limit=age), None
    if ages is None or ages[1] >= age:
        return None, rules.reason(name, "eligibility.population.age_not_known"), None
    return True, None, None


def ages_on(born: PartialDate | None, on: PartialDate | None, stated: int | None) -> tuple[int, int] | None:
    """The lowest and highest age in completed years that the dates allow; the stated age where a date is missing."""
    if born is not None and on is not None:
        return completed_years(born.latest, on.earliest), completed_years(born.earliest, on.latest)
    return None if stated is None else (stated, stated)


def birthday(born: PartialDate, years: int) -> date:
    """The day on which an age is certainly completed; 29 February completes a year on 1 March of a common year."""
    on = add_months(born.latest, 12 * years)
    return on if completed_years(born.latest, on) >= years else on.replace(month=3, day=1)
