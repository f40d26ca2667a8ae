"""A definition as its file has it: read with every problem named by place and fix, written with all defaults."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from cohorts.domain.definition import (
    AGES,
    CATEGORIES,
    DURATIONS,
    LANDMARK_FACTORS,
    RISK_GROUPS,
    SCORE,
    YEARS,
    Definition,
    Factor,
    Points,
)
from monitoring.domain.course.episodes import DmrRule
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.course.series import Drug, StopReason
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.scale import DEPTH, ResponseClass

MOST_LANDMARK_MONTHS = 48  # figures are read until month 60
RESERVED_SLUGS = ("define",)
TRANSFORMS = ("log-log", "log", "linear")
MOST_MONTHS = 1500
YES_NO = ["yes", "no"]
BOUNDS = ("ge", "gt", "le", "lt")
ENDPOINTS = ("loss_of_mmr", "tfr", "mrfs", "tfs")


class DefinitionProblem(Exception):
    """The definition cannot be used; ``problems`` lists every place with its fix."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def parse_definition(data: object) -> Definition:
    """A definition from JSON; missing keys take the defaults. Raises ``DefinitionProblem`` with all problems."""
    reader = _Reader()
    definition = reader.definition(data)
    if reader.problems or definition is None:
        raise DefinitionProblem(reader.problems)
    return definition


def as_json(definition: Definition) -> dict[str, Any]:
    """The definition with all defaults written out, in the form of the file."""
    include: dict[str, Any] = {"stop_reason": list(definition.stop_reasons)}
    include |= {name: list(values) for name, values in definition.categories.items()}
    include |= {name: dict(bounds) for name, bounds in definition.bounds.items()}
    if definition.stopped_from or definition.stopped_to:
        include["stopped_on"] = {
            "from": definition.stopped_from.isoformat() if definition.stopped_from else None,
            "to": definition.stopped_to.isoformat() if definition.stopped_to else None,
        }
    data: dict[str, Any] = {
        "slug": definition.slug,
        "title": definition.title,
        "include": include,
        "at_stop": {"min_class": definition.min_class.value, "window_days": definition.window_days},
        "attempts": definition.attempts,
        "endpoint": definition.endpoint,
        "event_rule": dataclasses.asdict(definition.event_rule),
        "dmr": {**dataclasses.asdict(definition.dmr), "level": definition.dmr.level.value},
        "landmark_months": definition.landmark_months,
        "factors": [_factor_as_json(factor) for factor in definition.factors],
        "strata": list(definition.strata),
        "confidence": {"transform": definition.transform, "level": definition.level},
        "model": {"ties": definition.ties, "penalised": definition.penalised},
    }
    if definition.cox is not None:
        data["cox"] = list(definition.cox)
    return data


def _factor_as_json(factor: Factor) -> dict[str, Any]:
    data: dict[str, Any] = {"id": factor.id, "name": factor.name}
    if factor.cut is not None:
        data["cut"] = factor.cut
    if factor.chosen_on_data:
        data["chosen_on_data"] = True
    if factor.name == SCORE:
        data |= {"source": factor.source, "points": [_points_as_json(one) for one in factor.points]}
    return data


def _points_as_json(one: Points) -> dict[str, Any]:
    if one.level is not None:
        return {"name": one.name, "is": one.level, "add": one.weight}
    if one.at_least is not None:
        return {"name": one.name, "at_least": one.at_least, "add": one.weight}
    return {"name": one.name, "per_unit": one.weight}


class _Reader:
    """Reads a definition and gathers every problem instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def definition(self, data: object) -> Definition | None:
        top = self._object("the definition", data, (
            "slug", "title", "include", "at_stop", "attempts", "endpoint", "event_rule", "dmr", "factors", "cox",
            "confidence", "model", "landmark_months", "strata",
        ))  # fmt: skip
        if top is None:
            return None
        slug = self._text("slug", top.get("slug"))
        if slug and not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", slug):
            self.problems.append(f"slug {slug!r}: use small letters, digits and hyphens, 60 at most")
        if slug in RESERVED_SLUGS:
            self.problems.append(f"slug {slug!r}: is an address of the service; take another word")
        title = self._text("title", top.get("title", slug))
        include = (
            self._object(
                "include",
                top.get("include", {}),
                ("stop_reason", "stopped_on", *CATEGORIES, *AGES, "tki_months", "dmr_months"),
            )
            or {}
        )
        at_stop = self._object("at_stop", top.get("at_stop", {}), ("min_class", "window_days")) or {}
        rule = (
            self._object(
                "event_rule",
                top.get("event_rule", {}),
                ("n_consecutive", "date_of_event", "max_gap_days", "restart_confirms"),
            )
            or {}
        )
        dmr = self._object("dmr", top.get("dmr", {}), ("level", "run", "max_dips", "max_gap_days")) or {}
        model = self._object("model", top.get("model", {}), ("ties", "penalised")) or {}
        confidence = self._object("confidence", top.get("confidence", {}), ("transform", "level")) or {}
        stopped_from, stopped_to = self._period(include.get("stopped_on"))
        landmark = self._whole("landmark_months", top.get("landmark_months"), 1)
        if landmark is not None and landmark > MOST_LANDMARK_MONTHS:
            self.problems.append(f"landmark_months {landmark}: {MOST_LANDMARK_MONTHS} months at most")
        factors = self._factors(top.get("factors", []), landmark)
        level = confidence.get("level", 0.95)
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0.5 <= level < 1:
            self.problems.append(f"confidence.level {level!r}: write a number from 0.5 to below 1, such as 0.95")
            level = 0.95
        return Definition(
            slug=slug,
            title=title,
            stop_reasons=self._words(
                "include.stop_reason", include.get("stop_reason", ["tfr_attempt"]), list(StopReason)
            ),
            categories={
                name: self._words(f"include.{name}", include[name], _known_words(name))
                for name in CATEGORIES
                if name in include
            },
            bounds={
                name: self._bounds(f"include.{name}", include[name])
                for name in (*AGES, "tki_months", "dmr_months")
                if name in include
            },
            stopped_from=stopped_from,
            stopped_to=stopped_to,
            min_class=ResponseClass(
                self._word("at_stop.min_class", at_stop.get("min_class", "MMR"), [c.value for c in DEPTH])
            ),
            window_days=self._whole("at_stop.window_days", at_stop.get("window_days"), 0),
            attempts=self._word("attempts", top.get("attempts", "first"), ["first", "all"]),
            endpoint=self._word("endpoint", top.get("endpoint", "loss_of_mmr"), ENDPOINTS),
            event_rule=LossRule(
                n_consecutive=int(
                    self._word("event_rule.n_consecutive", str(rule.get("n_consecutive", 1)), ["1", "2"])
                ),
                date_of_event=self._word(
                    "event_rule.date_of_event", rule.get("date_of_event", "first"), ["first", "confirming"]
                ),
                max_gap_days=self._whole("event_rule.max_gap_days", rule.get("max_gap_days"), 1),
                restart_confirms=self._truth("event_rule.restart_confirms", rule.get("restart_confirms", True)),
            ),
            dmr=DmrRule(
                level=ResponseClass(self._word("dmr.level", dmr.get("level", "MR4"), ["MR4", "MR4_5", "MR5"])),
                run=self._word("dmr.run", dmr.get("run", "uninterrupted"), ["uninterrupted", "first"]),
                max_dips=self._whole("dmr.max_dips", dmr.get("max_dips", 0), 0) or 0,
                max_gap_days=self._whole("dmr.max_gap_days", dmr.get("max_gap_days"), 1),
            ),
            factors=factors,
            cox=self._cox(top["cox"], factors) if top.get("cox") is not None else None,
            transform=self._word("confidence.transform", confidence.get("transform", "log-log"), TRANSFORMS),
            level=float(level),
            ties=self._word("model.ties", model.get("ties", "efron"), ["efron", "breslow"]),
            penalised=self._truth("model.penalised", model.get("penalised", False)),
            landmark_months=landmark,
            strata=self._strata(top.get("strata", []), factors),
        )  # fmt: skip

    def _object(self, place: str, value: object, known: Sequence[str]) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            self.problems.append(f"{place}: an object {{…}} is expected")
            return None
        for name in value:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self.problems.append(f"{place}: {name!r} is not known; {hint}")
        return value

    def _text(self, place: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            self.problems.append(f"{place}: a text is needed")
            return ""
        if any(unicodedata.category(c) == "Cc" for c in value):
            self.problems.append(f"{place}: holds a control character")
            return ""
        return value.strip()[:200]

    def _word(self, place: str, value: object, known: Sequence[str]) -> str:
        if value in known:
            return str(value)
        self.problems.append(f"{place} {value!r}: use one of {', '.join(known)}")
        return known[0]

    def _words(self, place: str, value: object, known: Sequence[str] | None) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            self.problems.append(f"{place}: a list of texts is expected")
            return ()
        return tuple(v if known is None else self._word(place, v, known) for v in value)

    def _whole(self, place: str, value: object, least: int) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.problems.append(f"{place} {value!r}: a whole number from {least} is expected")
            return None
        return value

    def _truth(self, place: str, value: object) -> bool:
        if not isinstance(value, bool):
            self.problems.append(f"{place} {value!r}: use true or false")
        return bool(value)

    def _bounds(self, place: str, value: object) -> dict[str, int]:
        given = self._object(place, value, BOUNDS) or {}
        bounds = {b: n for b in BOUNDS if b in given and (n := self._whole(f"{place}.{b}", given[b], 0)) is not None}
        for bound, number in bounds.items():
            if number > MOST_MONTHS:
                self.problems.append(f"{place}.{bound} {number}: is beyond a lifetime")
        least = max([bounds.get("ge", 0), bounds.get("gt", -1) + 1])
        most = min([bounds.get("le", MOST_MONTHS), bounds.get("lt", MOST_MONTHS + 1) - 1])
        if least > most:
            self.problems.append(f"{place}: at least {least} and at most {most} contradict each other; nobody is both")
        return bounds

    def _period(self, value: object) -> tuple[dt.date | None, dt.date | None]:
        if value is None:
            return None, None
        given = self._object("include.stopped_on", value, ("from", "to")) or {}
        days: list[dt.date | None] = []
        for name in ("from", "to"):
            try:
                days.append(dt.date.fromisoformat(given[name]) if given.get(name) is not None else None)
            except (TypeError, ValueError):
                self.problems.append(f"include.stopped_on.{name} {given[name]!r}: write the date as 2016-12-01")
                days.append(None)
        if days[0] is not None and days[1] is not None and days[0] > days[1]:
            self.problems.append(f"include.stopped_on: {days[0]} to {days[1]} is no period; exchange the days")
        return days[0], days[1]

    def _factors(self, value: object, landmark: int | None) -> tuple[Factor, ...]:
        if not isinstance(value, list):
            self.problems.append("factors: a list is expected")
            return ()
        factors: list[Factor] = []
        for position, entry in enumerate(value):
            place = f"factors[{position}]"
            given = self._object(place, entry, ("id", "name", "cut", "chosen_on_data", "source", "points"))
            if given is None:
                continue
            known = (*DURATIONS, *AGES, *YEARS, *CATEGORIES, *LANDMARK_FACTORS, SCORE)
            name = self._word(f"{place}.name", given.get("name"), known)
            cut = self._cut(place, name, given.get("cut"))
            self._check_landmark(place, name, landmark)
            chosen = self._truth(f"{place}.chosen_on_data", given.get("chosen_on_data", False))
            if chosen and cut is None:
                self.problems.append(f"{place}.chosen_on_data: only a cut can be chosen; name it or leave this out")
            default_id = name if cut is None else f"{name}_{cut}"
            source = ""
            points: tuple[Points, ...] = ()
            if name == SCORE:
                source = self._text(f"{place}.source", given.get("source"))
                points = self._points(f"{place}.points", given.get("points"))
            elif "source" in given or "points" in given:
                self.problems.append(f"{place}: only a score has a source and points")
            factor_id = self._text(f"{place}.id", given.get("id", default_id))
            if any(f.id == factor_id for f in factors):
                self.problems.append(f"{place}.id {factor_id!r}: stands twice")
            factors.append(Factor(factor_id, name, cut, chosen, source, points))
        return tuple(factors)

    def _cut(self, place: str, name: str, value: object) -> float | None:
        if name == SCORE and value is not None:
            return self._number(f"{place}.cut", value)
        cut = self._whole(f"{place}.cut", value, 1)
        if cut is not None and cut > MOST_MONTHS and name not in YEARS:
            self.problems.append(f"{place}.cut {cut}: is beyond a lifetime")
            return None
        if cut is not None and (name in CATEGORIES or name in LANDMARK_FACTORS):
            self.problems.append(f"{place}.cut: {name} has no order, so it cannot be cut")
            return None
        return cut

    def _number(self, place: str, value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.problems.append(f"{place} {value!r}: a number is expected")
            return None
        return value

    def _check_landmark(self, place: str, name: str, landmark: int | None) -> None:
        """Refuse what is seen only after time zero: whoever lives longer has more time to show it."""
        measured = LANDMARK_FACTORS.get(name)
        if measured is None:
            return
        if landmark is None:
            least = max(measured, 1)
            self.problems.append(
                f"{place}.name {name}: is seen only after the stop, so those who stay free of the event longer show it "
                f"more often; set landmark_months to {least} or more, or leave it out"
            )
        elif measured > landmark:
            self.problems.append(
                f"{place}.name {name}: is measured at month {measured}, after the landmark at month {landmark}; "
                f"set landmark_months to {measured} or more, or leave it out"
            )

    def _points(self, place: str, value: object) -> tuple[Points, ...]:
        """The parts of a score, each a weight per unit, from a cut on, or for one level of a category."""
        if not isinstance(value, list) or not value:
            self.problems.append(f"{place}: a list of parts is expected, each with name and per_unit, at_least or is")
            return ()
        points = []
        for position, entry in enumerate(value):
            part = f"{place}[{position}]"
            given = self._object(part, entry, ("name", "per_unit", "at_least", "is", "add"))
            if given is None:
                continue
            name = self._word(f"{part}.name", given.get("name"), (*DURATIONS, *AGES, *CATEGORIES))
            wanted = "is" if name in CATEGORIES else "at_least" if "at_least" in given else "per_unit"
            if set(given) - {"name", "add"} != {wanted} or (("add" in given) == (wanted == "per_unit")):
                fix = "is and add" if name in CATEGORIES else "per_unit, or at_least and add"
                self.problems.append(f"{part}: {name} takes {fix}")
                continue
            weight = self._number(f"{part}.add" if wanted != "per_unit" else f"{part}.per_unit",
                                  given["per_unit" if wanted == "per_unit" else "add"])  # fmt: skip
            at_least = self._whole(f"{part}.at_least", given.get("at_least"), 1)
            level = None
            if wanted == "is":
                known = _known_words(name)
                level = self._text(f"{part}.is", given["is"])
                level = level if known is None else self._word(f"{part}.is", level, known)
            points.append(Points(name, float(weight or 0), at_least, level))
        return tuple(points)

    def _strata(self, value: object, factors: Sequence[Factor]) -> tuple[str, ...]:
        grouped = [f.id for f in factors if f.is_category or f.cut is not None]
        if not isinstance(value, list):
            self.problems.append("strata: a list of ids of factors is expected")
            return ()
        if value and not grouped:
            self.problems.append("strata: there is no factor with groups to take; list one under factors")
            return ()
        return tuple(self._word("strata", v, grouped) for v in value)

    def _cox(self, value: object, factors: Sequence[Factor]) -> tuple[str, ...]:
        ids = [f.id for f in factors]
        if not isinstance(value, list):
            self.problems.append("cox: a list of factor ids is expected")
            return ()
        if value and not ids:
            self.problems.append("cox: there are no factors to take; list them under factors")
            return ()
        return tuple(self._word("cox", v, ids) for v in value)


def _known_words(name: str) -> list[str] | None:
    known: dict[str, list[str]] = {
        "sex": ["F", "M", "X"],
        "transcript": [t.value for t in Transcript if t.value],
        "drug_at_stop": [d.value for d in Drug],
        "risk_group": RISK_GROUPS,
        "elts_group": RISK_GROUPS,
        "sokal_group": RISK_GROUPS,
        "earlier_resistance": YES_NO,
        "dose_reduction": YES_NO,
        "line_of_therapy": ["1", "2", "3+"],
    }
    return known.get(name)
