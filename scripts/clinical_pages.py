"""Write docs/clinical from the tables that the tests run; `check` fails where a page is not what the tables say."""

import importlib
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from monitoring.domain.rules.rule_sets import RuleSet, load_rule_sets, superseded_by
from monitoring.domain.scoring.response_rules import EUTOS_2015
from monitoring.domain.vocabulary.scale import CLASS_LIMITS_PERCENT, CONTROL_LIMITS
from tests.domain.scoring.test_scoring import WORKED_EXAMPLES
from tests.trap_patients import COLUMNS, TRAPS

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "clinical"
# Disagreements of the register that no parameter settles: the service does it in one way only.
SETTLED_ELSEWHERE = {
    "D2": "above 0.1 % from a sample of poor control: a provisional alert and a repeat, an event only if the next "
    "value agrees",
    "D9": "withdrawal syndrome: recorded, never a predictor by itself (fewer relapses in KIDS, no link in RU-SKI)",
    "D10": "confidence intervals: log-log at 95 % unless the cohort says otherwise (STKI-14 prints 90 %)",
    "D14": "death in remission: an event in TFR and MRFS, competing in the cumulative incidence (STIM1 counts it)",
    "D15": "restart without loss: an event in TFR, competing in the incidence of loss (LAST counts it as a failure)",
    "D16": "drop-outs: censored, and counted as failures in a figure of its own (ENEST)",
    "D21": "rounding: computed values are classed unrounded, reported ones as reported",
    "D22": "time zero: the day of the stop; the start of a de-escalation is kept beside it (DESTINY counts from there)",
    "D26": "no MMR after a restart: told at three months (KIDS: median 3.9 months to MMR); NCCN as quoted by "
    "Medscape 2005453 tests for mutations after six",
}
# Page, title, and the test module whose tables it prints.
TABLES = {
    "state": ("Where a patient off treatment stands", "tests.domain.course.test_off_treatment"),
    "numbers": ("Numbers and words as they are written", "tests.intake.test_numbers"),
    "schedule": ("The next sample", "tests.domain.following.test_schedule"),
    "kinetics": ("Doubling and halving times", "tests.domain.following.test_kinetics"),
    "milestones": ("Milestones on treatment", "tests.domain.following.test_milestones"),
    "eligibility": ("Criteria before a stop", "tests.domain.stopping.test_eligibility"),
    "early-signs": ("Early signs off treatment", "tests.domain.following.test_early_signs"),
    "protocol-events": ("The event of a protocol", "tests.domain.course.test_protocol_loss"),
    "why": ("Why a class or an alert stands", "tests.domain.test_why"),
    "hazards": ("Hazards: silence and false reassurance", "tests.domain.test_hazards"),
    "entry": ("Questions at entry", "tests.domain.following.test_plausibility"),
}


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    found = {"scoring.md": scoring_page(), "rules.md": rules_page(), "traps.md": traps_page()}
    for name, (title, module) in TABLES.items():
        found[f"{name}.md"] = tables_page(title, importlib.import_module(module))
    return found


# --- tables that the tests run ---------------------------------------------------------------------------------------


def tables_page(title: str, module: ModuleType) -> str:
    """Each parametrized test of a module as a sentence and its rows."""
    lines = [f"# {title}", "", "Every row is a test that runs with the suite. Empty cells are not known.", ""]
    for name, function in vars(module).items():
        if isinstance(function, FunctionType) and name.startswith("test_"):
            for columns, rows in _tables_of(function):
                sentence = name.removeprefix("test_").replace("_", " ")
                lines += [f"## {sentence[0].upper()}{sentence[1:]}", "", _row(columns), _row(["---"] * len(columns))]
                lines += [*(_row([_cell(value) for value in row]) for row in rows), ""]
    return "\n".join(lines)


def _tables_of(function: FunctionType) -> Iterator[tuple[list[str], list[list[Any]]]]:
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            names, values = mark.args[0], mark.args[1]
            columns = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
            rows = [getattr(row, "values", row) for row in values]
            yield [c.replace("_", " ") for c in columns], [[row] if len(columns) == 1 else list(row) for row in rows]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None or value == "":
        return " "
    if isinstance(value, list | tuple):
        return "; ".join(_cell(one) for one in value)
    if isinstance(value, date):
        return value.isoformat()
    return str(getattr(value, "value", value)).replace("|", "/").replace("\n", " ")


# --- the rule sets ---------------------------------------------------------------------------------------------------


def rules_page() -> str:
    """Every shipped rule set with its parameters, sources, and what nobody has confirmed yet."""
    lines = [
        "# Rule sets",
        "",
        "Shipped as files and never edited in place: a change is a new file with the next number. *Unconfirmed* "
        "parameters are",
        "named defaults that no source read has confirmed; a clinician checks them before they are relied on. "
        "*Not in our",
        "sources* is what no text that was read gives: it is left out, and where another set stands in, that one "
        "is cited.",
        "",
    ]
    for rules in load_rule_sets().values():
        lines += _rule_set(rules)
    lines += ["## Disagreements settled in one way only", "", "| register | what is done |", "| --- | --- |"]
    lines += [*(_row([register, text]) for register, text in SETTLED_ELSEWHERE.items()), ""]
    return "\n".join(lines)


def _rule_set(rules: RuleSet) -> list[str]:
    return [
        f"## {rules.title}",
        "",
        f"`{rules.id}` · {rules.kind} · population: {rules.population.value} · evidence: {rules.evidence.value} · "
        f"{rules.citation}",
        "",
        *_links(rules),
        "| parameter | value | register | confirmed | note |",
        "| --- | --- | --- | --- | --- |",
        *(
            _row(
                [
                    p.name,
                    _cell(_shown(p.value)),
                    p.register or " ",
                    "yes" if p.confirmed else "**unconfirmed**",
                    _cell(p.note),
                ]
            )
            for p in rules.parameters.values()
        ),
        "",
    ]


def _links(rules: RuleSet) -> list[str]:
    """What is not in our sources, who stands in, and which set supersedes which."""
    newer = superseded_by(rules)
    said = [f"Supersedes `{rules.supersedes}`."] if rules.supersedes else []
    said += [f"Superseded by `{newer.id}`."] if newer else []
    said += [f"Not in our sources: {', '.join(rules.not_in_our_sources)}."] if rules.not_in_our_sources else []
    said += [f"There `{rules.lender.id}` stands in."] if rules.lender else []
    return [" ".join(said), ""] if said else []


def _shown(value: object) -> object:
    """A typed parameter as its fields in words."""
    if isinstance(value, tuple | list):
        return [_shown(one) for one in value]
    slots = getattr(value, "__slots__", None)
    if slots and not isinstance(value, str):
        return ", ".join(f"{n} {_cell(_shown(getattr(value, n)))}" for n in slots if getattr(value, n) is not None)
    return value


# --- patients with a trap --------------------------------------------------------------------------------------------


def traps_page() -> str:
    """Whole patients, loaded from files, and what their pages say."""
    lines = [
        "# Patients with one trap each",
        "",
        "Each row is a patient whom the tests load from files; the last column stands on the page of that patient.",
        "",
        _row(list(COLUMNS)),
        _row(["---"] * len(COLUMNS)),
        *(_row([_cell(value) for value in trap]) for trap in TRAPS),
        "",
    ]
    return "\n".join(lines)


# --- scoring ---------------------------------------------------------------------------------------------------------


def scoring_page() -> str:
    """The page on scoring."""
    lines = [
        "# Scoring one measurement",
        "",
        f"Rule set `{EUTOS_2015.version}`. Limits: White 2022 (doi 10.1038/s41375-022-01607-z), NCI PDQ Adult "
        f"CML. Control",
        "copies and replicates: EUTOS, Cross 2015 (doi 10.1038/leu.2015.29). Classes are decided on the percentage, "
        "inclusive.",
        "",
        "| class | at most, % IS |",
        "| --- | --- |",
        *(f"| {c.value} | {limit} |" for c, limit in reversed(CLASS_LIMITS_PERCENT)),
        "",
        "| control gene | MR4, and per replicate | MR4.5 | MR5 |",
        "| --- | --- | --- | --- |",
        *(
            f"| {gene.value} | {limits.mr4} | {limits.mr4_5} | {limits.mr5} |"
            for gene, limits in CONTROL_LIMITS.items()
        ),
        "",
        f"A positive replicate below {EUTOS_2015.low_positive_floor_copies} copies counts as "
        f"{EUTOS_2015.low_positive_floor_copies}",
        "(not in digital PCR). A positive replicate in a poor tube never vanishes in favour of a deeper class.",
        "",
        "| example | replicates (BCR::ABL1 / control) | gene | factor | % IS | MR | class | flags |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(cell or '–' for cell in row)} |" for row in WORKED_EXAMPLES),
        "",
    ]
    return "\n".join(lines)


def check() -> int:
    """Whether every page is what the tables say; tells those that are not."""
    stale = [n for n, text in pages().items() if not (FOLDER / n).exists() or (FOLDER / n).read_text("utf-8") != text]
    for name in stale:
        sys.stderr.write(f"docs/clinical/{name} is not what the tables say; run: python -m scripts.clinical_pages\n")
    return 1 if stale else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(check())
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
