"""Runs of the bench on their pages: rows kept as typed, what each would do, controls, submitting, rejecting."""

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring import clock
from monitoring.models import (
    Alert,
    BenchRun,
    Centre,
    ConversionFactor,
    Laboratory,
    Patient,
    PcrResult,
    Role,
    RunControl,
    RunRow,
    TkiCourse,
)
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.tokens import create_token
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db


def ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def laboratory(centre: Centre) -> Laboratory:
    return reporting("LAB", centre)


@pytest.fixture
def bench(laboratory: Laboratory, member: Callable[..., User], centre: Centre) -> Client:
    client = Client()
    client.force_login(member("tess", centre, Role.TECHNICIAN))
    return client


@pytest.fixture
def off_treatment(patient: Patient, ada: User) -> Patient:
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(90), stop_reason="tfr_attempt"
    )
    record_result(report("B1", ago(40), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    return patient


def header(**more: str) -> dict[str, str]:
    return {
        "laboratory": "LAB", "name": "R1", "run_on": ago(0), "control_gene": "ABL1", "specimen": "PB", "tubes": "1",
        "conversion_factor": "1", **more,
    }  # fmt: skip


def started(bench: Client, **more: str) -> BenchRun:
    answer = bench.post("/bench/", header(**more))
    assert answer.status_code == 302, answer.content.decode()
    return BenchRun.objects.get(name=more.get("name", "R1"))


def cells(accession: str = "E1", **more: str) -> dict[str, str]:
    return {
        "accession_number": accession, "patient_id": "P1", "collected_on": ago(5), "bcr_abl1_copies_1": "u",
        "control_gene_copies_1": "50000", **more,
    }  # fmt: skip


def send(bench: Client, run: BenchRun, *rows: tuple[int, int, dict[str, str]], **more: Any) -> dict[str, Any]:
    body = {"rows": [{"place": place, "seen": seen, "cells": typed} for place, seen, typed in rows], **more}
    answer = bench.post(f"/bench/runs/{run.public_id}/rows/", json.dumps(body), content_type="application/json")
    assert answer.status_code == more.get("status", 200), answer.content.decode()
    return dict(answer.json())


def submit(bench: Client, run: BenchRun, *, looked: bool = True) -> Any:
    address = f"/bench/runs/{run.public_id}/submit/"
    page = bench.get(address).content.decode()
    seen = page.split('name="seen" value="')[1].split('"')[0]
    return bench.post(address, {"seen": seen, "looked": "yes" if looked else ""})


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_is_kept_as_it_was_typed_and_says_what_it_would_be(bench: Client, off_treatment: Patient) -> None:
    run = started(bench)
    (row,) = send(bench, run, (3, 0, cells(bcr_abl1_copies_1="60")))["rows"]
    assert (row["place"], row["version"], row["state"], row["problems"]) == (3, 1, "look", {})
    assert "no MMR" in row["html"]
    assert "0.12 % IS" in " ".join(row["html"].split())
    assert "Opens an alert: loss of MMR off treatment (provisional)." in row["html"]
    assert "sees MR4.5" in " ".join(row["html"].split())
    kept = RunRow.objects.get()
    assert kept.cells["bcr_abl1_copies_1"] == "60"
    assert PcrResult.objects.count() == 1, "nothing is stored as a result"
    assert 'value="60"' in bench.get(f"/bench/runs/{run.public_id}/").content.decode()
    assert send(bench, run, (3, 1, {}))["rows"][0]["state"] == "empty"
    assert not RunRow.objects.exists()


def test_all_problems_of_a_row_are_said_at_once(bench: Client, patient: Patient) -> None:
    run = started(bench)
    typed = cells(patient_id="NOBODY", collected_on="2025-02-30", bcr_abl1_copies_1="many", control_gene_copies_1="-5")
    (row,) = send(bench, run, (1, 0, typed))["rows"]
    assert set(row["problems"]) == {"patient_id", "collected_on", "bcr_abl1_copies_1", "control_gene_copies_1"}
    assert row["state"] == "invalid"


def test_the_preview_promises_nothing_that_storing_refuses(bench: Client, patient: Patient, ada: User) -> None:
    record_result(report("OLD", ago(30), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    run = started(bench)
    tomorrow = (clock.now().date() + dt.timedelta(days=3)).isoformat()
    answer = send(
        bench, run, (1, 0, cells("OLD", bcr_abl1_copies_1="60")), (2, 0, cells("E2", collected_on=tomorrow)),
        (3, 0, cells("E3")), (4, 0, cells("E3")),
    )  # fmt: skip
    known, future, first, second = answer["rows"]
    assert "accession_number" in known["problems"] or "bcr_abl1_copies_1" in known["problems"]
    assert f"/results/{PcrResult.objects.get().public_id}/" in known["html"]
    assert "lies after the day of the run" in future["problems"]["collected_on"]
    assert first["problems"] == {}
    assert second["problems"] == {"accession_number": "stands in row 3 already"}
    assert "is stored already" in send(bench, run, (1, 1, cells(
        "OLD", collected_on=ago(30), control_gene_copies_1="60000"
    )))["rows"][0]["problems"]["accession_number"]  # fmt: skip


def test_a_failed_tube_asks_for_a_look(bench: Client, patient: Patient) -> None:
    run = started(bench)
    (row,) = send(bench, run, (1, 0, cells(bcr_abl1_copies_1="f")))["rows"]
    assert row["state"] == "look"
    assert "invalid" in row["html"]
    assert "not detected" not in row["html"]


def test_the_end_of_a_pseudonym_stands_for_the_only_one_that_has_it(bench: Client, centre: Centre) -> None:
    for name in ("CML-0012", "CML-0013", "CML-0113"):
        Patient.objects.create(centre=centre, patient_id=name)
    run = started(bench)
    one, two = send(bench, run, (1, 0, cells(patient_id="12")), (2, 0, cells("E2", patient_id="13")))["rows"]
    assert one["cells"]["patient_id"] == "CML-0012"
    assert "patient_id" in two["problems"]
    assert "Several end so: CML-0013, CML-0113." in " ".join(two["html"].split())
    typing = {"place": 5, "seen": 0, "cells": cells("E5", patient_id="12"), "editing": "patient_id"}
    address = f"/bench/runs/{run.public_id}/rows/"
    answer = bench.post(address, json.dumps({"rows": [typing]}), content_type="application/json").json()
    assert answer["rows"][0]["cells"]["patient_id"] == "12", "while somebody types, nothing is completed"
    dry = send(bench, run, (3, 0, cells("E3", patient_id="12")), dry=True)
    assert "refused" in dry["html"], "in a pasted block nothing is guessed"


def test_of_two_people_in_one_row_the_slower_is_told_and_overwrites_nothing_unseen(
    bench: Client, patient: Patient, member: Callable[..., User], centre: Centre
) -> None:
    run = started(bench)
    send(bench, run, (1, 0, cells("E1")))
    other = Client()
    other.force_login(member("vera", centre, Role.VERIFIER))
    send(other, run, (1, 1, cells("E9")))
    (late,) = send(bench, run, (1, 1, cells("E5")))["rows"]
    assert late["stale"]
    assert "vera has changed this row meanwhile" in " ".join(late["html"].split())
    assert (late["version"], late["cells"]["accession_number"]) == (2, "E9")
    assert RunRow.objects.get().cells["accession_number"] == "E9"
    (again,) = send(bench, run, (1, 2, cells("E5")))["rows"]
    assert not again["stale"]
    assert RunRow.objects.get().cells["accession_number"] == "E5"


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", '{"rows": 3}', '{"rows": [{"place": 97, "seen": 0, "cells": {}}]}',
        '{"rows": [{"place": 1, "seen": 0, "cells": {"status": "final"}}]}',
        '{"rows": [{"place": 1, "seen": 0, "cells": {"patient_id": 5}}]}',
        '{"rows": [{"place": 1, "seen": 0, "cells": {"patient_id": "%s"}}]}' % ("x" * 61),
        '{"rows": [{"place": 1, "seen": -1, "cells": {}}]}',
        '{"rows": [{"place": 1, "seen": 99999999999, "cells": {}}]}',
        '{"rows": [{"place": 1, "seen": 0, "cells": {}}, {"place": 1, "seen": 0, "cells": {}}]}',
        '{"rows": [{"place": 1, "seen": 0, "cells": {"patient_id": "a\\u0000"}}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_in_words(bench: Client, body: str) -> None:
    run = started(bench)
    answer = bench.post(f"/bench/runs/{run.public_id}/rows/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["problem"]
    assert not RunRow.objects.exists()


def test_a_pasted_block_says_what_it_would_be_before_anything_is_kept(bench: Client, off_treatment: Patient) -> None:
    run = started(bench)
    rows = [(n, 0, cells(f"E{n}")) for n in range(1, 6)]
    rows[1][2]["control_gene_copies_1"] = "fifty"
    rows[3][2]["bcr_abl1_copies_1"] = "60"
    said = " ".join(send(bench, run, *rows, dry=True)["html"].split())
    assert "25 cells in 5 rows, 1 refused" in said
    assert "row 2" in said
    assert "Row 4 would open an alert." in said
    assert not RunRow.objects.exists()


def test_saving_a_row_asks_no_more_of_the_database_the_more_is_stored(
    bench: Client, patient: Patient, ada: User
) -> None:
    def asked(place: int, accession: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            send(bench, run, (place, 0, cells(accession)))
        return len(queries)

    for n in range(2):
        shown = report(f"T{n}", ago(900 - n * 20), "nd/60000")
        record_result(shown, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    run = started(bench)
    asked(1, "W1")
    few = asked(2, "W2")
    for n in range(12):
        shown = report(f"S{n}", ago(400 - n * 20), "nd/60000")
        record_result(shown, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    send(bench, run, *[(n, 0, cells(f"M{n}")) for n in range(3, 60)])
    assert asked(70, "W3") <= few


def test_a_grid_of_96_rows_asks_as_many_queries_as_one_of_eight(bench: Client, patient: Patient) -> None:
    run = started(bench)
    address = f"/bench/runs/{run.public_id}/"

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert bench.get(address).status_code == 200
        return len(queries)

    send(bench, run, *[(n, 0, cells(f"E{n}")) for n in range(1, 9)])
    asked()
    few = asked()
    send(bench, run, *[(n, 0, cells(f"E{n}")) for n in range(9, 97)])
    assert asked() <= few
    assert bench.get(address).content.decode().count("data-place=") == 96


# --- header and controls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"run_on": ""}, "run_on"), ({"run_on": "2199-01-01"}, "run_on"), ({"run_on": "31.02.2025"}, "run_on"),
        ({"name": ""}, "name"), ({"tubes": "7"}, "tubes"), ({"conversion_factor": "75"}, "conversion_factor"),
        ({"conversion_factor": "x"}, "conversion_factor"), ({"control_gene": "XYZ"}, "control_gene"),
        ({"laboratory": "OTHER"}, "laboratory"),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_is_refused_at_its_field(
    bench: Client, laboratory: Laboratory, change: dict[str, str], field: str
) -> None:
    ConversionFactor.objects.create(laboratory=laboratory, factor="0.75", valid_from="2015-01-01")
    answer = bench.post("/bench/", header(**change))
    assert answer.status_code == 400
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not BenchRun.objects.exists()


def test_the_name_of_a_run_is_its_own_and_a_changed_header_judges_the_rows_anew(
    bench: Client, patient: Patient
) -> None:
    run = started(bench)
    assert bench.post("/bench/", header()).status_code == 400
    send(bench, run, (1, 0, cells(bcr_abl1_copies_1="40")))
    assert "0.08 % IS" in " ".join(bench.get(f"/bench/runs/{run.public_id}/").content.decode().split())
    answer = bench.post(f"/bench/runs/{run.public_id}/header/", header(conversion_factor="2"))
    assert answer.status_code == 302
    text = " ".join(bench.get(f"/bench/runs/{run.public_id}/").content.decode().split())
    assert "0.16 % IS" in text
    assert bench.post(f"/bench/runs/{run.public_id}/header/", header(run_on="never")).status_code == 400


def measure(bench: Client, run: BenchRun, kind: str, **values: str) -> str:
    posted = {f"{kind}-{name}": value for name, value in values.items()}
    return bench.post(f"/bench/runs/{run.public_id}/controls/{kind}/", posted).content.decode()


def test_a_failed_control_holds_the_run(bench: Client, patient: Patient) -> None:
    run = started(bench)
    send(bench, run, (1, 0, cells()))
    said = measure(
        bench, run, "high", lot="H7", target_percent="10", bcr_abl1_copies="5000", control_gene_copies="50000"
    )
    assert "passes" in said
    said = measure(bench, run, "negative", bcr_abl1_copies="3", control_gene_copies="50000")
    assert "fails" in said
    assert "must hold none" in said
    assert "the run can be rejected, not submitted" in said
    assert submit(bench, run).status_code == 409
    assert not PcrResult.objects.exists()
    assert "passes" in measure(bench, run, "negative", bcr_abl1_copies="u", control_gene_copies="50000")
    assert submit(bench, run).status_code == 302
    assert PcrResult.objects.get().run == "R1"


def test_the_strip_follows_a_control_over_lots_and_judges_within_one(
    bench: Client, laboratory: Laboratory, ada: User
) -> None:
    for n in range(24):
        run = BenchRun.objects.create(
            laboratory=laboratory, name=f"old{n}", run_on=ago(60 - n), started_by=ada, started_at=clock.now()
        )
        RunControl.objects.create(
            run=run, kind="high", lot="H1" if n < 2 else "H2", detected=True, bcr_abl1_copies=5000 + 50 * (n % 3),
            control_gene_copies=50000, is_percent=Decimal("10") + Decimal("0.1") * (n % 3),
        )  # fmt: skip
    run = started(bench)
    said = measure(bench, run, "high", lot="H2", bcr_abl1_copies="6500", control_gene_copies="50000")
    assert "more than 3 SD from the mean (1-3s)" in said
    text = bench.get(f"/bench/runs/{run.public_id}/").content.decode()
    assert text.count("<circle") == 20
    assert 'class="lot"' not in text, "the last twenty are of one lot"
    assert 'class="three"' in text
    measure(bench, run, "high", lot="H1", bcr_abl1_copies="6500", control_gene_copies="50000")
    assert 'class="lot"' in bench.get(f"/bench/runs/{run.public_id}/").content.decode()
    assert "not judged" in measure(bench, run, "high", lot="H9", bcr_abl1_copies="6500", control_gene_copies="50000")
    assert 'class="error"' in measure(bench, run, "low", bcr_abl1_copies="many")
    assert not RunControl.objects.get(run=run, kind="low").bcr_abl1_copies


# --- the end ---------------------------------------------------------------------------------------------------------


def test_submitting_says_what_it_will_do_and_stores_all_at_once(
    bench: Client, off_treatment: Patient, centre: Centre
) -> None:
    Patient.objects.create(centre=centre, patient_id="P2")
    run = started(bench)
    send(bench, run, (1, 0, cells(bcr_abl1_copies_1="60")), (2, 0, cells("E2", patient_id="P2")))
    page = " ".join(bench.get(f"/bench/runs/{run.public_id}/submit/").content.decode().split())
    assert "1 normal · 1 to look at · 1 will open an alert · 0 refused" in page
    assert submit(bench, run, looked=False).status_code == 400
    assert PcrResult.objects.count() == 1
    assert submit(bench, run).status_code == 302
    assert set(PcrResult.objects.filter(run="R1").values_list("accession_number", "status")) == {
        ("E1", "preliminary"), ("E2", "preliminary"),
    }  # fmt: skip
    classify_pending(now=clock.now())
    assert Alert.objects.filter(kind="loss_of_mmr").count() == 1
    assert bench.get(f"/bench/runs/{run.public_id}/submit/").status_code == 302, "twice is once"
    assert PcrResult.objects.count() == 3
    ended = bench.get(f"/bench/runs/{run.public_id}/").content.decode()
    assert "E2" in ended
    assert send(bench, run, (5, 0, cells("E5")), status=409)["problem"]


def test_a_row_that_changed_meanwhile_or_is_refused_stops_the_submission(bench: Client, patient: Patient) -> None:
    run = started(bench)
    send(bench, run, (1, 0, cells()))
    address = f"/bench/runs/{run.public_id}/submit/"
    assert bench.post(address, {"seen": "1:7", "looked": "yes"}).status_code == 409
    send(bench, run, (2, 0, cells("E2", patient_id="NOBODY")))
    assert submit(bench, run).status_code == 400
    assert not PcrResult.objects.exists()


def test_a_rejected_run_counts_for_nothing_at_any_door(
    bench: Client, patient: Patient, ada: User, tmp_path: Path, laboratory: Laboratory
) -> None:
    run = started(bench)
    send(bench, run, (1, 0, cells()))
    bench.post(f"/bench/runs/{run.public_id}/reject/", {"reason": ""})
    assert BenchRun.objects.get().state == "draft"
    bench.post(f"/bench/runs/{run.public_id}/reject/", {"reason": "contaminated"})
    run.refresh_from_db()
    assert (run.state, run.reason, run.ended_by.get_username() if run.ended_by else "") == (
        "rejected", "contaminated", "tess",
    )  # fmt: skip
    assert not PcrResult.objects.exists()
    assert "contaminated" in bench.get("/bench/").content.decode()
    assert "E1" in bench.get(f"/bench/runs/{run.public_id}/").content.decode(), "kept as a record"
    path = tmp_path / "r.csv"
    path.write_text(
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor,run\n"
        f"LAB,F1,P1,{ago(9)},nd,50000,1,R1\nLAB,F2,P1,{ago(8)},nd,50000,1,R2\n"
    )
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("import_results", str(path), stdout=out, stderr=out)
    assert "this run was rejected" in out.getvalue()
    assert list(PcrResult.objects.values_list("accession_number", "run")) == [("F2", "R2")]
    assert set(BenchRun.objects.values_list("name", "state")) == {("R1", "rejected"), ("R2", "submitted")}
    assert "F2" in bench.get(f"/bench/runs/{BenchRun.objects.get(name='R2').public_id}/").content.decode()


def test_a_message_may_name_a_run(bench: Client, patient: Patient, laboratory: Laboratory, centre: Centre) -> None:
    token = create_token(User.objects.get(username="tess"), laboratory=laboratory)
    body = {
        "laboratory": "LAB", "accession_number": "M1", "patient_id": "P1", "collected_on": ago(3), "run": "R5",
        "conversion_factor": 1, "replicates": [{"bcr_abl1_copies": None, "control_gene_copies": 50000}],
    }  # fmt: skip
    answer = Client().post(
        "/api/v1/results/",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Token {token}"},
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["run"] == "R5"
    assert list(BenchRun.objects.get(name="R5").centres.all()) == [centre]


def test_a_factor_a_hundred_times_its_usual_is_refused_at_every_door(
    bench: Client, patient: Patient, laboratory: Laboratory, ada: User, tmp_path: Path
) -> None:
    ConversionFactor.objects.create(laboratory=laboratory, factor="0.75", valid_from="2015-01-01")
    path = tmp_path / "f.csv"
    path.write_text(
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor\n"
        f"LAB,F1,P1,{ago(9)},nd,50000,0.015\nLAB,F2,P1,{ago(8)},nd,50000,0.9\n"
    )
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("import_results", str(path), stdout=out, stderr=out)
    assert "thirty times away from the factors of this laboratory (0.75)" in out.getvalue()
    assert list(PcrResult.objects.values_list("accession_number", flat=True)) == ["F2"]
    entry = {
        "patient_id": "P1", "laboratory": "LAB", "accession_number": "S1", "collected_on": ago(5),
        "conversion_factor": "0.015", "bcr_abl1_copies_1": "u", "control_gene_copies_1": "50000",
        "control_gene": "ABL1",
    }  # fmt: skip
    assert "thirty times away" in bench.post("/bench/single/", entry).content.decode()
    assert PcrResult.objects.count() == 1


# --- whose -----------------------------------------------------------------------------------------------------------


def test_a_run_of_another_centre_is_nobody_elses(
    bench: Client, patient: Patient, laboratory: Laboratory, member: Callable[..., User]
) -> None:
    run = started(bench)
    send(bench, run, (1, 0, cells()))
    elsewhere = Centre.objects.create(code="H2")
    Patient.objects.create(centre=elsewhere, patient_id="Q1")
    laboratory.reports_for.create(centre=elsewhere)
    other = Client()
    other.force_login(member("olga", elsewhere, Role.TECHNICIAN))
    assert "R1" not in other.get("/bench/").content.decode()
    for path in ("", "submit/"):
        assert other.get(f"/bench/runs/{run.public_id}/{path}").status_code == 404
    for path in ("rows/", "header/", "reject/", "submit/", "controls/high/"):
        assert other.post(f"/bench/runs/{run.public_id}/{path}").status_code == 404
    (row,) = send(bench, run, (2, 0, cells("E2", patient_id="Q1")))["rows"]
    assert "is not known among the patients you may write about" in row["problems"]["patient_id"]
