"""Codes and figures of cohorts as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from monitoring.wording.numbers import one_decimal

ABSENT = "–"


def factor_name(name: str) -> str:
    """The name of a factor with its unit."""
    words = {
        "dmr_months": _("deep response before the stop, months"),
        "tki_months": _("TKI treatment before the stop, months"),
        "time_to_dmr_months": _("time to deep response, months"),
        "age_at_diagnosis": _("age at diagnosis, years"),
        "age_at_stop": _("age at the stop, years"),
        "sex": _("sex"),
        "transcript": _("transcript"),
        "drug_at_stop": _("drug at the stop"),
        "risk_group": _("risk group"),
        "centre": _("centre"),
        "stop_year": _("year of the stop"),
        "elts_group": _("ELTS group"),
        "sokal_group": _("Sokal group"),
        "line_of_therapy": _("line of therapy at the stop"),
        "earlier_resistance": _("earlier resistance to a TKI"),
        "dose_reduction": _("dose reduced before the stop"),
        "mr4_5_at_month_3": _("MR4.5 at month 3"),
        "mr4_5_at_month_6": _("MR4.5 at month 6"),
        "mr4_5_at_month_12": _("MR4.5 at month 12"),
        "doubling_at_month_2": _("doubling time at month 2"),
        "fluctuation": _("fluctuation up to the landmark"),
        "withdrawal_syndrome": _("withdrawal syndrome up to the landmark"),
        "score": _("published score"),
    }
    return words.get(name, name)


def exclusion_word(code: str) -> str:
    """Why an episode is not a member."""
    words = {
        "NOT_IN_MMR_AT_STOP": _("not in MMR at the stop"),
        "NO_BASELINE_PCR": _("no evaluable PCR at the stop"),
        "NO_PCR_AFTER_STOP": _("no evaluable PCR after the stop"),
        "ONLY_BONE_MARROW_AFTER_STOP": _("only bone marrow after the stop"),
        "TRANSCRIPT_NEVER_SEEN": _("transcript never seen by the assay"),
        "OTHER_DRUG_AFTER_STOP": _("on interferon after the stop"),
        "DMR_ACROSS_GAP": _("deep response across more than 213 days without a sample"),
        "MISSING_INCLUSION_CRITERION": _("a criterion is not known"),
        "ENDED_BEFORE_LANDMARK": _("ended before the landmark"),
        "NOT_OBSERVED_TO_LANDMARK": _("not observed beyond the landmark"),
    }
    return words.get(code, code)


def criterion_step_word(criterion: str) -> str:
    """A step on the way from all times off treatment to the members."""
    words = {
        "episodes": _("all times off treatment"),
        "include.stop_reason": _("other reason of the stop"),
        "attempts": _("a later attempt"),
        "include.stopped_on": _("stopped outside the period"),
    }
    if criterion in words:
        return words[criterion]
    if criterion.startswith("include."):
        return _("outside the limits of: %(factor)s") % {"factor": factor_name(criterion.removeprefix("include."))}
    return exclusion_word(criterion)


def flow_step_words(step: Mapping[str, Any]) -> str:
    """A step with how many it excluded and how many are left."""
    taken = f": −{step['excluded']}" if step["excluded"] else ""
    return f"{criterion_step_word(step['criterion'])}{taken} → {step['left']}"


def read_apart_words(read_apart: Sequence[Mapping[str, Any]], members: int) -> str:
    """Members that are counted separately, by reason, each group out of all members."""
    words = _("%(why)s: %(n)s of %(all)s members, %(events)s with the event")
    groups = [
        words
        % {"why": exclusion_word(group["reason"]), "n": group["members"], "all": members, "events": group["events"]}
        for group in read_apart
    ]
    return "; ".join(groups) + "."


def median_words(median: Mapping[str, float | None]) -> str:
    """A median time in months with its interval; ``not reached`` for a bound or a median that is not reached."""
    if median["estimate"] is None:
        return _("not reached")
    upper = _("not reached") if median["upper"] is None else one_decimal(median["upper"])
    months, lower = one_decimal(median["estimate"]), one_decimal(median["lower"])
    return f"{months} {_('months')} ({lower} – {upper})"


def end_word(reason: str) -> str:
    """What ended a remission."""
    words = {
        "loss_of_mmr": _("loss of MMR"), "restart": _("restart"), "death": _("death"), "transplant": _("transplant"),
        "progression": _("progression"), "last_evaluable_pcr": _("still in remission"),
    }  # fmt: skip
    return words.get(reason, reason)


def moved_word(reason: str) -> str:
    """Why figures differ from the previous ones."""
    words = {
        "data": _("the data"),
        "definition": _("the definition of the cohort"),
        "figures_version": _("a correction of how the figures are computed"),
        "rule_versions": _("the rules of classification"),
        "library_versions": _("the versions of the libraries"),
    }
    return words.get(reason, reason)


def two_decimals(value: float | None) -> str:
    """A figure with two decimals; a very large one in scientific notation."""
    if value is None:
        return ABSENT
    return f"{value:.2f}" if abs(value) < 1e5 else f"{value:.1e}"


def p_value(value: float | None) -> str:
    """A P value: three decimals, and never zero."""
    if value is None:
        return ABSENT
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def interval_words(figure: Mapping[str, float | None]) -> str:
    """A hazard ratio with its limits; an upper limit that does not exist is infinite."""
    upper = "∞" if figure["upper"] is None else two_decimals(figure["upper"])
    return f"({two_decimals(figure['lower'])}–{upper})"


def direction_words(term: Mapping[str, Any]) -> str:
    """What a term compares: one group over another, or a number per unit."""
    per = {"per year": _("per year"), "per month": _("per month"), "per point": _("per point")}
    if term["reference"] is None:
        return f"{term['id']}, {per.get(term['level'], term['level'])}"
    return _("%(factor)s: %(level)s over %(reference)s") % {
        "factor": term["id"],
        "level": level_word(term["level"]),
        "reference": level_word(term["reference"]),
    }


def term_words(term: Mapping[str, Any]) -> str:
    """A term with its estimate, interval and P in one line."""
    if term["hr"] is None:
        return f"{direction_words(term)}: {_('not estimable')}"
    words = f"{direction_words(term)}: {two_decimals(term['hr'])} {interval_words(term)}, P {p_value(term['p'])}"
    if "per_year" in term:
        words += f"; {_('per year')} {two_decimals(term['per_year']['hr'])} {interval_words(term['per_year'])}"
    return words


def terms(factor: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The terms of a factor's own model: one, several, or none."""
    found = factor.get("cox")
    if found is None:
        return []
    return [found] if isinstance(found, Mapping) else list(found)


def level_word(label: str) -> str:
    """The name of a group: of a cut as it stands, of a category in words."""
    words = {
        "yes": _("yes"), "no": _("no"), "not known": _("not known"),
        "low": _("low"), "intermediate": _("intermediate"), "high": _("high"),
        "fast": _("doubling in less than 12.75 days"), "slow": _("doubling more slowly"), "not_rising": _("not rising"),
    }  # fmt: skip
    return words.get(label, label)


def share_words(rate: Mapping[str, Any]) -> str:
    """A proportion with its numbers and its exact limits."""
    if not rate["evaluable"]:
        return _("nobody is evaluable")
    shares = (f"{100 * rate[name]:.1f}" for name in ("proportion", "lower", "upper"))
    return f"{rate['kept']}/{rate['evaluable']} = " + "{} % ({}–{})".format(*shares)


def period_words(period: Mapping[str, Any]) -> str:
    """Over which months an odds ratio is taken, and of how many."""
    values = {"start": period["from_months"], "end": period["months"], "kept": period["kept"], "n": period["evaluable"]}
    if period["from_months"]:
        return _("in remission at month %(end)s, of those who were so at month %(start)s: %(kept)s of %(n)s") % values
    return _("in remission at month %(end)s: %(kept)s of %(n)s") % values


def odds_words(period: Mapping[str, Any]) -> str:
    """The odds ratios of a period, each with its direction, interval and P; or why there are none."""
    if not period["terms"]:
        why = {
            "separated": _("all or none of a group are in remission"),
            "no_event": _("everybody is in remission"),
            "all_events": _("nobody is in remission"),
        }
        return _("not estimable: %(why)s") % {"why": why.get(period["reason"], _("a factor is the same for everybody"))}
    return "; ".join(term_words({**term, "hr": term["or"]}) for term in period["terms"])


def bounds_words(bounds: Mapping[str, Any]) -> list[str]:
    """The comparison of a cut with all left-censored lengths on one side, and on the other."""
    side = {"best": _("all of them counted as having reached it"), "worst": _("none of them counted so")}
    told = []
    for name in ("best", "worst"):
        found = bounds[name]
        groups = ", ".join(f"{g['label']}: {g['events']}/{g['members']}" for g in found["groups"])
        test = "" if found["logrank"] is None else f"; {_('log-rank')} P {p_value(found['logrank']['p'])}"
        term = found["term"]
        ratio = "" if not term or term["hr"] is None else f"; HR {two_decimals(term['hr'])} {interval_words(term)}"
        told.append(f"{side[name]}: {groups}{test}{ratio}")
    return told


def funnel_limits(centre: Mapping[str, Any]) -> list[list[float]]:
    """The limits of a centre, the inner ones first."""
    return [centre["limits"]["0.95"], centre["limits"]["0.998"]]


def missing_words(factor: Mapping[str, Any]) -> str:
    """How many lack a factor, of them with the event, and left-censored."""
    words = _("%(n)s not known, %(events)s of them with the event") % {
        "n": factor["missing"], "events": factor["missing_with_event"],
    }  # fmt: skip
    if factor["left_censored"]:
        words += "; " + _("%(n)s only known to be longer") % {"n": factor["left_censored"]}
    uneven = [f"{g['id']} {g['label']} {g['missing']}/{g['members']}" for g in factor["by_group"] if g["missing"]]
    return words + (f" ({', '.join(uneven)})" if uneven else "")


def zph_words(tests: Sequence[Mapping[str, Any]]) -> str:
    """The exact tests of proportional hazards: of each factor, and of all together where there are several."""
    shown = tests[:1] if len(tests) == 2 else tests
    every = _("all together")
    told = [f"{every if t['id'] == 'GLOBAL' else t['id']}: P {p_value(t['p'])}" for t in shown]
    return "; ".join(told)


def dating_word(name: str) -> str:
    """How a loss is dated, which lies between two samples."""
    words = {
        "first_positive": _("at the first value above 0.1 % (as in the curve)"),
        "midpoint": _("in the middle between the two samples"),
        "last_negative": _("at the last sample in MMR"),
        "interval_censored": _("as an interval (Turnbull)"),
    }
    return words.get(name, name)


def dating_rows(dating: Mapping[str, Any]) -> list[tuple[str, dict[int, float | None]]]:
    """Each way to date a loss with its estimates by landmark."""
    ways = ("first_positive", "midpoint", "last_negative", "interval_censored")  # the database does not keep an order
    return [(name, {one["months"]: one["estimate"] for one in dating[name]["landmarks"]}) for name in ways]


def at_month(estimates: Mapping[int, float | None], months: int) -> float | None:
    """The estimate at a landmark, None where there is none."""
    return estimates.get(months)


def cut_words(found: Mapping[str, Any]) -> str:
    """What a cut that was chosen on these data is worth."""
    if "reason" in found:
        return _("the cut was chosen on these data: its P values are too small")
    words = _(
        "the cut was chosen on these data: its P values are too small; counting the search among %(n)s cuts,"
        " P %(p)s by %(permutations)s permutations"
    )
    return words % {"n": found["candidates"], "p": p_value(found["p"]), "permutations": found["permutations"]}


def mean_words(mean: Mapping[str, Any]) -> str:
    """Mean months, or their difference, with the interval; or why there is none."""
    if mean["estimate"] is None:
        return _("not given: nobody was observed that long")
    return f"{one_decimal(mean['estimate'])} ({one_decimal(mean['lower'])} – {one_decimal(mean['upper'])})"


def incidence_rows(risks: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The landmarks of the event and of what competes with it, side by side, as far as people were observed."""
    both = zip(risks["event"]["landmarks"], risks["competing_event"]["landmarks"], strict=True)
    return [pair for pair in both if pair[0]["estimate"] is not None]


def withheld_words(withheld: Sequence[Mapping[str, Any]]) -> str:
    """What is not shown, and why."""
    why = {
        "few_members": _("fewer than %(least)s members, some of them of centres in which you have no role"),
        "few_elsewhere": _("fewer than %(least)s members of centres in which you have no role"),
    }
    figures = {
        "flow": _("the flow of exclusions"),
        "counts.excluded": _("the excluded"),
        "read_apart": _("who is read apart"),
        "crude.ended": _("what ended the remissions"),
        "table1": _("the description of the members"),
        "outcomes_after_loss": _("what followed a loss"),
        "kaplan_meier.points": _("the steps of the curve"),
        "kaplan_meier.median_months": _("the median of the curve"),
        "kaplan_meier.restricted_mean": _("the mean time free of the event"),
        "univariate.restricted_mean": _("the mean times of the groups"),
        "follow_up": _("the median follow-up"),
        "cox": _("the Cox model"),
        "competing_risks": _("the cumulative incidence"),
        "maintenance": _("the proportions at fixed times"),
        "sustained": _("the sustained remissions"),
        "current_remission": _("the remissions after another stop"),
        "regained": _("the responses regained"),
        "missing": _("what is not known"),
        "odds_ratios": _("the odds ratios"),
        "competing_risks.points": _("the steps of the cumulative incidence"),
        "kaplan_meier.conditional": _("the curves of those who have stayed free of the event"),
    }
    sentences = []
    for entry in withheld:
        named = ", ".join(figures.get(name, name) for name in entry["figures"]) or _("all figures")
        sentences.append(f"{named}: {why[entry['code']] % entry}")
    return "; ".join(sentences)


def selection_word(method: str) -> str:
    """How the factors of a model were chosen."""
    words = {
        "given": _("given"),
        "backward, likelihood ratio": _("backward, likelihood ratio"),
        "backward, robust Wald": _("backward, robust Wald"),
    }
    return words.get(method, method)


def warning_words(warning: Mapping[str, str | int] | str) -> str:
    """A warning about a model; of snapshots that were frozen before warnings had codes, the words as they stand."""
    if isinstance(warning, str):
        return warning
    words = {
        "apart": _("covariate %(number)s is not estimable: a group has none of the %(events)s events, or all of them"),
        "separated": _(
            "%(factor)s, %(level)s against %(reference)s: not estimable, for one of the two has none of the %(events)s"
            " events, or all of them; read the penalised estimate"
        ),
        "converged_badly": _("the model converged badly; read its figures with care"),
        "few_events": _("%(events)s events for %(factors)s factors: fewer than ten events a factor"),
        "few_events_per_coefficient": _(
            "%(events)s events for %(coefficients)s coefficients: fewer than ten events for each"
        ),
        "dependent_attempts": _("attempts of one patient are not independent: the variance is by patient"),
        "not_estimable": _("not estimable: %(why)s"),
    }
    why = {
        "no_members": _("no members"),
        "no_covariate": _("no covariate"),
        "no_event": _("no event"),
        "not_converging": _("the model does not converge"),
        "constant_covariate": _("a covariate is the same for everybody"),
        "too_many_groups": _("too many groups for a model"),
        "redundant_covariate": _("a covariate follows from the others"),
        "all_events": _("everybody has the event"),
    }
    values = {name: why.get(str(value), value) for name, value in warning.items()}
    if "factor" in values:
        values["factor"] = factor_name(str(values["factor"]))
    return words.get(str(warning["code"]), str(warning["code"])) % values
