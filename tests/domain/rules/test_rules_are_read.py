"""Every value of a shipped rule file is read: into a typed field by the loader, and from there by what decides."""

import ast
import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.domain.course.protocol_loss import find_protocol_loss
from monitoring.domain.course.series import Fact, FactKind, Series, assess, time_points
from monitoring.domain.following.kinetics import change_between, project_crossing, values_of
from monitoring.domain.following.landmarks import early_halving_time, month_two
from monitoring.domain.following.milestones import milestones
from monitoring.domain.following.schedule import next_sample_due
from monitoring.domain.rules import values
from monitoring.domain.rules.rule_sets import (
    FOLDER,
    KINDS,
    Parameter,
    RuleSet,
    RuleSetProblem,
    load_rule_sets,
    parse_rule_set,
)
from monitoring.domain.rules.schema import SHAPES, STATED
from monitoring.domain.scoring.response_rules import response_rules
from monitoring.domain.stopping.eligibility import eligibility
from monitoring.domain.vocabulary.scale import ControlGene
from tests.builders import STOP, course, day, result
from tests.domain.stopping.test_eligibility import LONG, taken

ROOT = Path(__file__).resolve().parents[3]
LOADER = ("rules.py", "rule_shapes.py", "rule_values.py")
PATHS = sorted(FOLDER.glob("*.json"))


# --- from the file into typed fields ------------------------------------------------------------------------------


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value of a file that holds no others, with the way to it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not inside:
        yield at, value
        return
    for key, one in inside:
        yield from leaves(one, (*at, key))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a file, the file itself first."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(one)


def another(leaf: Any) -> Any:
    """A different value of the same type."""
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int | float):
        return leaf + 1
    return {"e13a2": "e1a2", "MR4": "MR5", "MR4_5": "MR5", ">": ">=", ">=": ">"}.get(leaf, "another") if leaf else "x"


def read(raw: Any, file: str) -> RuleSet:
    return dataclasses.replace(parse_rule_set(json.dumps(raw), file), digest="")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_value_of_a_file_can_change_unseen(path: Path) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    standing = read(raw, path.name)
    for at, leaf in leaves(raw):
        changed = copy.deepcopy(raw)
        holder = changed
        for key in at[:-1]:
            holder = holder[key]
        holder[at[-1]] = another(leaf)
        try:
            assert read(changed, path.name) != standing, at
        except RuleSetProblem:
            continue  # the reader looked at it


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_key_that_nobody_reads_is_refused_at_every_level(path: Path) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    for number in range(len(list(objects(raw)))):
        changed = copy.deepcopy(raw)
        list(objects(changed))[number]["unread"] = 1
        with pytest.raises(RuleSetProblem):
            parse_rule_set(json.dumps(changed), path.name)


# --- from typed fields into what decides --------------------------------------------------------------------------


def product(*, but: tuple[str, ...] = ()) -> Iterator[ast.AST]:
    for folder in ("monitoring", "cohorts"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name not in but:
                yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_every_field_of_a_typed_value_is_read_by_what_decides() -> None:
    read_somewhere = {
        n.attr for n in product(but=LOADER) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
    }
    typed = [c for c in vars(values).values() if dataclasses.is_dataclass(c) and c.__module__ == values.__name__]
    assert len(typed) > 10
    assert {(c.__name__, f.name) for c in typed for f in dataclasses.fields(c) if f.name not in read_somewhere} == set()


def test_every_field_of_a_rule_set_is_read_outside_its_loader() -> None:
    """By a module or by a page; ``register``, ``confirmed`` and ``note`` by the functions that pages call."""
    named = {n.attr for n in product(but=LOADER) if isinstance(n, ast.Attribute)}
    pages = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "templates").rglob("*.html"))
    called = {n.id for n in product(but=LOADER) if isinstance(n, ast.Name)} | named
    assert {"settled", "unconfirmed_parameters", "superseded_by", "reason"} <= called
    by_functions = {"name", "value", "register", "confirmed", "note"} | {
        "digest",
        "supersedes",
        "where_silent",
        "parameters",
    }
    for field in (*dataclasses.fields(RuleSet), *dataclasses.fields(Parameter)):
        assert field.name in named | by_functions or f".{field.name}" in pages, field.name


SEEN: set[tuple[str, str]] = set()


class Watched(RuleSet):
    """A rule set that remembers which of its parameters were asked for."""

    def get(self, name: str) -> Any:
        SEEN.add((self.kind, name))
        return super().get(name)

    def source(self, line: str) -> str:
        if SHAPES[self.kind][line] is STATED:
            SEEN.add((self.kind, line))
        return super().source(line)


def watched(rules: RuleSet) -> Watched:
    return Watched(**{f.name: getattr(rules, f.name) for f in dataclasses.fields(RuleSet)})


# On imatinib from day -2000, above 10 % twice, MMR lost once, deep, stopped on day 0; then detectable, rising, lost,
# restarted on day 200, above and below 0.1 %.
RESULTS = [
    result(n, offset, percent)
    for n, (offset, percent) in enumerate(
        (
            (-2000, "80"), (-1910, "20"), (-1860, "20"), (-1800, "0.05"), (-1500, "0.5"), (-900, None), (-1, None), (30,
            "0.002"),
            (60, "0.02"), (90, "0.05"), (120, "0.5"), (230, "0.3"), (290, None),
        )
    )
]  # fmt: skip
COURSES = (course(-2000, 0), course(200, None))
SERIES = Series("p", tuple(RESULTS), COURSES, (Fact(FactKind.MUTATION, day(-1700)),))


def use_schedule(rules: RuleSet) -> None:
    for offset in (-1990, -1700, -950, 5, 65, 125, 235, 295, 400):
        seen = dataclasses.replace(SERIES, results=tuple(r for r in RESULTS if r.collected_on <= day(offset)))
        next_sample_due(seen, day(offset), rules)


def use_milestones(rules: RuleSet) -> None:
    milestones(SERIES, day(-1), rules)


def use_eligibility(rules: RuleSet) -> None:
    eligibility(LONG, rules)
    eligibility(dataclasses.replace(LONG, courses=(taken("2010-01-10", drug="nilotinib"),)), rules)


def use_kinetics(rules: RuleSet) -> None:
    values = values_of(assess(SERIES), SERIES.courses)
    rising = next(v for v in values if v.on == day(60)), next(v for v in values if v.on == day(90))
    project_crossing(change_between(*rising, rules), rules)
    month_two(values, STOP, rules)
    early_halving_time(values, day(-2000), rules)
    early_halving_time([v for v in values if v.on != day(-1910)], day(-1950), rules)
    change_between(rising[0], dataclasses.replace(rising[1], laboratory="another"), rules)
    change_between(rising[0], dataclasses.replace(rising[1], control_gene=ControlGene.GUSB), rules)


def use_loss(rules: RuleSet) -> None:
    find_protocol_loss(time_points(assess(SERIES)), STOP, day(200), rules)


USES: dict[str, Callable[[RuleSet], Any]] = {
    "response": response_rules,
    "loss": use_loss,
    "schedule": use_schedule,
    "eligibility": use_eligibility,
    "milestones": use_milestones,
    "kinetics": use_kinetics,
}


def test_every_parameter_is_asked_for_by_what_decides() -> None:
    SEEN.clear()
    for rules in load_rule_sets().values():
        USES[rules.kind](watched(rules))
    assert {(kind, name) for kind in KINDS for name in SHAPES[kind]} - SEEN == set()


def test_what_decides_follows_the_file() -> None:
    """One number of each kind changed in a copy of its file changes what is said."""
    rules = response_rules(changed("response-eutos-2015.1", "old_sample_hours", 47))
    assert rules.old_sample_hours == 47
    lost = find_protocol_loss(
        time_points(assess(SERIES)), STOP, day(200), changed("loss-enestop.1", "confirmed_loss_of", None)
    )
    assert lost is not None
    assert lost.event_on == day(120)
    plan = next_sample_due(SERIES, day(400), changed("schedule-eln-2020.1", "followed_within_days", 9))
    assert plan.state == "not_followed"


def changed(rule_id: str, name: str, value: object) -> RuleSet:
    raw = json.loads((FOLDER / f"{rule_id}.json").read_text(encoding="utf-8"))
    raw["parameters"][name]["value"] = value
    return parse_rule_set(json.dumps(raw), f"{rule_id}.json")
