"""What leaves the house: words and pictures of the report, the PDF, and a bundle whose scripts rebuild the figures."""

import csv
import dataclasses
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.utils import translation

from cohorts.domain.definition_file import as_json, parse_definition
from cohorts.domain.figures.compute import compute_figures
from cohorts.domain.member_table import MemberTable
from cohorts.reports.bundle import bundle_of
from cohorts.reports.document import document_of
from cohorts.reports.pictures import pictures_of
from cohorts.reports.printed import printed_report
from cohorts.selectors.disclosure import without_single_events, without_small_groups
from cohorts.services.recompute import without_nan
from monitoring.domain.course.series import Fact, FactKind
from monitoring.domain.following.reading import PatientHistory
from tests.builders import course, day, deep, point
from tests.cohorts.cohorts import table_of
from tests.cohorts.test_again import AGAIN
from tests.cohorts.test_members import AS_OF, history

pytestmark = pytest.mark.xdist_group("reports")  # its bundles are written once

DEFINITION = parse_definition({
    "slug": "c", "title": "Who stopped", "strata": ["sex"],
    "factors": [
        {"name": "tki_months", "cut": 60, "chosen_on_data": True}, {"name": "tki_months"}, {"name": "sex"},
        {"name": "risk_group"}, {"name": "age_at_stop"}, {"name": "dmr_months", "cut": 12},
    ],
    "cox": ["tki_months_60", "sex"], "model": {"penalised": True},
})  # fmt: skip
BASIS = {
    "cohort": "c", "title": "Who stopped", "data_cutoff": "2030-01-01", "computed_at": "2030-01-02T03:04:05+00:00",
    "confirmed_at": "2030-01-02T03:04:05+00:00", "digest": "0f" * 32, "rule_versions": {"response": "EUTOS"},
    "library_versions": {"numpy": "2"}, "figures_version": 5,
}  # fmt: skip


def people() -> list[PatientHistory]:
    """Losses, restarts, a death and another stop, in two centres, with unknown risk and tied days."""
    found = []
    for n in range(48):
        on = 60 + 30 * (n % 11)
        points = [deep(-400), deep(-10), deep(20), point(on, "1") if n % 2 else deep(on), deep(on + 400)]
        courses = [course(-700 - 90 * ((n * 7) % 29), 0)]
        facts: list[Fact] = []
        if n % 8 == 2:
            courses.append(course(on + 1, None))
        if n % 16 == 4:
            facts.append(Fact(FactKind.DEATH, day(on + 5)))
        patient = history(points if n % 2 == 0 else points[:-1], courses, facts)
        found.append(
            dataclasses.replace(
                patient, patient_id=f"P{n}", centre=f"H{1 + n % 3}", sex="FM"[n % 5 % 2],
                risk_group=("low", "high", "")[n % 3],
            )
        )  # fmt: skip
    return [*found, *(dataclasses.replace(AGAIN, patient_id=f"A{n}", risk_group="low") for n in range(3))]


@pytest.fixture(scope="module")
def table() -> MemberTable:
    return table_of(people(), DEFINITION, AS_OF)[0]


@pytest.fixture(scope="module")
def shown(table: MemberTable) -> dict[str, Any]:
    figures = without_nan(compute_figures(table, DEFINITION, AS_OF))
    return json.loads(json.dumps({**BASIS, "definition": as_json(DEFINITION), **figures}))


def words_of(shown: dict[str, Any], language: str) -> str:
    with translation.override(language):
        document = document_of(shown, language)
        parts = [document.title, *document.basis]
        for section in document.sections:
            parts += [section.title, *section.paragraphs]
            for table in section.tables:
                assert all(len(row) == len(table.head) for row in table.rows), (section.title, table)
                parts += [table.caption, *table.head, *(cell for row in table.rows for cell in row)]
        return "\n".join(map(str, parts))


def test_the_report_says_on_what_it_rests_and_never_confuses_two_proportions(shown: dict[str, Any]) -> None:
    words = words_of(shown, "en")
    crude, at_12 = shown["crude"], shown["kaplan_meier"]["landmarks"][2]
    for expected in (
        "Data up to 2030-01-01", "figures version 5", "digest 0f0f0f0f",
        f"Crude proportion in remission at the last observation: {crude['in_remission']}/{crude['members']}",
        f"{100 * at_12['estimate']:.1f}", "Kaplan-Meier, %", "cause-specific", "Cumulative incidence", "Methods",
        "the cut was chosen on these data", "Odds ratio of remission", "log-rank, stratified",
        "no rule of stopping follows",
    ):  # fmt: skip
        assert expected in words, expected


def test_what_is_withheld_is_said_and_not_printed(shown: dict[str, Any]) -> None:
    hidden = without_single_events(without_small_groups(shown))
    words = words_of(hidden, "en")
    assert "Withheld: " in words
    for gone in ("Members\n", "At fixed times", "What is not known", "also after another stop"):
        assert gone not in words
    assert "kaplan-meier" not in [picture.name for picture in pictures_of(hidden)]
    few = without_small_groups({**shown, "counts": {**shown["counts"], "members": 3}})
    assert "fewer than 5 members" in words_of(few, "en")


def test_pictures_are_drawings_with_a_risk_table(shown: dict[str, Any]) -> None:
    with translation.override("zh-hans"):
        pictures = {picture.name: picture for picture in pictures_of(shown)}
        again = {picture.name: picture for picture in pictures_of(shown)}
    assert {
        "kaplan-meier", "cumulative-incidence", "centres", "factor-1", "factor-3", "factor-4", "spline-2",
    } <= set(pictures)  # fmt: skip
    for name, picture in pictures.items():
        svg = picture.svg()
        ElementTree.fromstring(svg)
        if name in ("kaplan-meier", "centres"):
            assert again[name].svg() == svg
            assert picture.png().startswith(b"\x89PNG")
    ticks = pictures["kaplan-meier"].figure.axes[0]
    numbers = [text.get_text() for text in ticks.texts]
    assert str(shown["counts"]["members"]) in numbers  # at risk at month 0
    assert str(shown["counts"]["events"]) in numbers  # events at the end of the axis
    colours = {line.get_color() for picture in pictures.values() for axes in picture.figure.axes for line in axes.lines}
    assert colours <= {"black", "0.3", "0.4"}  # legible in grey


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_printed_report_is_the_same_file_for_the_same_figures(shown: dict[str, Any], language: str) -> None:
    first = printed_report(shown, language)
    assert first.startswith(b"%PDF-")
    assert len(first) > 50_000
    assert printed_report(shown, language) == first


def test_the_words_of_the_chinese_report_are_chinese(shown: dict[str, Any]) -> None:
    words = words_of(shown, "zh-hans")
    for english in ("members", "Methods", "not known", "remission", "events"):
        assert english not in words, english


# --- bundle ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(shown: dict[str, Any], table: MemberTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = bundle_of(shown, table)
    assert raw == bundle_of(shown, table)
    folder = tmp_path_factory.mktemp("bundle")
    zipfile.ZipFile(io.BytesIO(raw)).extractall(folder)
    return folder / "c"


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rebuilt(bundle: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=bundle, capture_output=True, text=True, timeout=300, check=False)


def test_the_bundle_holds_every_row_and_says_what_each_column_means(bundle: Path, table: MemberTable) -> None:
    rows = read_rows(bundle / "rows.csv")
    meanings = {row["column"]: row["meaning"] for row in read_rows(bundle / "dictionary.csv")}
    assert len(rows) == len(table)
    assert set(rows[0]) == set(meanings)
    assert all(meanings.values())
    assert "x.sex.M" in meanings or "x.sex.F" in meanings
    assert sum(row["status"] == "2" for row in rows) > 2
    assert "figures version 5" in (bundle / "versions.txt").read_text()


def test_the_python_script_rebuilds_the_figures_and_names_one_that_was_changed(bundle: Path) -> None:
    told = rebuilt(bundle, sys.executable, "rebuild.py")
    assert told.returncode == 0, told.stdout + told.stderr
    agreeing = int(told.stdout.splitlines()[-2].split()[0])
    assert agreeing > 200, told.stdout
    figures = (bundle / "figures.tsv").read_text()
    changed = figures.replace("counts.events\t", "counts.events\t9")
    (bundle / "figures.tsv").write_text(changed)
    told = rebuilt(bundle, sys.executable, "rebuild.py")
    (bundle / "figures.tsv").write_text(figures)
    assert told.returncode == 1
    assert "counts.events\tsnapshot 9" in told.stdout


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with survival and cmprsk")
def test_the_r_script_rebuilds_the_figures(bundle: Path) -> None:
    told = rebuilt(bundle, "Rscript", "rebuild.R")
    assert told.returncode == 0, told.stdout + told.stderr
    line = next(line for line in told.stdout.splitlines() if "figures agree" in line)
    assert int(line.split()[0]) > 700, told.stdout
    for section in ("cox", "competing_risks", "current_remission", "odds_ratios"):
        assert section in (bundle / "figures.tsv").read_text()


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with mice")
def test_the_script_of_imputation_pools_the_models(bundle: Path) -> None:
    if rebuilt(bundle, "Rscript", "-e", "library(mice)").returncode:
        pytest.skip("needs R's package mice")
    told = rebuilt(bundle, "Rscript", "impute.R")
    assert told.returncode == 0, told.stderr
    assert "members lack something" in told.stdout
    for place in ("univariate[3].cox", "x.risk_group.high", "x.sex.M", "x.tki_months_60.< 60"):
        assert place in told.stdout, told.stdout


# --- other cohorts -----------------------------------------------------------------------------------------------


def written(people: list[PatientHistory], folder: Path, **definition: Any) -> Path:
    """The bundle of a cohort of these people, unpacked."""
    parsed = parse_definition({"slug": "c", "title": "A$x$ _b", **definition})
    table, passed_over = table_of(people, parsed, AS_OF)
    figures = without_nan(compute_figures(table, parsed, AS_OF, passed_over))
    shown = json.loads(json.dumps({**BASIS, "title": parsed.title, "definition": as_json(parsed), **figures}))
    zipfile.ZipFile(io.BytesIO(bundle_of(shown, table))).extractall(folder)
    return folder / "c"


def elsewhere(n: int, patient: PatientHistory) -> PatientHistory:
    return dataclasses.replace(patient, centre=("B1", "a2", "Z$x$")[n % 3])


NUMBER = {"name": "tki_months"}
COHORTS: dict[str, tuple[list[PatientHistory], dict[str, Any]]] = {
    "numbers only": (people(), {"factors": [NUMBER, {"name": "age_at_stop"}]}),
    "no factor": (people(), {}),
    "nobody": ([], {"factors": [NUMBER, {"name": "sex"}]}),
    "no event, but restarts": (
        [p for p in people() if not any(q.response_class.value == "NO_MMR" for q in p.points)],
        {"factors": [{"name": "sex"}]},
    ),
    "all attempts": (people(), {"attempts": "all", "factors": [{"name": "sex"}]}),
    "a landmark": (people(), {"landmark_months": 3, "factors": [{"name": "mr4_5_at_month_3"}, {"name": "sex"}]}),
    "a candidate with gaps is dropped": (people(), {"factors": [{"name": "risk_group"}, NUMBER, {"name": "sex"}]}),
    "centres in another order": ([elsewhere(n, p) for n, p in enumerate(people())], {"factors": [{"name": "centre"}]}),
    "ids with a dot and a slash": (
        people(),
        {"factors": [{"id": "a", "name": "risk_group"}, {"id": "a.high", "name": "sex"}, {"id": "../m/x", **NUMBER}]},
    ),
}  # fmt: skip


# One process for all of them: it takes seconds to load lifelines.
REBUILD_ALL = """
import os, runpy, sys
for folder in sys.argv[1:]:
    os.chdir(folder)
    try:
        runpy.run_path("rebuild.py")
    except SystemExit as end:
        print("ended", end.code)
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for number, (name, (people_of, definition)) in enumerate(COHORTS.items()):
        found[name] = written(people_of, tmp_path_factory.mktemp(f"cohort{number}"), **definition)
    return found


def test_the_python_script_rebuilds_cohorts_of_every_shape(bundles: dict[str, Path]) -> None:
    told = rebuilt(bundles["nobody"], sys.executable, "-c", REBUILD_ALL, *map(str, bundles.values()))
    lines = [line for line in told.stdout.splitlines() if "figures agree" in line]
    assert len(lines) == len(COHORTS), told.stdout + told.stderr
    assert all(" 0 differ" in line for line in lines), told.stdout


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with survival and cmprsk")
@pytest.mark.parametrize("cohort", COHORTS)
def test_the_r_script_rebuilds_cohorts_of_every_shape(bundles: dict[str, Path], cohort: str) -> None:
    told = rebuilt(bundles[cohort], "Rscript", "rebuild.R")
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("cohort", ["nobody", "no event, but restarts", "ids with a dot and a slash"])
def test_cohorts_of_every_shape_are_printed(bundles: dict[str, Path], cohort: str) -> None:
    shown = json.loads((bundles[cohort] / "figures.json").read_text(encoding="utf-8"))
    assert printed_report(shown, "en").startswith(b"%PDF")


def test_a_model_that_dropped_an_incomplete_candidate_is_rebuilt_in_its_own_rows(
    table: MemberTable, tmp_path: Path
) -> None:
    parsed = dataclasses.replace(DEFINITION, cox=("risk_group", "sex"))
    figures = without_nan(compute_figures(table, parsed, AS_OF))
    # As if backward selection had kept sex alone among those in whom the risk group is known.
    alone = dataclasses.replace(parsed, cox=("sex",))
    known = table.of(table.included & table.groupings["risk_group"].known)
    kept = without_nan(compute_figures(known, alone, AS_OF))["cox"]
    kept["selection"] |= {"candidates": ["risk_group", "sex"]}
    shown = json.loads(json.dumps({**BASIS, "definition": as_json(parsed), **figures, "cox": kept}))
    zipfile.ZipFile(io.BytesIO(bundle_of(shown, table))).extractall(tmp_path)
    told = rebuilt(tmp_path / "c", sys.executable, "rebuild.py")
    assert told.returncode == 0, told.stdout
