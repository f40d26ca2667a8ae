"""Rule sets: published rules as data, each number with its source and whether a source that was read confirms it.

The files in ``rulesets`` are shipped. A value that was ever read from one is never edited: a change is a new file with
the next number, so that earlier decisions can still be explained. A file holds only values that the service reads. A
parameter that none of the sources we read gives is listed (``not_in_our_sources``) and left out, not guessed. Nothing
in a rule set is a treatment instruction.
"""

from __future__ import annotations

import dataclasses
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

from monitoring.domain.rules.schema import SHAPES, STATED
from monitoring.domain.rules.values import a_mapping, a_text, a_truth, names, one_of
from monitoring.domain.vocabulary.reasons import FactValue, Reason

FOLDER = Path(__file__).parent / "rulesets"
REGISTER = tuple(f"D{number}" for number in range(1, 27))
KINDS = tuple(SHAPES)
# Kinds in which a missing value would suppress an alert. What is not in our sources is read from another set, and
# cited under that set's name.
LENT_TO = ("schedule", "milestones")

T = TypeVar("T")


class Population(StrEnum):
    """The patients that a rule set is for."""

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
    """One published rule in numbers. ``digest`` changes with any byte of its file.

    ``not_in_our_sources`` are the parameters that no text we read gives. ``lender`` is the set whose lines are used
    for them, if there is one; they are read and cited as the lender's. ``supersedes`` is the older set of the same
    body.
    """

    id: str
    kind: str
    title: str
    population: Population
    citation: Citation
    evidence: Evidence
    parameters: Mapping[str, Parameter]
    digest: str
    not_in_our_sources: tuple[str, ...] = ()
    where_silent: str | None = None
    supersedes: str | None = None
    lender: RuleSet | None = None

    @property
    def body(self) -> str:
        """The body that issued it: the name in the id without its year."""
        name = self.id.removeprefix(f"{self.kind}-").rpartition(".")[0]
        return re.sub(r"-\d+$", "", name)

    def stated_by(self, line: str) -> RuleSet:
        """The set that states a line: this one, or its lender where our sources do not give the line."""
        return self.lender if self.lender is not None and line in self.not_in_our_sources else self

    def parameter(self, name: str) -> Parameter:
        """A parameter with its note; ``KeyError`` names those that exist."""
        stated = self.stated_by(name).parameters
        if name not in stated:
            raise KeyError(f"{self.id} has no {name!r}; it has {', '.join(self.parameters)}")
        return stated[name]

    def get(self, name: str) -> Any:
        """The typed value of a parameter, as ``schema`` reads it."""
        return self.parameter(name).value

    def value(self, name: str, of: type[T]) -> T:
        """The value of a parameter that must be of this type."""
        value = self.get(name)
        if not isinstance(value, of):
            raise TypeError(f"{name!r} of {self.id} is {value!r} and no {of.__name__}")
        return value

    def is_silent(self, name: str) -> bool:
        """Whether a parameter is not in our sources and no lender gives it."""
        return self.lender is None and name in self.not_in_our_sources

    def optional(self, name: str, of: type[T]) -> T | None:
        """The value of a parameter; None where its source sets no such limit or our sources do not give it."""
        return None if self.is_silent(name) or self.get(name) is None else self.value(name, of)

    def source(self, line: str) -> str:
        """The citation of the set with the note of one parameter, where that number has a source of its own."""
        note, citation = "" if self.is_silent(line) else self.parameter(line).note, self.stated_by(line).citation
        return f"{citation}; {note}" if note else str(citation)

    def reason(self, line: str, text_code: str, **facts: FactValue) -> Reason:
        """Why a statement holds: the rule that states it, its line, these facts."""
        return Reason(self.stated_by(line).id, line, self.source(line), tuple(facts.items()), text_code)


def load_rule_sets() -> Mapping[str, RuleSet]:
    """Every shipped rule set by id, in order of ids; read once."""
    return _shipped()


def rule_set(rule_id: str) -> RuleSet:
    """One shipped rule set; ``KeyError`` names those that exist."""
    shipped = load_rule_sets()
    if rule_id not in shipped:
        raise KeyError(f"there is no rule set {rule_id!r}; there are {', '.join(shipped)}")
    return shipped[rule_id]


def rule_sets_of(kind: str) -> tuple[RuleSet, ...]:
    """The shipped rule sets of one kind."""
    return tuple(r for r in load_rule_sets().values() if r.kind == kind)


def superseded_by(rules: RuleSet) -> RuleSet | None:
    """The newest set of the same body that supersedes this one, directly or through others; None where none does."""
    newer = next((r for r in load_rule_sets().values() if r.supersedes == rules.id), None)
    return None if newer is None else superseded_by(newer) or newer


@cache
def _shipped() -> Mapping[str, RuleSet]:
    return read_folder(FOLDER)


def read_folder(folder: Path) -> Mapping[str, RuleSet]:
    """Every rule file of a folder; raises ``RuleSetProblem`` at the first one that cannot be used."""
    read = [parse_rule_set(path.read_text(encoding="utf-8"), path.name) for path in sorted(folder.glob("*.json"))]
    known = {r.id: r for r in read}
    superseded: set[str] = set()
    for rules in read:
        _check_supersedes(rules, known, superseded)
    return MappingProxyType({r.id: _with_lender(r, known) for r in read})


def _check_supersedes(rules: RuleSet, known: Mapping[str, RuleSet], superseded: set[str]) -> None:
    """A set supersedes an older set of the same kind and body, and no two sets supersede the same one."""
    if rules.supersedes is None:
        return
    older = known.get(rules.supersedes)
    if older is None or (older.kind, older.body) != (rules.kind, rules.body) or older.id >= rules.id:
        raise RuleSetProblem(
            f"{rules.id}.json", "supersedes", f"name an older set {rules.kind}-{rules.body}-… that is here"
        )
    if older.id in superseded:
        raise RuleSetProblem(f"{rules.id}.json", "supersedes", f"{older.id} is superseded twice; name the latest one")
    superseded.add(older.id)


def _with_lender(rules: RuleSet, known: Mapping[str, RuleSet]) -> RuleSet:
    """The set with its lender, a complete set of the same kind."""
    if rules.where_silent is None:
        return rules
    lender = known.get(rules.where_silent)
    if lender is None or lender.kind != rules.kind or lender.not_in_our_sources:
        raise RuleSetProblem(f"{rules.id}.json", "where_silent", f"name a complete {rules.kind} set that is here")
    return dataclasses.replace(rules, lender=lender)


# --- checking -----------------------------------------------------------------------------------------------------


def parse_rule_set(text: str, file: str) -> RuleSet:
    """A rule set from the text of its file; every wrong key is named with what to write instead."""
    raw = _json(text, file)
    frame = ("id", "kind", "title", "population", "citation", "evidence", "parameters")
    value = _read(
        file, "the file", lambda r: a_mapping(r, frame, ("not_in_our_sources", "where_silent", "supersedes")), raw
    )
    kind = _read(file, "kind", one_of(*KINDS), value["kind"])
    rule_id = _read(file, "id", a_text, value["id"])
    if not re.fullmatch(rf"{kind}-[a-z0-9]+(-[a-z0-9]+)*\.[1-9]\d*", rule_id):
        raise RuleSetProblem(
            file, "id", f"write '{kind}-', a name in small letters, a dot and a number, as in {kind}-x.1"
        )
    if file != f"{rule_id}.json":
        raise RuleSetProblem(file, "id", f"the file of {rule_id!r} must be called {rule_id}.json")
    gaps = _gaps(file, kind, value)
    return RuleSet(
        id=rule_id,
        kind=kind,
        title=_read(file, "title", a_text, value["title"]),
        population=Population(_read(file, "population", one_of(*Population), value["population"])),
        citation=_citation(file, value["citation"]),
        evidence=Evidence(_read(file, "evidence", one_of(*Evidence), value["evidence"])),
        parameters=_parameters(file, kind, value["parameters"], gaps),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        not_in_our_sources=gaps,
        where_silent=value.get("where_silent"),
        supersedes=value.get("supersedes"),
    )


def _gaps(file: str, kind: str, value: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that the file lists as not in our sources; a schedule or milestone table then names its lender."""
    gaps: tuple[str, ...] = _read(file, "not_in_our_sources", names(SHAPES[kind]), value.get("not_in_our_sources", []))
    if (value.get("where_silent") is not None) != (bool(gaps) and kind in LENT_TO):
        fix = "name the set that stands in" if gaps and kind in LENT_TO else "leave it out: nothing is lent here"
        raise RuleSetProblem(file, "where_silent", fix)
    return gaps


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


def _parameters(file: str, kind: str, raw: object, gaps: tuple[str, ...]) -> Mapping[str, Parameter]:
    shapes = {name: shape for name, shape in SHAPES[kind].items() if name not in gaps}
    value = _read(file, "parameters", lambda r: a_mapping(r, shapes), raw)
    read = {name: _parameter(file, name, shapes[name], value[name]) for name in value}
    if kind == "milestones" and "statuses" in read:
        _known_statuses(file, read)
    return MappingProxyType(read)


def _known_statuses(file: str, parameters: Mapping[str, Parameter]) -> None:
    """Every status of a milestone table is one of the words in its ``statuses``."""
    known = parameters["statuses"].value
    for name, parameter in parameters.items():
        lines = parameter.value if isinstance(parameter.value, tuple) else (parameter.value,)
        words = [getattr(line, "status", None) for line in lines]
        words += [parameter.value] if name in ("loss_of_mmr", "mutation") else []
        for word in words:
            if word is not None:
                key = f"parameters.{name}.value"
                _read(file, key, one_of(*known), word)  # type: ignore[misc]  # ``statuses`` reads a tuple


def _parameter(file: str, name: str, reader: Any, raw: object) -> Parameter:
    key = f"parameters.{name}"
    keys = ("register", "confirmed", "note") if reader is STATED else ("value", "register", "confirmed", "note")
    value = _read(file, key, lambda r: a_mapping(r, keys), raw)
    register = value["register"]
    if register is not None:
        _read(file, f"{key}.register", one_of(*REGISTER), register)
    if not isinstance(value["note"], str):
        raise RuleSetProblem(file, f"{key}.note", "write a text; it may be empty")
    return Parameter(
        name,
        _read(file, f"{key}.value", reader, value.get("value")),
        register,
        _read(file, f"{key}.confirmed", a_truth, value["confirmed"]),
        value["note"],
    )


def unconfirmed_parameters(rules: RuleSet) -> tuple[str, ...]:
    """The parameters of a set that no source we read has confirmed; pages mark them."""
    return tuple(p.name for p in rules.parameters.values() if not p.confirmed)


def settled_disagreements(rules: RuleSet) -> tuple[str, ...]:
    """The disagreements among sources that the parameters of a set settle, in the order of the register."""
    named = {p.register for p in rules.parameters.values()}
    return tuple(register for register in REGISTER if register in named)
