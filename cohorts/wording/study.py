"""The published figures of the study beside what today's data say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from cohorts.domain import study
from cohorts.wording import figures as words
from monitoring.wording.numbers import one_decimal, percent


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: what it is, as published, and as it comes out today (several readings of one figure)."""

    what: str
    published: str
    today: list[str]


def lines_of(shown: Mapping[str, Any]) -> list[Line]:
    """Every published figure beside today's reading, as far as a person may see it."""
    return [*_curve(shown), *_cuts(shown), *_lengths(shown), *_together(shown), *_open(shown), *_medians(shown)]


def _by_id(shown: Mapping[str, Any], name: str, cut: int | None) -> Mapping[str, Any] | None:
    """The factor of that name and cut, None where it is not asked for or withheld."""
    for factor in shown.get("univariate") or []:
        if factor["name"] == name and factor["cut"] == cut and factor.get("warnings") is not None:
            found: Mapping[str, Any] = factor
            return found
    return None


def _curve(shown: Mapping[str, Any]) -> Iterator[Line]:
    crude = shown.get("crude")
    if crude and crude["members"]:
        today = f"{crude['in_remission']}/{crude['members']} = {percent(crude['proportion'])} %"
        yield Line(
            _("crude proportion in remission at the last observation"),
            f"{study.IN_REMISSION}/{study.MEMBERS} = {100 * study.IN_REMISSION / study.MEMBERS:.1f} %",
            [f"{today} ({_('exact')} {percent(crude['lower'])}–{percent(crude['upper'])})"],
        )
    read = {one["months"]: one for one in shown.get("kaplan_meier", {}).get("landmarks", [])}
    for months, published in study.KAPLAN_MEIER_PERCENT.items():
        one = read.get(months)
        if one is None or one["estimate"] is None:
            today = words.ABSENT
        else:
            limits = f"{percent(one['lower'])}–{percent(one['upper'])}"
            today = f"{percent(one['estimate'])} % ({limits}), {_('at risk')} {one['at_risk']}"
        yield Line(_("in remission at month %s, Kaplan-Meier") % months, f"{published:.1f} %", [today])


def _cuts(shown: Mapping[str, Any]) -> Iterator[Line]:
    for name, cut, factor_id in (
        ("dmr_months", study.DMR_CUT_MONTHS, study.DMR_CUT), ("tki_months", study.TKI_CUT_MONTHS, study.TKI_CUT),
    ):  # fmt: skip
        factor = _by_id(shown, name, cut)
        title = f"{words.factor_name(name)}, {_('cut at %s') % cut}"
        if factor is None:
            continue
        if factor_id == study.DMR_CUT:
            ratio, lower, upper = study.HAZARD_RATIO
            published = f"{ratio} ({lower}–{upper}), P {study.HAZARD_P}"
            today = [f"Cox: {_exactly(term)}" for term in words.terms(factor)]
            today += [f"{_('Firth, profile limits')}: {_exactly(term)}" for term in factor.get("firth") or []]
            yield Line(f"{title}: {_('hazard ratio')}", published, today)
        shares = " / ".join(f"{share} %" for share in study.IN_REMISSION_BY_CUT[factor_id])
        groups = [
            f"{group['label']}: {group['crude']['in_remission']}/{group['crude']['members']}"
            f" = {percent(group['crude']['proportion'])} %"
            for group in factor["groups"]
        ]
        yield Line(f"{title}: {_('crude, in remission')}", shares, groups)
        tests = [] if not factor["logrank"] else [f"{_('log-rank')} P {words.p_value(factor['logrank']['p'])}"]
        tests += [f"Fisher P {words.p_value(factor['fisher_p'])}", f"Yates P {words.p_value(factor['yates_p'])}"]
        if factor.get("cut_chosen_on_data"):
            tests.append(words.cut_words(factor["cut_chosen_on_data"]))
        yield Line(f"{title}: P", f"{study.P_OF_CUTS[factor_id]}", tests)


def _exactly(term: Mapping[str, Any]) -> str:
    """A hazard ratio with the three decimals of the paper."""
    if term["hr"] is None:
        return _("not estimable")
    upper = "∞" if term["upper"] is None else f"{term['upper']:.3f}"
    return f"{term['hr']:.3f} ({term['lower']:.3f}–{upper}), P {words.p_value(term['p'])}"


def _lengths(shown: Mapping[str, Any]) -> Iterator[Line]:
    for name in (study.DMR, study.TKI):
        factor = _by_id(shown, name, None)
        if factor is None:
            continue
        per_year = [
            f"{_('hazard ratio per year')} {words.two_decimals(term['per_year']['hr'])}"
            f" {words.interval_words(term['per_year'])}, P {words.p_value(term['p'])}"
            for term in words.terms(factor)
            if "per_year" in term
        ]
        if factor.get("spline"):
            per_year.append(_("curve against a straight line: P %s") % words.p_value(factor["spline"]["bend"]["p"]))
        yield Line(f"{words.factor_name(name)}, {_('as a number')}", _("not given"), per_year)


def _together(shown: Mapping[str, Any]) -> Iterator[Line]:
    model = shown.get("cox")
    if not model or len(model["terms"]) < 2:
        return
    today = [words.term_words(term) for term in model["terms"]]
    today += [f"{_('Firth, profile limits')}: {words.term_words(t)}" for t in model.get("firth") or []]
    today += [words.warning_words(warning) for warning in model["warnings"]]
    yield Line(_("both durations in one model"), _("only deep response stayed"), today)
    if model.get("zph"):
        yield Line(_("proportional hazards, exact test"), _("not given"), [words.zph_words(model["zph"])])


def _open(shown: Mapping[str, Any]) -> Iterator[Line]:
    if "counts" not in shown:
        return
    risks = shown.get("competing_risks")
    if risks:
        today = [
            f"{_('month')} {event['months']}: {percent(event['estimate'])} %"
            f" ({percent(event['lower'])}–{percent(event['upper'])})"
            for event, _other in words.incidence_rows(risks)
        ]
    else:
        today = [_("nothing else ended an observation: it is one minus the Kaplan-Meier estimate")]
    yield Line(_("cumulative incidence of the loss"), _("not given"), today)
    dating = shown.get("dating_of_losses")
    if dating:
        today = [
            f"{words.dating_word(name)}: {percent(estimates.get(36))} %"
            for name, estimates in words.dating_rows(dating)
        ]
        yield Line(_("in remission at month 36, by how a loss is dated"), _("not given"), today)


def _medians(shown: Mapping[str, Any]) -> Iterator[Line]:
    table = shown.get("table1")
    if not table:
        return
    found = {**table, "months_to_loss": (shown.get("outcomes_after_loss") or {}).get("months_to_loss")}
    for name, (median, low, high) in study.MEDIANS.items():
        one = found.get(name)
        if not one:
            continue
        title = {"follow_up_months": _("follow-up, months"), "months_to_loss": _("months to the loss")}.get(name)
        today = f"{one_decimal(one['median'])} ({one_decimal(one['q1'])}, {one_decimal(one['q3'])}), n {one['n']}"
        yield Line(
            f"{title or words.factor_name(name)}: {_('median (quartiles)')}", f"{median} ({low}, {high})", [today]
        )
