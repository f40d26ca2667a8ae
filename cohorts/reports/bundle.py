"""The statistician's bundle: rows, their dictionary, every figure, and scripts in R and Python that rebuild them.

Nothing in it needs this service: the scripts read the files beside them and print what differs.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cohorts.domain.definition import Definition, Factor
from cohorts.domain.definition_file import parse_definition
from cohorts.domain.figures.risks import how_ended
from cohorts.domain.figures.terms import model_columns
from cohorts.domain.member_table import Column, MemberTable
from cohorts.reports.dictionary import meaning_of
from monitoring.domain.text.spreadsheet import as_cell

FILES = Path(__file__).parent / "files"
SCRIPTS = ("rebuild.R", "rebuild.py", "impute.R", "README.txt")
# One time for every file: the same snapshot gives the same archive.
STAMP = (1980, 1, 1, 0, 0, 0)


def bundle_of(shown: Mapping[str, Any], table: MemberTable) -> bytes:
    """The archive of a snapshot whose rows may all be seen."""
    definition = parse_definition(shown["definition"])
    members = table.members
    columns, terms = _design(members, shown, definition)
    rows = {**_columns(table), **_spread(table, columns)}
    if "synthetic" in shown:
        rows["synthetic"] = [shown["synthetic"]] * len(table)
    files = {
        "rows.csv": _csv(list(rows), zip(*rows.values(), strict=True)),
        "dictionary.csv": _csv(["column", "meaning"], ([name, meaning_of(name, definition)] for name in rows)),
        "terms.csv": _csv(["place", "column", "group"], terms),
        "figures.json": json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "figures.tsv": "".join(f"{place}\t{value}\n" for place, value in flat("", shown)),
        "settings.csv": _csv(["name", "value"], _settings(definition, shown["data_cutoff"])),
        "versions.txt": _versions(shown),
        **{name: (FILES / name).read_text(encoding="utf-8") for name in SCRIPTS},
    }
    return archive_of({f"{shown['cohort']}/{name}": content.encode() for name, content in files.items()})


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """Files in one archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def _csv(head: Sequence[str], rows: Any) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue()


def flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every number of a snapshot with its place, such as ``kaplan_meier.points[3].estimate``."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flat(f"{place}.{name}" if place else str(name), inner)
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            yield from flat(f"{place}[{position}]", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, repr(value)


def _columns(table: MemberTable) -> dict[str, list[str]]:
    """All that is frozen of the rows, and the groups, as texts; what is not known is empty."""
    found = {"included": ["true" if one else "false" for one in table.included]}
    found |= {name: _texts(column) for name, column in table.columns.items()}
    ended = how_ended(table)
    found["status"] = [str(code) if one else "" for code, one in zip(ended, table.included, strict=True)]
    for factor, grouping in table.groupings.items():
        labels = (*grouping.labels, "")
        found[f"group.{factor}"] = [labels[code] for code in grouping.codes]
    return {name: [str(as_cell(text)) for text in texts] for name, texts in found.items()}


def _texts(column: Column) -> list[str]:
    if column.dtype.kind == "M":
        return ["" if np.isnat(one) else str(one) for one in column]
    if column.dtype == bool:
        return ["true" if one else "false" for one in column]
    if column.dtype.kind == "f":
        return ["" if np.isnan(one) else repr(float(one)) for one in column]
    return [str(one) for one in column]


def _design(
    members: MemberTable, shown: Mapping[str, Any], definition: Definition
) -> tuple[dict[str, Column], list[tuple[str, str, str]]]:
    """The columns of every model among the members, and which coefficient in the figures each belongs to.

    With the column that holds the groups of its factor, where it has any.
    """
    columns: dict[str, Column] = {}
    terms: list[tuple[str, str, str]] = []

    def add(place: str, factors: Sequence[Factor], complete_in: Sequence[str] = ()) -> None:
        known = np.ones(len(members), bool)
        for factor in (*factors, *map(definition.factor, complete_in)):
            known &= members.is_known(factor)
        design = model_columns(factors, members.of(known))
        for position, label in enumerate(design.labels):
            name = f"x.{label['id']}" + (f".{label['level']}" if label["reference"] else "")
            column = np.full(len(members), np.nan)
            column[known] = design.values[:, position]
            if name in columns and not np.array_equal(columns[name], column, equal_nan=True):
                name += f".{len(columns)}"
            columns[name] = column
            group = f"group.{label['id']}" if label["id"] in members.groupings else ""
            terms.append((place, name, group))

    for position, factor in enumerate(definition.factors):
        add(f"univariate[{position}].cox", [factor])
    if shown.get("cox"):
        ids = list(dict.fromkeys(term["id"] for term in shown["cox"]["terms"]))
        # The model's rows are those in which every candidate is known, also those that it dropped.
        add("cox", [definition.factor(one) for one in ids], shown["cox"]["selection"]["candidates"])
    return columns, terms


def _spread(table: MemberTable, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    """The columns of the members as columns of all rows."""
    found = {}
    for name, column in columns.items():
        whole = np.full(len(table), np.nan)
        whole[table.included] = column
        found[name] = _texts(whole)
    return found


def _settings(definition: Definition, cutoff: str) -> list[tuple[str, str]]:
    return [
        ("transform", definition.transform),
        ("level", repr(definition.level)),
        ("ties", definition.ties),
        ("attempts", definition.attempts),
        ("endpoint", definition.endpoint),
        ("landmark_months", str(definition.landmark_months or 0)),
        ("data_cutoff", cutoff),
    ]


def _versions(shown: Mapping[str, Any]) -> str:
    lines = [
        f"cohort {shown['cohort']}",
        f"digest {shown['digest']}",
        f"data up to {shown['data_cutoff']}",
        f"computed at {shown['computed_at']}",
        f"figures version {shown.get('figures_version')}",
        *(f"rule {name} {version}" for name, version in sorted(shown["rule_versions"].items())),
        *(f"{name} {version}" for name, version in sorted((shown.get("library_versions") or {}).items())),
    ]
    return "\n".join(lines) + "\n"
