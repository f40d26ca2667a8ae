"""The data sets and figures of ``tests/reference/r``: what R says, read as arrays."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cohorts.domain.engine.arrays import Bools, Floats, Ints, Times
from cohorts.domain.engine.multistate import Stays

FOLDER = Path(__file__).parent / "r"
NAMES = sorted(path.stem for path in (FOLDER / "data").glob("*.csv"))
PATHS = sorted(path.stem for path in (FOLDER / "paths").glob("*.csv"))
_KEYS = ("days", "status", "group", "stratum", "cluster")


@dataclass
class RData:
    """One data set: 0 censored, 1 event, 2 competing event; groups, strata and clusters as numbers."""

    days: Ints
    status: Ints
    group: Ints
    stratum: Ints
    cluster: Ints
    group_names: list[str]
    columns: list[str]
    covariates: Floats
    figures: dict[str, Floats] = field(repr=False)

    @property
    def times(self) -> Times:
        return Times(self.days, self.status == 1)

    def of_group(self, name: str) -> Bools:
        return np.full(len(self.days), True) if name == "all" else self.group == self.group_names.index(name)

    def column(self, name: str) -> Floats:
        return self.covariates[:, [self.columns.index(name)]]


def read(name: str) -> RData:
    """The data of one set with every figure that R gave for it."""
    with (FOLDER / "data" / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = [key for key in rows[0] if key not in _KEYS]

    def numbered(key: str) -> tuple[list[str], Ints]:
        names, numbers = np.unique([row[key] for row in rows], return_inverse=True)
        return [str(n) for n in names], numbers.astype(np.int64)

    group_names, group = numbered("group")
    return RData(
        days=np.array([int(row["days"]) for row in rows]),
        status=np.array([int(row["status"]) for row in rows]),
        group=group,
        stratum=numbered("stratum")[1],
        cluster=numbered("cluster")[1],
        group_names=group_names,
        columns=columns,
        covariates=np.array([[float(row[key]) for key in columns] for row in rows]),
        figures=_figures(name),
    )


def read_stays(name: str) -> tuple[Stays, dict[str, Floats]]:
    """The stays of one set of paths, and every figure that R gave for it."""
    with (FOLDER / "paths" / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = (np.array([int(row[key]) for row in rows]) for key in ("patient", "state", "start", "end", "to"))
    return Stays(*columns), _figures(f"paths_{name}")


def _figures(name: str) -> dict[str, Floats]:
    figures = {}
    for line in (FOLDER / "expected" / f"{name}.tsv").read_text().splitlines():
        key, _tab, values = line.partition("\t")
        if key not in ("R", "survival", "cmprsk"):
            figures[key] = np.array([np.nan if v == "NA" else float(v) for v in values.split()])
    return figures
