"""The form that builds a definition: every part of the file as a field, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cohorts.domain.definition import AGES, CATEGORIES, DURATIONS, LANDMARK_FACTORS, RISK_GROUPS, SCORE, YEARS
from cohorts.domain.definition_file import parse_definition
from cohorts.wording.figures import factor_name, level_word
from monitoring.domain.course.series import Drug, StopReason
from monitoring.domain.vocabulary.scale import DEPTH
from monitoring.models import choices

FACTOR_ROWS, MOST_FACTOR_ROWS = 8, 60
BOUNDED = (*AGES, "tki_months", "dmr_months")
FACTOR_NAMES = (*DURATIONS, *AGES, *YEARS, *CATEGORIES, *LANDMARK_FACTORS)
ONLY: dict[str, list[str]] = {
    "sex": ["F", "M", "X"],
    "risk_group": RISK_GROUPS,
    "drug_at_stop": [d.value for d in Drug],
}
WORDS = {"sex": dict(choices.SEX), "drug_at_stop": dict(choices.DRUG_WORD)}
Choices = list[tuple[str, str]]


def _names(values: Collection[Any], words: Mapping[str, Any] | None = None) -> Choices:
    return [(str(value), str((words or {}).get(str(value), value))) for value in values]


def _whole(label: str, least: int = 0) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=least)


class DefinitionForm(forms.Form):
    """A definition as fields. What the form does not show (scores, other bounds) is kept as it was."""

    slug = forms.SlugField(label=gettext_lazy("short name in addresses"), max_length=60)
    title = forms.CharField(label=gettext_lazy("title"), max_length=200)
    centre = forms.MultipleChoiceField(
        label=gettext_lazy("centres"), required=False, widget=forms.CheckboxSelectMultiple
    )
    stop_reason = forms.MultipleChoiceField(
        label=gettext_lazy("reasons of the stop"), widget=forms.CheckboxSelectMultiple, choices=()
    )
    stopped_from = forms.DateField(
        label=gettext_lazy("stopped from"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    stopped_to = forms.DateField(
        label=gettext_lazy("stopped to"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    min_class = forms.ChoiceField(label=gettext_lazy("response at the stop, at least"))
    window_days = forms.IntegerField(
        label=gettext_lazy("seen at the stop at most so many days before"), required=False, min_value=0
    )
    attempts = forms.ChoiceField(label=gettext_lazy("attempts"))
    endpoint = forms.ChoiceField(label=gettext_lazy("endpoint"))
    landmark_months = forms.IntegerField(
        label=gettext_lazy("landmark, months after the stop"), required=False, min_value=1, max_value=48
    )
    n_consecutive = forms.ChoiceField(label=gettext_lazy("values above 0.1 % that make a loss"))
    date_of_event = forms.ChoiceField(label=gettext_lazy("a confirmed loss is dated at"))
    restart_confirms = forms.BooleanField(label=gettext_lazy("a restart confirms a loss"), required=False)
    dmr_level = forms.ChoiceField(label=gettext_lazy("level of deep response"))
    dmr_run = forms.ChoiceField(label=gettext_lazy("deep response counts"))
    dmr_max_dips = forms.IntegerField(label=gettext_lazy("dips allowed in the run"), min_value=0, max_value=10)
    model = forms.ChoiceField(label=gettext_lazy("factors of the Cox model"))
    transform = forms.ChoiceField(label=gettext_lazy("scale of the intervals"))
    level = forms.ChoiceField(label=gettext_lazy("level of the intervals"))
    ties = forms.ChoiceField(label=gettext_lazy("ties"))
    penalised = forms.BooleanField(label=gettext_lazy("Firth's estimate beside every model"), required=False)

    def __init__(self, *args: Any, centres: Sequence[tuple[str, str]], is_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].disabled = not is_new
        shown = (sum(name.startswith("factor_") for name in fields) for fields in (self.initial, self.data))
        self.rows = min(MOST_FACTOR_ROWS, max(FACTOR_ROWS, *shown))
        self._choices(centres)
        for name in BOUNDED:
            for bound, word in (("ge", _("at least")), ("lt", _("below"))):
                self.fields[f"{name}_{bound}"] = _whole(f"{factor_name(name)}, {word}")
        for name, known in ONLY.items():
            self.fields[f"only_{name}"] = forms.MultipleChoiceField(
                label=_("only: %(factor)s") % {"factor": factor_name(name)},
                required=False,
                widget=forms.CheckboxSelectMultiple,
                choices=[(value, WORDS.get(name, {}).get(value) or level_word(value)) for value in known],
            )
        for row in range(self.rows):
            self._factor_row(row)

    def _choices(self, centres: Sequence[tuple[str, str]]) -> None:
        chosen: dict[str, Choices] = {
            "centre": list(centres),
            "stop_reason": _names(list(StopReason), dict(choices.STOP_REASON)),
            "min_class": _names([c.value for c in DEPTH if c.value != "NO_MMR"], dict(choices.RESPONSE_CLASS)),
            "attempts": [("first", _("the first attempt of each patient")), ("all", _("all attempts, descriptive"))],
            "endpoint": [
                ("loss_of_mmr", _("loss of MMR")), ("mrfs", _("loss of MMR or death (MRFS)")),
                ("tfr", _("loss, restart or death (TFR)")), ("tfs", _("loss, restart, progression or death (TFS)")),
            ],
            "n_consecutive": [("1", _("one")), ("2", _("two in a row, or one and a restart"))],
            "date_of_event": [("first", _("the first value")), ("confirming", _("the confirming value"))],
            "dmr_level": [("MR4", "MR4"), ("MR4_5", "MR4.5"), ("MR5", "MR5")],
            "dmr_run": [("uninterrupted", _("as the uninterrupted run at the stop")), ("first", _("from the first"))],
            "model": [("backward", _("found by backward selection")), ("given", _("those ticked above"))],
            "transform": _names(["log-log", "log", "linear"]),
            "level": [("0.95", "95 %"), ("0.9", "90 %"), ("0.99", "99 %")],
            "ties": [("efron", "Efron"), ("breslow", "Breslow")],
        }  # fmt: skip
        for name, values in chosen.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            # What stands is offered too, also where the form has no word for it.
            standing = self.initial.get(name)
            known = {value for value, _word in values}
            others = [v for v in (standing if isinstance(standing, list) else [standing]) if v and str(v) not in known]
            field.choices = [*values, *((str(value), str(value)) for value in others)]

    def _factor_row(self, row: int) -> None:
        number = row + 1
        self.fields[f"factor_{row}"] = forms.ChoiceField(
            label=_("factor %s") % number, required=False,
            choices=[("", "–"), *((name, factor_name(name)) for name in FACTOR_NAMES)],
        )  # fmt: skip
        self.fields[f"cut_{row}"] = _whole(_("cut of factor %s") % number, 1)
        self.fields[f"chosen_{row}"] = forms.BooleanField(label=_("cut chosen on these data"), required=False)
        self.fields[f"in_model_{row}"] = forms.BooleanField(label=_("in the Cox model"), required=False)
        self.fields[f"stratum_{row}"] = forms.BooleanField(label=_("stratum"), required=False)

    @property
    def factor_rows(self) -> list[list[forms.BoundField]]:
        """The fields of each row of the table of factors."""
        names = ("factor", "cut", "chosen", "in_model", "stratum")
        return [[self[f"{name}_{row}"] for name in names] for row in range(self.rows)]

    @property
    def bound_rows(self) -> list[list[forms.BoundField]]:
        """The lower and the upper bound of each factor that has bounds."""
        return [[self[f"{name}_ge"], self[f"{name}_lt"]] for name in BOUNDED]

    @property
    def restricts(self) -> bool:
        """Whether any field that leaves people out is set, or wrong: they are shown then."""
        names = [f"only_{name}" for name in ONLY] + [f"{name}_{bound}" for name in BOUNDED for bound in ("ge", "lt")]
        return any(self[name].value() not in (None, "", []) or self[name].errors for name in names)

    @property
    def only_fields(self) -> list[forms.BoundField]:
        """The categories that a cohort may be restricted to."""
        return [self[f"only_{name}"] for name in ONLY]

    def definition(self, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The definition as the file has it. ``stored`` is what stood: what the form does not show is taken from it."""
        data = self.cleaned_data
        before = dict(stored or {})
        include = dict(before.get("include", {}))
        self._include(include, data)
        ids_of: dict[tuple[str, Any], list[str]] = {}
        for one in before.get("factors", []):
            ids_of.setdefault((one["name"], one.get("cut")), []).append(one["id"])
        factors = self._factors(data, ids_of)
        kept = [one for one in before.get("factors", []) if one["name"] not in FACTOR_NAMES]
        rows = [(one, row) for row, one in enumerate(factors) if one is not None]
        ids = [_id_of(one) for one, _row in rows]
        in_model = [i for i, (_one, row) in zip(ids, rows, strict=True) if data[f"in_model_{row}"]]
        kept_ids = [one["id"] for one in kept]
        in_model = _as_they_stood(
            [*in_model, *(i for i in before.get("cox", []) if i in kept_ids)], before.get("cox", [])
        )
        strata = [i for i, (_one, row) in zip(ids, rows, strict=True) if data[f"stratum_{row}"]]
        kept_strata = [i for i in before.get("strata", []) if i in kept_ids]
        result = {
            **before,
            "slug": data["slug"],
            "title": data["title"],
            "include": include,
            "at_stop": {"min_class": data["min_class"], "window_days": data["window_days"]},
            "attempts": data["attempts"],
            "endpoint": data["endpoint"],
            "landmark_months": data["landmark_months"],
            "event_rule": {
                **before.get("event_rule", {}),
                "n_consecutive": int(data["n_consecutive"]),
                "date_of_event": data["date_of_event"],
                "restart_confirms": data["restart_confirms"],
            },
            "dmr": {
                **before.get("dmr", {}),
                "level": data["dmr_level"], "run": data["dmr_run"], "max_dips": data["dmr_max_dips"],
            },
            "factors": _factors_as_they_stood([*(one for one, _row in rows), *kept], before.get("factors", [])),
            "strata": _as_they_stood([*strata, *kept_strata], before.get("strata", [])),
            "confidence": {"transform": data["transform"], "level": float(data["level"])},
            "model": {"ties": data["ties"], "penalised": data["penalised"]},
        }  # fmt: skip
        result.pop("cox", None)
        if data["model"] == "given":
            result["cox"] = in_model
        return result

    def _include(self, include: dict[str, Any], data: Mapping[str, Any]) -> None:
        include["stop_reason"] = data["stop_reason"]
        chosen = {"centre": data["centre"], **{name: data[f"only_{name}"] for name in ONLY}}
        for name, values in chosen.items():
            include.pop(name, None)
            if values:
                include[name] = values
        for name in BOUNDED:
            others = {b: v for b, v in include.pop(name, {}).items() if b not in ("ge", "lt")}
            bounds = {b: data[f"{name}_{b}"] for b in ("ge", "lt") if data[f"{name}_{b}"] is not None}
            if others or bounds:
                include[name] = {**others, **bounds}
        include.pop("stopped_on", None)
        if data["stopped_from"] or data["stopped_to"]:
            days = {"from": data["stopped_from"], "to": data["stopped_to"]}
            include["stopped_on"] = {side: day.isoformat() if day else None for side, day in days.items()}

    def _factors(
        self, data: Mapping[str, Any], ids_of: Mapping[tuple[str, Any], list[str]]
    ) -> list[dict[str, Any] | None]:
        rows: list[dict[str, Any] | None] = []
        for row in range(self.rows):
            name = data[f"factor_{row}"]
            if not name:
                rows.append(None)
                continue
            one: dict[str, Any] = {"name": name}
            if standing := ids_of.get((name, data[f"cut_{row}"])):  # a factor that stood keeps its id
                one["id"] = standing.pop(0)
            if data[f"cut_{row}"] is not None:
                one["cut"] = data[f"cut_{row}"]
            if data[f"chosen_{row}"]:
                one["chosen_on_data"] = True
            rows.append(one)
        return rows

    @staticmethod
    def initial_of(stored: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a stored definition."""
        whole = parse_definition(stored)
        include, rule, dmr = stored.get("include", {}), whole.event_rule, whole.dmr
        period = include.get("stopped_on") or {}
        initial: dict[str, Any] = {
            "slug": whole.slug, "title": whole.title, "centre": include.get("centre", []),
            "stop_reason": list(whole.stop_reasons), "stopped_from": period.get("from"), "stopped_to": period.get("to"),
            "min_class": whole.min_class.value, "window_days": whole.window_days, "attempts": whole.attempts,
            "endpoint": whole.endpoint, "landmark_months": whole.landmark_months,
            "n_consecutive": str(rule.n_consecutive), "date_of_event": rule.date_of_event,
            "restart_confirms": rule.restart_confirms, "dmr_level": dmr.level.value, "dmr_run": dmr.run,
            "dmr_max_dips": dmr.max_dips, "model": "backward" if whole.cox is None else "given",
            "transform": whole.transform, "level": f"{whole.level:g}", "ties": whole.ties, "penalised": whole.penalised,
        }  # fmt: skip
        for name in BOUNDED:
            for bound in ("ge", "lt"):
                initial[f"{name}_{bound}"] = whole.bounds.get(name, {}).get(bound)
        for name in ONLY:
            initial[f"only_{name}"] = include.get(name, [])
        for row, factor in enumerate(f for f in whole.factors if f.name != SCORE):
            initial |= {
                f"factor_{row}": factor.name, f"cut_{row}": factor.cut, f"chosen_{row}": factor.chosen_on_data,
                f"in_model_{row}": factor.id in (whole.cox or ()), f"stratum_{row}": factor.id in whole.strata,
            }  # fmt: skip
        return initial


def _as_they_stood(ids: Sequence[str], stood: Sequence[str]) -> list[str]:
    """The same ids, those that stood in their order first: a definition that nobody changed stays the same one."""
    return sorted(ids, key=lambda i: stood.index(i) if i in stood else len(stood))


def _factors_as_they_stood(factors: list[dict[str, Any]], stood: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    order = _as_they_stood([_id_of(one) for one in factors], [one["id"] for one in stood])
    return sorted(factors, key=lambda one: order.index(_id_of(one)))


def _id_of(factor: Mapping[str, Any]) -> str:
    """The id of a factor, its own or the one that the file gives it."""
    if "id" in factor:
        return str(factor["id"])
    return f"{factor['name']}_{factor['cut']}" if "cut" in factor else str(factor["name"])
