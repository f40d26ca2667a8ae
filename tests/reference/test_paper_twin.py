"""The published study, digit by digit, through real import, worker and database.

Zhao et al. 2025 (doi 10.3760/cma.j.cn121090-20250222-00087): the synthetic twin gives the published aggregates; figures
beyond the paper were computed with R 4.2.2, survival 3.5-3.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.models import ClassificationRequest
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.processes import WORKER, command, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("broker")]

DEFINITION = {
    "slug": "zhao",
    "title": "Twin of Zhao 2025",
    "factors": [{"id": "tki", "name": "tki_months", "cut": 100}, {"id": "dmr", "name": "dmr_months", "cut": 72}],
}


@pytest.fixture
def loaded(tmp_path: Path) -> Path:
    """The twin, imported by the commands while a worker classifies."""
    with running(*WORKER, log=tmp_path / "worker.log"):
        for kind in ("patients", "treatments", "observations", "results"):
            command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"))
        wait_until(lambda: not ClassificationRequest.objects.exists(), 60, "the worker did not classify everybody")
    assert "0 differences" in command("check_response_ledger").stderr
    return tmp_path


def figures(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "c.json").write_text(json.dumps({**DEFINITION, **changes}))
    command("define_cohort", str(folder / "c.json"))
    command("recompute_cohorts", "--cohort", "zhao")
    found: dict[str, Any] = json.loads(command("cohort_report", "zhao").stdout)
    return found


def test_every_figure_of_the_study(loaded: Path) -> None:
    f = figures(loaded)
    assert f["counts"] == {"members": 36, "events": 15, "censored": 21, "excluded": {}}
    table = f["table1"]
    assert table["sex"] == {"F": 19, "M": 17}
    for name, published in {
        "age_at_diagnosis": (11, 5, 16), "age_at_stop": (20, 14, 25), "tki_months": (96, 84, 121),
        "time_to_dmr_months": (21, 13, 38), "dmr_months": (74, 63, 89), "follow_up_months": (38, 15, 68),
    }.items():  # fmt: skip
        assert tuple(round(table[name][q]) for q in ("median", "q1", "q3")) == published, name
    assert [round(table["follow_up_months"][q], 2) for q in ("median", "q1", "q3")] == [38.00, 15.01, 68.01]
    assert table["withdrawal_syndrome"]["n"] == 2
    loss = f["outcomes_after_loss"]
    assert [round(loss["months_to_loss"][q], 2) for q in ("median", "q1", "q3")] == [4.99, 3.02, 11.10]
    assert loss["restarted"] == {"dasatinib": 2, "imatinib": 13}
    assert (loss["regained_dmr"], *[round(loss["months_restart_to_dmr"][q]) for q in ("median", "q1", "q3")]) == (
        13,
        5,
        3,
        17,
    )

    at = {one["months"]: one for one in f["kaplan_meier"]["landmarks"]}
    assert [round(100 * at[m]["estimate"], 3) for m in (6, 12, 24, 36)] == [74.054, 60.715, 60.715, 56.044]
    assert [round(100 * at[6][side], 3) for side in ("lower", "upper")] == [55.987, 85.594]
    assert f["crude"]["in_remission"] == 21
    assert round(100 * f["crude"]["proportion"], 1) == 58.3
    assert round(f["kaplan_meier"]["median_months"]["estimate"], 1) == 41.0
    assert round(f["follow_up"]["median_months"], 1) == 37.0

    tki, dmr = f["univariate"]
    assert [(g["label"], g["members"] - g["events"], g["members"]) for g in tki["groups"]] == [
        (">= 100", 14, 17),
        ("< 100", 7, 19),
    ]
    assert [(g["label"], g["members"] - g["events"], g["members"]) for g in dmr["groups"]] == [
        (">= 72", 16, 19),
        ("< 72", 5, 17),
    ]
    assert [round(tki["logrank"]["p"], 5), round(tki["yates_p"], 4), round(tki["fisher_p"], 4)] == [
        0.01683,
        0.0152,
        0.0080,
    ]
    assert [round(dmr["logrank"]["p"], 5), round(dmr["yates_p"], 4), round(dmr["fisher_p"], 4)] == [
        0.00344,
        0.0028,
        0.0019,
    ]
    assert [round(dmr["cox"][k], 5) for k in ("hr", "lower", "upper", "p")] == [5.41871, 1.52359, 19.27178, 0.00904]
    (term,) = f["cox"]["terms"]
    assert (term["id"], term["level"], term["reference"]) == ("dmr", "< 72", ">= 72")
    assert round(term["hr"], 3) == 5.419
    assert [d["id"] for d in f["cox"]["selection"]["dropped"]] == ["tki"]


def test_both_durations_in_one_model_and_the_other_transforms(loaded: Path) -> None:
    both = figures(loaded, cox=["dmr", "tki"])["cox"]["terms"]
    assert [[round(t[k], 3) for k in ("hr", "lower", "upper", "p")] for t in both] == [
        [3.818, 0.982, 14.847, 0.053],
        [2.398, 0.618, 9.304, 0.206],
    ]
    for transform, limits in {"log": (60.771, 90.239), "linear": (59.415, 88.692)}.items():
        f = figures(loaded, confidence={"transform": transform})
        six = next(one for one in f["kaplan_meier"]["landmarks"] if one["months"] == 6)
        assert (round(100 * six["lower"], 3), round(100 * six["upper"], 3)) == limits
        assert f["kaplan_meier"]["transform"] == transform
