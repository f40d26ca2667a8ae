"""Recomputing, freezing, failing, as known at another time; the night exactly once."""

import csv
import datetime as dt
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from cohorts.models import Cohort, CohortPublication, CohortRun, CohortSnapshot
from cohorts.selectors.snapshots import frozen_centres, frozen_members, members_csv, published, snapshot_json
from cohorts.services import nightly, recheck
from cohorts.services import recompute as recompute_module
from cohorts.services.definitions import define_cohort
from cohorts.services.night_queue import owe_night
from cohorts.services.nightly import run_night
from monitoring import clock
from monitoring.models import Centre, JobRun, Observation, Patient, TkiCourse
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.classification.classify import ClassificationFailed
from monitoring.services.foundation.jobs import claim_slot, finish, owed_slots
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tasks.schedule import ENTRIES, beat_schedule, latest_nightly_slot
from tests.nights import recompute

pytestmark = pytest.mark.django_db
SLOT = dt.datetime(2026, 1, 2, 2, 0, tzinfo=dt.UTC)


@pytest.fixture
def twin(db: None) -> Cohort:
    for kind in ("patients", "treatments", "observations", "results"):
        call_command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"), stderr=io.StringIO())
    return define_cohort(json.loads((DEMO_FOLDER / "cohort.json").read_text()), by="test")[0]


def test_an_unchanged_night_publishes_nothing(twin: Cohort) -> None:
    first = recompute(twin)
    second = recompute(twin)
    assert (first.ok, first.unchanged, second.ok, second.unchanged) == (True, False, True, True)
    assert CohortSnapshot.objects.count() == 1
    publication = published(twin)
    assert publication is not None
    assert publication.confirmed_at > publication.published_at


def test_changed_data_makes_a_new_snapshot_and_keeps_the_old(twin: Cohort) -> None:
    recompute(twin)
    patient = Patient.objects.get(patient_id="P02")
    Observation.objects.create(patient=patient, kind="death", observed_on=dt.date(2024, 12, 30), detail="other")
    request_classification([patient.pk], bulk=False)
    run = recompute(twin)
    assert not run.unchanged
    assert CohortSnapshot.objects.count() == 2


def test_what_was_regained_later_changes_the_digest_although_no_row_of_the_member_file_does(twin: Cohort) -> None:
    first = recompute(twin)
    lost = TkiCourse.objects.filter(drug="dasatinib").first()
    assert lost is not None
    TkiCourse.objects.filter(pk=lost.pk).update(drug="nilotinib")
    request_classification([lost.patient_id], bulk=False)
    second = recompute(twin)
    assert first.snapshot is not None
    assert second.snapshot is not None
    assert (
        second.snapshot.figures["outcomes_after_loss"]["restarted"]
        != first.snapshot.figures["outcomes_after_loss"]["restarted"]
    )


def test_a_patient_who_cannot_be_classified_fails_the_run_and_not_the_command(
    twin: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(**options: Any) -> int:
        raise ClassificationFailed("1 patients could not be classified")

    monkeypatch.setattr(nightly, "classify_pending", failing)
    assert run_night(twin.slug, clock.now() + dt.timedelta(minutes=1), lease_seconds=60)
    run = CohortRun.objects.get()
    assert (run.ok, run.finished_at is not None) == (False, True)
    assert "could not be classified" in run.error


def test_a_failed_night_leaves_the_figures_up_and_says_why(twin: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    recompute(twin)
    standing = CohortPublication.objects.get().snapshot_id
    patient = Patient.objects.get(patient_id="P02")
    Observation.objects.create(patient=patient, kind="death", observed_on=dt.date(2024, 12, 30))
    request_classification([patient.pk], bulk=False)

    def broken(*args: Any, **options: Any) -> None:
        raise ArithmeticError("the curve rises")

    monkeypatch.setattr(recompute_module, "compute_figures", broken)
    run = recompute(twin)
    assert (run.ok, run.error) == (False, "ArithmeticError: the curve rises")
    assert CohortPublication.objects.get().snapshot_id == standing
    with pytest.raises(SystemExit) as stopped:
        call_command("recompute_cohorts", stderr=io.StringIO())
    assert stopped.value.code == 1


def test_a_snapshot_is_frozen_json_without_nan(twin: Cohort) -> None:
    recompute(twin)
    publication = published(twin)
    assert publication is not None
    text = json.dumps(snapshot_json(publication), allow_nan=False)
    for key in (
        "cohort",
        "data_cutoff",
        "computed_at",
        "digest",
        "rule_versions",
        "library_versions",
        "definition",
        "counts",
        "crude",
        "kaplan_meier",
        "univariate",
        "cox",
        "competing_risks",
        "follow_up",
        "table1",
        "outcomes_after_loss",
    ):
        assert key in json.loads(text), key
    header, *rows = members_csv(publication).decode().splitlines()
    assert header == (
        "patient_id,attempt,included,exclusion_reason,stopped_on,end_on,days,months,event,end_reason,first_dmr_on,"
        "dmr_months,"
        "tki_months,time_to_dmr_months,age_at_diagnosis,age_at_stop,sex,transcript,drug_at_stop,risk_group,centre,"
        "groups,dmr_run_from"
    )
    assert len(rows) == 36


def test_a_kept_snapshot_is_computed_again_from_its_rows_and_a_changed_figure_is_named(
    twin: Cohort, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recompute(twin)
    err = io.StringIO()
    call_command("cohort_report", twin.slug, "--check", stderr=err)
    assert "every figure is the same" in err.getvalue()
    assert capsys.readouterr().out == ""
    compute = recheck.compute_figures

    def changed(*arguments: Any) -> dict[str, Any]:
        figures = compute(*arguments)
        figures["kaplan_meier"]["landmarks"][0]["estimate"] += 1e-6
        return figures

    monkeypatch.setattr(recheck, "compute_figures", changed)
    with pytest.raises(SystemExit) as stopped:
        call_command("cohort_report", twin.slug, "--check", stderr=io.StringIO())
    assert stopped.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("kaplan_meier.landmarks[0].estimate: 0.91")


def test_rows_frozen_as_csv_by_an_earlier_version_are_still_told(twin: Cohort) -> None:
    run = recompute(twin)
    assert run.snapshot is not None
    rows = list(frozen_members(run.snapshot))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0], "left_censored"], restval="False")
    writer.writeheader()
    writer.writerows(rows)
    old = CohortSnapshot(cohort=twin, rows=gzip.compress(text.getvalue().encode()))
    assert list(frozen_members(old)) == rows
    assert list(frozen_centres(old)) == list(frozen_centres(run.snapshot))
    with pytest.raises(recheck.NotRecomputable):
        recheck.differences(old)


def test_the_date_of_a_loss_moves_the_curve_by_as_much_as_is_known_of_the_twin(twin: Cohort) -> None:
    run = recompute(twin)
    assert run.snapshot is not None
    dating = run.snapshot.figures["dating_of_losses"]
    found = {
        name: [round(100 * one["estimate"], 1) for one in dated["landmarks"] if one["months"] in (6, 12, 24, 36)]
        for name, dated in dating.items()
    }
    assert found["first_positive"] == [74.1, 60.7, 60.7, 56.0]
    assert found["midpoint"] == [74.4, 61.1, 61.1, 56.4]
    assert found["last_negative"] == [74.5, 61.2, 61.2, 56.5]
    assert found["interval_censored"][0] == pytest.approx(74.3, abs=1.5)


def test_a_cut_that_was_chosen_on_the_data_says_so_and_counts_the_search(twin: Cohort) -> None:
    cohort, _ = define_cohort(
        {"slug": "searched", "factors": [{"name": "dmr_months", "cut": 72, "chosen_on_data": True}]}, by="test"
    )
    run = recompute(cohort)
    assert run.snapshot is not None
    factor = run.snapshot.figures["univariate"][0]
    searched = factor["cut_chosen_on_data"]
    assert 0.015 < searched["p"] < 0.027
    assert searched["chi2"] >= factor["logrank"]["chi2"]
    assert searched["p"] > factor["logrank"]["p"]


def test_exports_of_synthetic_data_say_so(twin: Cohort) -> None:
    recompute(twin)
    publication = published(twin)
    assert publication is not None
    assert "synthetic" not in snapshot_json(publication)
    Centre.objects.update(is_synthetic=True)
    assert snapshot_json(publication)["synthetic"].startswith("SYNTHETIC")
    header, first, *_ = members_csv(publication).decode().splitlines()
    assert header.endswith(",centre,groups,dmr_run_from,synthetic")
    assert "SYNTHETIC" in first


def test_as_of_an_earlier_day_leaves_out_what_came_later(twin: Cohort) -> None:
    run = recompute(twin, as_of=dt.date(2022, 1, 1))
    assert run.snapshot is not None
    assert run.snapshot.figures["counts"]["members"] < 36
    assert run.snapshot.data_cutoff == dt.date(2022, 1, 1)


def test_known_at_an_earlier_instant_uses_only_what_was_recorded_by_then(twin: Cohort) -> None:
    before = clock.now()
    recompute(twin)
    then = clock.now()
    course = TkiCourse.objects.filter(patient__patient_id="P02").first()
    assert course is not None
    nothing = recompute(twin, known_at=before - dt.timedelta(days=1))
    assert nothing.snapshot is not None
    assert nothing.snapshot.figures["counts"]["members"] == 0
    again = recompute(twin, known_at=then)
    assert again.snapshot is not None
    # The history and the present rows tell the same story while nothing has changed since.
    assert again.snapshot.figures["counts"] == {"members": 36, "events": 15, "censored": 21, "excluded": {}}


def test_a_definition_file_is_created_changed_and_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"slug": "c", "title": "C"}')
    err = io.StringIO()
    for word in ("created", "unchanged"):
        call_command("define_cohort", str(path), stderr=err)
        assert word in err.getvalue()
    path.write_text('{"slug": "c", "title": "C", "endpoint": "tfr"}')
    call_command("define_cohort", str(path), stderr=err)
    assert "changed" in err.getvalue()
    for content in ("", "{", '{"slug": "c", "endpoint": "cure"}', "[]"):
        path.write_text(content)
        with pytest.raises(CommandError) as caught:
            call_command("define_cohort", str(path), stderr=err)
        assert caught.value.returncode == 2
    assert Cohort.objects.get().definition["endpoint"] == "tfr"


def test_reports_of_unknown_and_unpublished_cohorts_say_so(twin: Cohort, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("cohort_report", "absent", stderr=io.StringIO())
    assert caught.value.returncode == 2
    with pytest.raises(CommandError, match="recompute_cohorts"):
        call_command("cohort_report", twin.slug, stderr=io.StringIO())
    recompute(twin)
    call_command(
        "cohort_report", twin.slug, "--format", "csv", "--output", str(tmp_path / "m.csv"), stderr=io.StringIO()
    )
    assert (tmp_path / "m.csv").read_text().count("\n") == 37
    for option in ("--as-of", "--known-at"):
        with pytest.raises(CommandError):
            call_command("recompute_cohorts", option, "yesterday", stderr=io.StringIO())


# --- the night --------------------------------------------------------------------------------------------------


def test_a_slot_is_done_exactly_once(twin: Cohort) -> None:
    assert owe_night(SLOT) == owe_night(SLOT) == [twin.slug]
    assert run_night(twin.slug, SLOT, lease_seconds=60)
    assert not run_night(twin.slug, SLOT, lease_seconds=60)
    assert CohortRun.objects.count() == 1
    assert JobRun.objects.get().detail == "published"


def test_the_first_cohort_of_a_night_classifies_whoever_waited_for_it(
    twin: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = define_cohort({"slug": "second"}, by="test")[0]
    slot = clock.now() + dt.timedelta(minutes=1)
    rounds: list[int] = []
    classify = nightly.classify_pending

    def counted(**options: Any) -> int:
        rounds.append(classify(**options))
        return rounds[-1]

    monkeypatch.setattr(nightly, "classify_pending", counted)
    assert run_night(twin.slug, slot, lease_seconds=60)
    assert sum(rounds) == Patient.objects.count()
    done = len(rounds)
    assert run_night(second.slug, slot, lease_seconds=60)
    assert len(rounds) == done


def test_whatever_a_computation_raises_is_recorded_and_a_lost_database_is_not_its_fault(
    twin: Cohort, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise NotImplementedError("nobody foresaw this")

    monkeypatch.setattr(recompute_module, "compute_figures", broken)
    assert recompute(twin).error == "NotImplementedError: nobody foresaw this"
    assert "Traceback" in caplog.text

    def away(*args: Any, **options: Any) -> None:
        raise OperationalError("the server has gone")

    monkeypatch.setattr(recompute_module, "compute_figures", away)
    with pytest.raises(OperationalError):
        recompute(twin)


def test_a_killed_run_is_claimed_again_after_its_lease_and_its_late_finish_does_not_count() -> None:
    now = clock.now()
    first = claim_slot("job", SLOT, now=now, lease_seconds=60)
    assert first is not None
    assert claim_slot("job", SLOT, now=now + dt.timedelta(seconds=59), lease_seconds=60) is None
    assert not owed_slots("job", now=now, since=dt.timedelta(days=9999))
    later = now + dt.timedelta(seconds=61)
    assert [r.job for r in owed_slots("job", now=later, since=dt.timedelta(days=9999))] == ["job"]
    second = claim_slot("job", SLOT, now=later, lease_seconds=60)
    assert second is not None
    assert not finish(first, ok=True, detail="", now=later)
    assert finish(second, ok=True, detail="", now=later)


def test_the_schedule_is_utc_data_with_expiries_shorter_than_the_periods() -> None:
    for entry in ENTRIES:
        assert entry.expires_seconds < (entry.every_seconds or 24 * 3600)
    assert set(beat_schedule(2, 0)) == {e.name for e in ENTRIES}
    assert len(beat_schedule(2, 0)) == len(ENTRIES)


@pytest.mark.parametrize(
    ("now", "slot"), [("2026-03-29T01:59", "2026-03-28T02:00"), ("2026-03-29T02:00", "2026-03-29T02:00")]
)
def test_the_nightly_slot_is_the_latest_one_in_utc(now: str, slot: str) -> None:
    found = latest_nightly_slot(dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC), 2, 0)
    assert found == dt.datetime.fromisoformat(slot).replace(tzinfo=dt.UTC)


def test_a_look_back_never_takes_the_place_of_what_is_published(
    twin: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    standing = recompute(twin).snapshot
    for option in ("--as-of", "--known-at"):
        call_command("recompute_cohorts", "--cohort", twin.slug, option, "2022-01-01")
        assert "not published" in capsys.readouterr().err
        assert CohortPublication.objects.get(cohort=twin).snapshot == standing
    back = recompute(twin, as_of=dt.date(2022, 1, 1)).snapshot
    assert back is not None
    assert back != standing
    call_command("cohort_report", twin.slug, "--digest", back.digest[:12])
    assert json.loads(capsys.readouterr().out)["data_cutoff"] == "2022-01-01"
    with pytest.raises(CommandError, match="no snapshot"):
        call_command("cohort_report", twin.slug, "--digest", "ffffffffffff")


def test_a_corrected_figure_reaches_a_standing_cohort_and_says_why_it_moved(
    twin: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recompute(twin)
    assert recompute(twin).unchanged
    monkeypatch.setattr("cohorts.services.recompute.FIGURES_VERSION", 999)
    second = recompute(twin)
    assert not second.unchanged
    assert second.snapshot is not None
    assert second.snapshot != first.snapshot
    assert second.snapshot.figures["moved_by"] == ["figures_version"]
