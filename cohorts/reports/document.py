"""A snapshot as a report: sections of paragraphs, tables and pictures, in the words of the language in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from cohorts.wording import figures as words
from monitoring.wording.numbers import one_decimal, percent


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; the first column names the rows."""

    caption: str
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)  # names of pictures


@dataclass(frozen=True, slots=True)
class Document:
    """The report: its title, the lines that say what it rests on, and its sections."""

    title: str
    basis: list[str]
    sections: list[Section]
    language: str


def document_of(shown: Mapping[str, Any], language: str) -> Document:
    """The report of a snapshot as somebody may see it; what is withheld is said and left out."""
    factors = enumerate(shown.get("univariate") or [], start=1)
    sections: Iterable[Section | None] = (
        _methods(shown), _flow(shown), _table1(shown), _curve(shown), _fixed_time(shown), _risks(shown),
        *(_factor(factor, number) for number, factor in factors), _model(shown), _again(shown), _dating(shown),
        _centres(shown), _missing(shown), _limits(shown),
    )  # fmt: skip
    return Document(shown["title"], _basis(shown), [one for one in sections if one is not None], language)


def _basis(shown: Mapping[str, Any]) -> list[str]:
    """What the figures rest on: the data, the rules, the versions, and who may not see all."""
    lines = [
        _("Data up to %(cutoff)s; computed %(done)s UTC; found current %(confirmed)s UTC.")
        % {
            "cutoff": shown["data_cutoff"],
            "done": shown["computed_at"][:16].replace("T", " "),
            "confirmed": shown["confirmed_at"][:16].replace("T", " "),
        },
        _("Rule %(rule)s, figures version %(figures)s, %(libraries)s; digest %(digest)s.")
        % {
            "rule": shown["rule_versions"]["response"],
            "figures": shown.get("figures_version", "–"),
            "libraries": ", ".join(f"{n} {v}" for n, v in sorted((shown.get("library_versions") or {}).items())) or "–",
            "digest": shown.get("digest", "–")[:16],
        },
    ]
    if "synthetic" in shown:
        lines.insert(0, shown["synthetic"])
    if shown.get("withheld"):
        lines.append(f"{_('Withheld:')} {words.withheld_words(shown['withheld'])}.")
    return lines


def _interval(figure: Mapping[str, Any]) -> str:
    if figure.get("estimate") is None:
        return words.ABSENT
    return f"{percent(figure['estimate'])} ({percent(figure['lower'])}–{percent(figure['upper'])})"


# --- what was done -----------------------------------------------------------------------------------------------


def _methods(shown: Mapping[str, Any]) -> Section:
    definition = shown["definition"]
    rule, dmr = definition["event_rule"], definition["dmr"]
    endpoint = {
        "loss_of_mmr": _("The event is loss of MMR: the first evaluable BCR::ABL1 above 0.1 % IS off treatment."),
        "mrfs": _("The event is loss of MMR or death."),
        "tfr": _("The event is loss of MMR, restart of a TKI for whatever reason, or death."),
        "tfs": _("The event is loss of MMR, restart of a TKI, progression, or death."),
    }[definition["endpoint"]]
    told = [
        _("Time is counted in days from the last day of the drug; a month is 30.4375 days."),
        endpoint,
        _("A loss counts from one value.")
        if rule["n_consecutive"] == 1
        else _("A loss counts once a second consecutive value or a restart confirms it."),
        _(
            "Whoever had no event is observed until the last evaluable PCR off treatment;"
            " preliminary results do not count."
        ),
        _("Deep response before the stop is the uninterrupted run of %(level)s that ends at the stop.")
        % {"level": dmr["level"].replace("_", ".")}
        if dmr["run"] == "uninterrupted"
        else _("Deep response before the stop counts from the first %(level)s.")
        % {"level": dmr["level"].replace("_", ".")},
    ]
    if definition.get("landmark_months"):
        told.append(
            _("Landmark analysis at month %(m)s: only who was observed and free of every end until then is a member.")
            % {"m": definition["landmark_months"]}
        )
    told.append(
        _(
            "Curves are Kaplan-Meier with Greenwood's variance and %(level)s %% intervals on the scale %(transform)s;"
            " groups are compared by the log-rank test; hazard ratios are of Cox models with %(ties)s ties, tested for"
            " proportional hazards exactly (Grambsch and Therneau); a group without an event gets Firth's penalised"
            " estimate; where something else may end the observation, cumulative incidence is Aalen-Johansen,"
            " compared by Gray's test and modelled by Fine and Gray. Proportions have exact (Clopper-Pearson) limits."
            " The methods agree with R (survival, cmprsk) to ten digits; lifelines fits the same rows as a second"
            " witness."
        )
        % {
            "level": percent(definition["confidence"]["level"]),
            "transform": definition["confidence"]["transform"],
            "ties": definition["model"]["ties"],
        }
    )
    return Section(_("Methods"), [" ".join(told)])


def _flow(shown: Mapping[str, Any]) -> Section | None:
    if not shown.get("flow"):
        return None
    rows = [
        [words.criterion_step_word(step["criterion"]), str(step["excluded"] or ""), str(step["left"])]
        for step in shown["flow"]
        if step["excluded"] or step["criterion"] == "episodes"
    ]
    head = [_("step"), _("excluded"), _("left")]
    return Section(_("From all times off treatment to the members"), tables=[Table("", head, rows)])


def _table1(shown: Mapping[str, Any]) -> Section | None:
    found = shown.get("table1")
    if not found:
        return None
    rows = []
    for name in ("age_at_diagnosis", "age_at_stop", "dmr_months", "tki_months", "time_to_dmr_months"):
        one = found[name]
        middle = f"{one_decimal(one['median'])} ({one_decimal(one['q1'])}, {one_decimal(one['q3'])})"
        rows.append([words.factor_name(name), middle, f"n {one['n']}"])
    follow_up = found["follow_up_months"]
    quartiles = f"({one_decimal(follow_up['q1'])}, {one_decimal(follow_up['q3'])})"
    rows.append([_("follow-up, months"), f"{one_decimal(follow_up['median'])} {quartiles}", f"n {follow_up['n']}"])
    for name in ("sex", "transcript", "risk_group", "drug_at_stop"):
        share = ", ".join(f"{words.level_word(level)} {n}" for level, n in sorted(found[name].items()))
        rows.append([words.factor_name(name), share, ""])
    caption = _("Median (quartiles by (n + 1)p), or numbers")
    return Section(_("Members"), tables=[Table(caption, ["", "", ""], rows)])


# --- figures -----------------------------------------------------------------------------------------------------


def _curve(shown: Mapping[str, Any]) -> Section | None:
    if "counts" not in shown:
        return None
    counts, crude, curve = shown["counts"], shown["crude"], shown["kaplan_meier"]
    told = [
        _("%(members)s members, %(events)s events, %(censored)s censored.") % counts,
        _(
            "Crude proportion in remission at the last observation: %(kept)s/%(all)s = %(share)s %%"
            " (exact %(low)s–%(high)s)."
        )
        % {
            "kept": crude["in_remission"],
            "all": crude["members"],
            "share": percent(crude["proportion"]),
            "low": percent(crude["lower"]),
            "high": percent(crude["upper"]),
        },
    ]
    if curve.get("cause_specific"):
        told.append(_("The curve is cause-specific: who ended by something else counts as censored on that day."))
    if curve.get("median_months"):
        told.append(f"{_('Median time to the event (Kaplan-Meier)')}: {words.median_words(curve['median_months'])}.")
    mean = curve.get("restricted_mean")
    if mean:
        told.append(
            _("Mean months free of the event among the first %(m)s: %(mean)s.")
            % {"m": mean["months"], "mean": words.mean_words(mean)}
        )
    follow_up = shown.get("follow_up") or {}
    if follow_up.get("median_months") is not None:
        told.append(_("Median follow-up by reverse Kaplan-Meier: %s months.") % one_decimal(follow_up["median_months"]))
    rows = [
        [str(one["months"]), _interval(one), str(one["at_risk"]), str(one["events"]), str(one["censored"])]
        for one in curve["landmarks"]
        if one["estimate"] is not None
    ]
    head = [_("month"), _("Kaplan-Meier, %"), _("at risk"), _("events"), _("censored")]
    table = Table(f"{percent(curve['level'])} % {_('interval')}, {curve['transform']}", head, rows)
    return Section(_("Remission after the stop"), told, [table] if rows else [], ["kaplan-meier"])


def _fixed_time(shown: Mapping[str, Any]) -> Section | None:
    rates = [rate for rate in shown.get("maintenance") or [] if rate["had_time"]]
    if not rates:
        return None
    rows = [[str(rate["months"]), words.share_words(rate), str(rate["had_time"])] for rate in rates]
    told = []
    if shown.get("sustained"):
        told.append(
            _("Sustained for %(m)s months off treatment, a restart or a death counted as failure: %(share)s.")
            % {"m": shown["sustained"]["months"], "share": words.share_words(shown["sustained"])}
        )
    head = [_("month"), _("in remission, exact limits"), _("had the time")]
    caption = _("Among those who had the time and whose state is known; not Kaplan-Meier")
    return Section(_("At fixed times"), told, [Table(caption, head, rows)])


def _risks(shown: Mapping[str, Any]) -> Section | None:
    risks = shown.get("competing_risks")
    if not risks:
        return None
    rows = [
        [str(event["months"]), _interval(event), _interval(other), str(event["at_risk"])]
        for event, other in words.incidence_rows(risks)
    ]
    head = [_("month"), _("the event, %"), _("something else first, %"), _("at risk")]
    return Section(_("Cumulative incidence"), [], [Table("", head, rows)], ["cumulative-incidence"])


def _factor(factor: Mapping[str, Any], number: int) -> Section | None:
    if factor.get("warnings") is None:  # withheld
        return None
    title = words.factor_name(factor["name"])
    if factor["cut"] is not None:
        title += " · " + _("cut at %s") % factor["cut"]
    told = list(_factor_words(factor))
    landmarks = factor["groups"][0]["landmarks"] if factor["groups"] else []
    rows = [
        [
            words.level_word(group["label"]), str(group["members"]), str(group["events"]),
            f"{group['crude']['in_remission']}/{group['crude']['members']} = {percent(group['crude']['proportion'])}",
            *(percent(one["estimate"]) for one in group["landmarks"]),
        ]
        for group in factor["groups"]
    ]  # fmt: skip
    head = [_("group"), _("members"), _("events"), _("crude, in remission, %")]
    head += [f"KM {one['months']}" for one in landmarks]
    pictures = [f"factor-{number}", f"spline-{number}"]
    return Section(title, told, [Table("", head, rows)] if rows else [], pictures)


def _factor_words(factor: Mapping[str, Any]) -> Iterable[str]:
    if factor["excluded_missing"]:
        yield _("%s not known.") % factor["excluded_missing"]
    tests = []
    for name, word in (("logrank", _("log-rank")), ("logrank_stratified", _("log-rank, stratified")), ("gray", "Gray")):
        if factor.get(name):
            tests.append(f"{word} P {words.p_value(factor[name]['p'])}")
    for name, word in (("fisher_p", _("Fisher's exact")), ("chi2_p", "χ²"), ("yates_p", _("χ² with Yates"))):
        if factor[name] is not None:
            tests.append(f"{word} P {words.p_value(factor[name])}")
    if tests:
        yield "; ".join(tests) + "."
    if factor.get("cut_chosen_on_data"):
        yield words.cut_words(factor["cut_chosen_on_data"]) + "."
    for label, terms in (
        (_("Hazard ratio, Cox"), words.terms(factor)),
        (_("Hazard ratio, Firth, profile limits"), factor.get("firth") or []),
        (_("Subdistribution hazard ratio, Fine and Gray"), factor.get("fine_gray") or []),
    ):
        for term in terms:
            yield f"{label}: {words.term_words(term)}."
    for period in factor.get("odds_ratios") or []:
        if period["terms"]:
            yield f"{_('Odds ratio of remission')}, {words.period_words(period)}: {words.odds_words(period)}."
    if factor.get("zph"):
        yield f"{_('Proportional hazards')}: {words.zph_words(factor['zph'])}."
    for warning in factor["warnings"]:
        yield words.warning_words(warning) + "."


def _model(shown: Mapping[str, Any]) -> Section | None:
    model = shown.get("cox")
    if not model or not model["terms"]:
        return None
    rows = [[words.direction_words(t), *_estimate_cells(t)] for t in model["terms"]]
    told = [words.warning_words(warning) + "." for warning in model["warnings"]]
    told += [f"{_('Firth, profile limits')}: {words.term_words(t)}." for t in model.get("firth") or []]
    if model.get("zph"):
        told.append(f"{_('Proportional hazards')}: {words.zph_words(model['zph'])}.")
    head = [_("term"), _("hazard ratio"), _("interval"), "P"]
    caption = _("%(n)s members with all factors known; selection: %(how)s") % {
        "n": model["selection"]["members"],
        "how": words.selection_word(model["selection"]["method"]),
    }
    return Section(_("Cox model of several factors"), told, [Table(caption, head, rows)])


def _estimate_cells(term: Mapping[str, Any]) -> list[str]:
    if term["hr"] is None:
        return [_("not estimable"), "", ""]
    return [words.two_decimals(term["hr"]), words.interval_words(term), words.p_value(term["p"])]


def _again(shown: Mapping[str, Any]) -> Section | None:
    current = shown.get("current_remission")
    if not current or not current["landmarks"]:
        return None
    rows = [
        [str(one["months"]), _interval(one), f"{one['in_remission']}/{one['observed']}"] for one in current["landmarks"]
    ]
    told = []
    regained = shown.get("regained")
    if regained and regained["restarted_after_loss"]:
        for name, word in (("mmr", _("MMR")), ("dmr", _("deep response"))):
            found = regained[name]
            told.append(
                _("%(what)s regained after a restart for a loss: %(n)s of %(all)s, median %(median)s.")
                % {"what": word, "n": found["regained"], "all": found["observed"],
                   "median": words.median_words(found["median_months"])}
            )  # fmt: skip
    head = [_("month"), _("off treatment and in MMR, %"), _("of those observed")]
    return Section(_("Off treatment and in MMR, also after another stop"), told, [Table("", head, rows)])


def _dating(shown: Mapping[str, Any]) -> Section | None:
    dating = shown.get("dating_of_losses")
    if not dating:
        return None
    months = [one["months"] for one in shown["kaplan_meier"]["landmarks"]]
    rows = [
        [words.dating_word(name), *(percent(estimates.get(m)) for m in months)]
        for name, estimates in words.dating_rows(dating)
    ]
    head = [_("the loss is dated"), *(str(m) for m in months)]
    return Section(_("How the date of a loss matters"), [], [Table(_("In remission by month, %"), head, rows)])


def _centres(shown: Mapping[str, Any]) -> Section | None:
    found = shown.get("by_centre")
    if not found:
        return None
    rows = []
    for one in found["centres"]:
        if one["evaluable"] is None:
            rows.append([one["centre"], _("fewer than five"), "", ""])
            continue
        limits = (f"{percent(low)}–{percent(high)}" for low, high in words.funnel_limits(one))
        rows.append([one["centre"], f"{one['lost']}/{one['evaluable']} = {percent(one['proportion'])}", *limits])
    head = [_("centre"), _("lost by month 12, %"), _("limits 95 %"), _("limits 99.8 %")]
    return Section(_("Centres side by side"), [], [Table("", head, rows)], ["centres"])


def _missing(shown: Mapping[str, Any]) -> Section | None:
    found = shown.get("missing")
    if not found or not found["factors"]:
        return None
    rows = [[factor["id"], words.missing_words(factor)] for factor in found["factors"]]
    told = _("%(complete)s of %(members)s members have every factor; each model takes those who have its factors.")
    return Section(_("What is not known"), [told % found], [Table("", ["", ""], rows)])


def _limits(shown: Mapping[str, Any]) -> Section:
    told = [
        _("These are figures of people who stopped, not of those who did not; no rule of stopping follows from them."),
        _("A loss is seen only at a sample: cohorts with other schedules are not compared by their curves."),
    ]
    if "counts" in shown and shown["counts"]["events"] < 10:
        told.append(_("Fewer than ten events: no estimate here is more than a first look."))
    return Section(_("How to read this"), [" ".join(told)])


def as_data(document: Document, pictures: Sequence[str]) -> dict[str, Any]:
    """The report as the template reads it; a picture that could not be drawn is left out."""
    return {
        "title": document.title,
        "basis": document.basis,
        "language": document.language.split("-", maxsplit=1)[0],
        "sections": [
            {
                "title": section.title,
                "paragraphs": section.paragraphs,
                "tables": [{"caption": t.caption, "head": t.head, "rows": t.rows} for t in section.tables],
                "pictures": [f"{name}.svg" for name in section.pictures if name in pictures],
            }
            for section in document.sections
        ],
    }
