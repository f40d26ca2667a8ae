"""Rule sets: published rules as data, each number with its source and whether a source that was read confirms it.

The files in ``rulesets`` are shipped and never edited in place: a change is a new file with the next number, so that
what was once decided can still be explained. Nothing in a rule set is a treatment instruction.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from monitoring.domain.explain import FactValue, Reason
from monitoring.domain.relapse import LossRule
from monitoring.domain.response import ResponseRules
from monitoring.domain.rule_shapes import SHAPES
from monitoring.domain.rule_values import a_mapping, a_text, a_truth, one_of

FOLDER = Path(__file__).parent / "rulesets"
REGISTER = tuple(f"D{number}" for number in range(1, 24))
KINDS = tuple(SHAPES)

T = TypeVar("T")


class Population(StrEnum):
    """Whom a rule set speaks of."""

    ADULT = "adult"
    PAEDIATRIC = "paediatric"
    ANY = "any"


class Evidence(StrEnum):
    """How well the source of a rule set is known: read, read second-hand, not confirmed, computed, our own choice."""

    READ = "S"
    SECONDARY = "S2"
    UNCONFIRMED = "unconfirmed"
    DERIVED = "derived"
    DESIGN = "design"


class RuleSetProblem(Exception):
    """A rule file cannot be used: which file, which key, and what to write instead."""

    def __init__(self, file: str, key: str, fix: str) -> None:
        super().__init__(f"{file}: {key}: {fix}")
        self.file, self.key, self.fix = file, key, fix


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a rule set comes from."""

    name: str
    doi: str | None
    pmc: str | None

    def __str__(self) -> str:
        parts = (self.name, f"doi {self.doi}" if self.doi else "", self.pmc or "")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number or choice of a rule set. ``register`` names the disagreement among sources that it settles."""

    name: str
    value: object
    register: str | None
    confirmed: bool
    note: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One published rule in numbers. ``digest`` changes with any byte of its file."""

    id: str
    kind: str
    title: str
    population: Population
    citation: Citation
    evidence: Evidence
    parameters: Mapping[str, Parameter]
    digest: str

    def parameter(self, name: str) -> Parameter:
        """A parameter with its note; ``KeyError`` names what there is."""
        if name not in self.parameters:
            raise KeyError(f"{self.id} has no {name!r}; it has {', '.join(self.parameters)}")
        return self.parameters[name]

    def get(self, name: str) -> Any:
        """The typed value of a parameter, as ``rule_shapes`` reads it."""
        return self.parameter(name).value

    def value(self, name: str, of: type[T]) -> T:
        """The value of a parameter that must be of this type."""
        found = self.get(name)
        if not isinstance(found, of):
            raise TypeError(f"{name!r} of {self.id} is {found!r} and no {of.__name__}")
        return found

    def optional(self, name: str, of: type[T]) -> T | None:
        """The value of a parameter, or None where the source says nothing."""
        return None if self.get(name) is None else self.value(name, of)

    def source(self, line: str) -> str:
        """The citation of the set with the note of one parameter, where that number has a source of its own."""
        note = self.parameter(line).note
        return f"{self.citation}; {note}" if note else str(self.citation)

    def reason(self, line: str, text_code: str, **facts: FactValue) -> Reason:
        """Why a statement stands: this rule, this line, these facts."""
        return Reason(self.id, line, self.source(line), tuple(facts.items()), text_code)


def load_rule_sets() -> Mapping[str, RuleSet]:
    """Every shipped rule set by id, in order of ids; read once."""
    return _shipped()


def rule_set(rule_id: str) -> RuleSet:
    """One shipped rule set; ``KeyError`` names those there are."""
    shipped = load_rule_sets()
    if rule_id not in shipped:
        raise KeyError(f"there is no rule set {rule_id!r}; there are {', '.join(shipped)}")
    return shipped[rule_id]


def rule_sets_of(kind: str) -> tuple[RuleSet, ...]:
    """The shipped rule sets of one kind."""
    return tuple(r for r in load_rule_sets().values() if r.kind == kind)


@cache
def _shipped() -> Mapping[str, RuleSet]:
    return read_folder(FOLDER)


def read_folder(folder: Path) -> Mapping[str, RuleSet]:
    """Every rule file of a folder; raises ``RuleSetProblem`` at the first one that cannot be used."""
    found = [parse_rule_set(path.read_text(encoding="utf-8"), path.name) for path in sorted(folder.glob("*.json"))]
    return MappingProxyType({r.id: r for r in found})


# --- checking -----------------------------------------------------------------------------------------------------


def parse_rule_set(text: str, file: str) -> RuleSet:
    """A rule set from the text of its file; every wrong key is named with what to write instead."""
    raw = _json(text, file)
    frame = ("id", "kind", "title", "population", "citation", "evidence", "parameters")
    value = _read(file, "the file", lambda r: a_mapping(r, frame), raw)
    kind = _read(file, "kind", one_of(*KINDS), value["kind"])
    rule_id = _read(file, "id", a_text, value["id"])
    if not re.fullmatch(rf"{kind}-[a-z0-9]+(-[a-z0-9]+)*\.[1-9]\d*", rule_id):
        raise RuleSetProblem(
            file, "id", f"write '{kind}-', a name in small letters, a dot and a number, as in {kind}-x.1"
        )
    if file != f"{rule_id}.json":
        raise RuleSetProblem(file, "id", f"the file of {rule_id!r} must be called {rule_id}.json")
    return RuleSet(
        id=rule_id,
        kind=kind,
        title=_read(file, "title", a_text, value["title"]),
        population=Population(_read(file, "population", one_of(*Population), value["population"])),
        citation=_citation(file, value["citation"]),
        evidence=Evidence(_read(file, "evidence", one_of(*Evidence), value["evidence"])),
        parameters=_parameters(file, kind, value["parameters"]),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _json(text: str, file: str) -> object:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise RuleSetProblem(file, twice, "stands twice; keep one of them")
        return dict(pairs)

    def never(word: str) -> Any:
        raise RuleSetProblem(file, word, "is no number of a rule; write null or digits")

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=never, object_pairs_hook=once)
    except json.JSONDecodeError as problem:
        raise RuleSetProblem(file, f"line {problem.lineno}", f"is not JSON: {problem.msg}") from problem


def _read(file: str, key: str, reader: Any, raw: object) -> Any:
    try:
        return reader(raw)
    except ValueError as problem:
        raise RuleSetProblem(file, key, str(problem)) from problem


def _citation(file: str, raw: object) -> Citation:
    value = _read(file, "citation", lambda r: a_mapping(r, ("name", "doi", "pmc")), raw)
    name = _read(file, "citation.name", a_text, value["name"])
    for key, pattern, example in (("doi", r"10\.\d{4,9}/\S+", "10.1038/x"), ("pmc", r"PMC\d+", "PMC7214240")):
        if value[key] is not None and not re.fullmatch(pattern, str(value[key])):
            raise RuleSetProblem(file, f"citation.{key}", f"write it as {example}, or null")
    return Citation(name, value["doi"], value["pmc"])


def _parameters(file: str, kind: str, raw: object) -> Mapping[str, Parameter]:
    shapes = SHAPES[kind]
    value = _read(file, "parameters", lambda r: a_mapping(r, shapes), raw)
    read = {name: _parameter(file, name, shapes[name], value[name]) for name in value}
    if kind == "milestones":
        _known_statuses(file, read)
    return MappingProxyType(read)


def _known_statuses(file: str, parameters: Mapping[str, Parameter]) -> None:
    """Every status of a milestone table is one of its own words."""
    known = parameters["statuses"].value
    for name, parameter in parameters.items():
        lines = parameter.value if isinstance(parameter.value, tuple) else (parameter.value,)
        words = [getattr(line, "status", None) for line in lines]
        words += [parameter.value] if name in ("loss_of_mmr", "mutation") else []
        for word in words:
            if word is not None:
                _read(file, f"parameters.{name}.value", one_of(*known), word)  # type: ignore[misc]  # bound before the next round


def _parameter(file: str, name: str, reader: Any, raw: object) -> Parameter:
    key = f"parameters.{name}"
    value = _read(file, key, lambda r: a_mapping(r, ("value", "register", "confirmed", "note")), raw)
    register = value["register"]
    if register is not None:
        _read(file, f"{key}.register", one_of(*REGISTER), register)
    if not isinstance(value["note"], str):
        raise RuleSetProblem(file, f"{key}.note", "write a text; it may be empty")
    return Parameter(
        name,
        _read(file, f"{key}.value", reader, value["value"]),
        register,
        _read(file, f"{key}.confirmed", a_truth, value["confirmed"]),
        value["note"],
    )


# --- rule sets as the records that existing rules read ------------------------------------------------------------


def response_rules(rules: RuleSet) -> ResponseRules:
    """The scoring parameters of a response rule set."""
    return ResponseRules(
        version=rules.value("version", str),
        low_positive_floor_copies=rules.value("low_positive_floor_copies", Decimal),
        cap_positive_by_control=rules.value("cap_positive_by_control", bool),
        mismatch_fraction=rules.value("mismatch_fraction", Decimal),
    )


def loss_rule(rules: RuleSet) -> LossRule:
    """When a value above MMR is an event, of a loss rule set."""
    return LossRule(
        n_consecutive=rules.value("n_consecutive", int),
        date_of_event=rules.value("date_of_event", str),
        max_gap_days=rules.optional("max_gap_days", int),
        restart_confirms=rules.value("restart_confirms", bool),
    )


def unconfirmed_parameters(rules: RuleSet) -> tuple[str, ...]:
    """The parameters of a set that no source read has confirmed: a screen marks them."""
    return tuple(p.name for p in rules.parameters.values() if not p.confirmed)
