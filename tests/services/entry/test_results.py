"""Recording results: versions, refusals, the same twice, two people at once."""

import datetime as dt
import importlib
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import ProgrammingError, connection, transaction

from monitoring import clock
from monitoring.domain.scoring.laboratory_report import ReplicateReport
from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.models import Centre, ClassificationRequest, LateReport, Patient, PcrResult, Replicate
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from tests.builders import report

pytestmark = pytest.mark.django_db


@pytest.fixture
def record(patient: Patient, ada: User) -> Any:
    def call(*, on_patient: Patient = patient, amend: str = "", **values: Any) -> Verdict:
        return record_result(
            report(**values), patient=on_patient, by=ada, reach=EVERYWHERE, now=clock.now(), amend_reason=amend
        )

    return call


def versions() -> list[tuple[int, str]]:
    return list(PcrResult.objects.order_by("version").values_list("version", "status"))


def test_a_result_is_stored_whole_and_owes_a_classification(record: Any, patient: Patient) -> None:
    assert record(tubes="50/50000; nd/40000").action == RowOutcome.CREATED
    assert list(Replicate.objects.order_by("number").values_list("number", "bcr_abl1_copies")) == [(1, 50), (2, None)]
    assert list(ClassificationRequest.objects.values_list("patient_id", "bulk")) == [(patient.pk, False)]


def test_the_same_twice_changes_nothing(record: Any) -> None:
    record()
    assert record().action == RowOutcome.UNCHANGED
    assert versions() == [(1, "final")]


def test_the_printed_digits_are_kept(record: Any) -> None:
    record(is_percent=Decimal("0.10"), replicates=())
    assert str(PcrResult.objects.get().is_percent) == "0.10"


def test_other_content_is_refused_in_words(record: Any) -> None:
    record()
    verdict = record(kit_lot="", conversion_factor=Decimal("1.2"))
    assert verdict.action == RowOutcome.REFUSED
    assert verdict.problems[0].column == "conversion_factor"
    assert "1 is stored" in verdict.problems[0].reason
    assert versions() == [(1, "final")]


def test_filling_an_empty_cell_is_a_new_version_and_keeps_the_rest(record: Any) -> None:
    record(kit_lot="L1")
    assert record(tested_on=dt.date(2020, 3, 5)).action == RowOutcome.COMPLETED
    newest = PcrResult.objects.get(version=2)
    assert (newest.kit_lot, newest.tested_on) == ("L1", dt.date(2020, 3, 5))
    assert newest.replicates.count() == 1


def test_preliminary_becomes_final_as_a_new_version(record: Any) -> None:
    record(status="preliminary")
    assert record().action == RowOutcome.COMPLETED
    assert versions() == [(1, "preliminary"), (2, "final")]
    assert record(status="preliminary").action == RowOutcome.UNCHANGED


def test_a_late_preliminary_message_does_not_take_a_final_result_back(record: Any) -> None:
    record()
    assert record(status="preliminary", kit_lot="L7").action == RowOutcome.COMPLETED
    assert versions() == [(1, "final"), (2, "final")]


def test_a_correction_needs_a_reason_and_supersedes(record: Any) -> None:
    record()
    assert record(status="corrected", tubes="60/50000").problems[0].column == "reason"
    assert record(status="corrected", tubes="60/50000", reason="wrong tube").action == RowOutcome.AMENDED
    assert PcrResult.objects.get(version=2).supersedes is not None
    assert record().action == RowOutcome.UNCHANGED, "the original file, loaded again, must not undo the correction"
    assert record(status="corrected", tubes="60/50000", reason="wrong tube").action == RowOutcome.UNCHANGED


def test_amend_gives_the_reason_for_any_difference(record: Any) -> None:
    record()
    assert record(tubes="60/50000", amend="typing error").action == RowOutcome.AMENDED
    newest = PcrResult.objects.get(version=2)
    assert (newest.status, newest.reason) == ("corrected", "typing error")


def test_entered_in_error_keeps_the_row_and_comes_back_only_with_a_reason(record: Any) -> None:
    record()
    assert record(status="entered_in_error").problems[0].column == "reason"
    assert record(status="entered_in_error", reason="other patient").action == RowOutcome.AMENDED
    assert record(status="entered_in_error", reason="other patient").action == RowOutcome.UNCHANGED
    assert record(tubes="77/50000").action == RowOutcome.REFUSED
    assert record(status="corrected", reason="was right", tubes="77/50000").action == RowOutcome.AMENDED


def test_a_withdrawal_that_comes_before_its_result_is_remembered(record: Any) -> None:
    assert record(status="entered_in_error").problems[0].column == "reason"
    assert record(status="entered_in_error", reason="wrong tube").action == RowOutcome.CREATED
    refused = record()
    assert (refused.action, refused.problems[0].column) == (RowOutcome.REFUSED, "status")
    assert refused.public_id is not None  # a conflict with what is stored
    assert PcrResult.objects.get().status == "entered_in_error"
    assert record(status="corrected", reason="right tube").action == RowOutcome.AMENDED


def test_moving_a_result_to_another_patient_owes_both_a_classification(
    record: Any, centre: Centre, patient: Patient
) -> None:
    record()
    ClassificationRequest.objects.all().delete()
    other = Patient.objects.create(centre=centre, patient_id="P2")
    assert record(on_patient=other).action == RowOutcome.REFUSED
    assert record(on_patient=other, status="corrected", reason="mix-up").action == RowOutcome.AMENDED
    assert set(ClassificationRequest.objects.values_list("patient_id", flat=True)) == {patient.pk, other.pk}


def test_a_sample_from_tomorrow_or_from_before_the_birth_is_refused(record: Any, patient: Patient) -> None:
    late = (clock.now() + dt.timedelta(days=3)).date().isoformat()
    assert record(on=late).problems[0].column == "collected_on"
    patient.born_on = dt.date(2021, 1, 1)
    assert record(on="2020-03-01").problems[0].column == "collected_on"


def test_a_later_version_may_come_first_and_the_earlier_one_is_only_kept(record: Any) -> None:
    assert (
        record(stated_version=2, status="corrected", reason="clerical", tubes="nd/60000").action == RowOutcome.CREATED
    )
    for _again in range(2):
        late = record(stated_version=1, tubes="600/60000")
        assert (late.action, late.is_late) == (RowOutcome.UNCHANGED, True)
        assert "older" in late.notes[0]
    assert PcrResult.objects.get().stated_version == 2
    (kept,) = LateReport.objects.all()
    assert kept.content["replicates"][0]["bcr_abl1_copies"] == "600"
    assert record(stated_version=3, status="corrected", reason="again", tubes="9/60000").action == RowOutcome.AMENDED


def test_what_was_issued_before_the_standing_version_never_supersedes_it(record: Any) -> None:
    first, second = (dt.datetime(2020, 4, day, tzinfo=dt.UTC) for day in (5, 6))
    record(issued_at=second, tubes="nd/60000")
    for status, reason in (("final", ""), ("corrected", "x"), ("entered_in_error", "x")):
        assert record(issued_at=first, tubes="600/60000", status=status, reason=reason).is_late
    assert record(issued_at=first, tubes="600/60000", amend="as I say").is_late
    printed_again = record(issued_at=second + dt.timedelta(days=1), tubes="nd/60000")
    assert printed_again.action == RowOutcome.COMPLETED  # no contradiction
    assert record(issued_at=second + dt.timedelta(days=2), tubes="600/60000").action == RowOutcome.REFUSED


def test_a_final_report_of_what_was_withdrawn_is_a_conflict(record: Any) -> None:
    record()
    record(status="entered_in_error", reason="wrong tube")
    again = record()
    assert (again.action, again.problems[0].column) == (RowOutcome.REFUSED, "status")


# What stands, what comes, and what becomes of it: the measurement is one thing.
@pytest.mark.parametrize(
    ("stands", "comes", "action", "is_percent", "tubes"),
    [
        ({"is_percent": "5.2"}, {"tubes": "nd/60000"}, RowOutcome.REFUSED, "5.2", 0),
        ({"is_percent": "5.2"}, {"tubes": "nd/60000", "status": "corrected", "reason": "x"}, RowOutcome.AMENDED, None,
        1),
        ({"tubes": "60/60000"}, {"is_percent": "5.2", "tubes": "60/60000"}, RowOutcome.COMPLETED, "5.2", 1),
        ({"is_percent": "5.2", "tubes": "60/60000"}, {"tubes": "60/60000"}, RowOutcome.UNCHANGED, "5.2", 1),
        ({"is_percent": "5.2", "tubes": "60/60000"}, {"tubes": "60/60000", "kit_lot": "L1"}, RowOutcome.COMPLETED,
        "5.2", 1),
        (
            {"is_percent": "5.2", "tubes": "60/60000"},
            {"tubes": "61/60000", "status": "corrected", "reason": "x"}, RowOutcome.AMENDED, None, 1,
        ),
        (
            {"is_percent": "5.2", "limit_of_detection": "0.01"}, {"is_percent": "5.2", "detected": True},
            RowOutcome.REFUSED, "5.2", 0,
        ),
        ({"tubes": "nd/60000", "status": "preliminary"}, {"tubes": "failed"}, RowOutcome.COMPLETED, None, 1),
        ({"tubes": "nd/60000"}, {"tubes": "failed"}, RowOutcome.REFUSED, None, 1),
    ],
)  # fmt: skip
def test_a_measurement_is_taken_whole_or_not_at_all(
    record: Any, stands: dict[str, Any], comes: dict[str, Any], action: RowOutcome, is_percent: str | None, tubes: int
) -> None:
    def said(values: dict[str, Any]) -> dict[str, Any]:
        found = {"tubes": "", "replicates": (), **values}
        for name in ("is_percent", "limit_of_detection"):
            found[name] = Decimal(found[name]) if name in found else None
        if found["tubes"] == "failed":
            found["replicates"] = (ReplicateReport(1, None, None, run_valid=False, reported=False),)
        if found["tubes"] not in ("", "failed"):
            del found["replicates"]
        return {**found, "tubes": found["tubes"] if "replicates" not in found else "nd/1"}

    record(**said(stands))
    assert record(**said(comes)).action == action
    newest = PcrResult.objects.latest("version")
    assert newest.is_percent == (Decimal(is_percent) if is_percent else None)
    assert newest.replicates.count() == tubes


def test_nothing_is_inherited_from_a_version_entered_in_error(record: Any) -> None:
    record(replicates=(), is_percent=Decimal("5.2"), kit_lot="L1")
    record(replicates=(), status="entered_in_error", reason="wrong tube")
    record(tubes="nd/60000", status="corrected", reason="from the right tube")
    newest = PcrResult.objects.latest("version")
    assert (newest.is_percent, newest.kit_lot, newest.replicates.count()) == (None, "", 1)


def test_another_accession_of_the_same_day_is_noted(record: Any) -> None:
    record()
    second = record(accession_number="A1-C", status="corrected", reason="replaces A1")
    assert second.action == RowOutcome.CREATED
    assert "also A1 of the same patient" in second.notes[0]


def test_replicates_that_are_only_reordered_are_the_same(record: Any) -> None:
    record(tubes="50/50000; 60/40000")
    tubes = (ReplicateReport(1, Decimal("50.0"), Decimal(50_000)), ReplicateReport(2, Decimal(60), Decimal(40_000)))
    assert record(replicates=tubes).action == RowOutcome.UNCHANGED


def test_partial_dates_keep_their_precision(record: Any) -> None:
    record(collected=PartialDate(dt.date(2020, 3, 15), Precision.MONTH))
    assert PcrResult.objects.get().collected_precision == "month"


@pytest.mark.django_db(transaction=True)
def test_two_people_who_amend_one_result_at_once_make_one_version_and_one_refusal(record: Any) -> None:
    record()
    outcomes: list[Verdict] = []
    barrier = threading.Barrier(2)

    def amend(copies: str) -> None:
        barrier.wait()
        outcomes.append(record(status="corrected", tubes=copies, reason="repeat"))
        connection.close()

    threads = [threading.Thread(target=amend, args=(text,)) for text in ("60/50000", "70/50000")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    actions = sorted(o.action for o in outcomes)
    assert actions in ([RowOutcome.AMENDED, RowOutcome.REFUSED], [RowOutcome.AMENDED, RowOutcome.AMENDED])
    assert PcrResult.objects.count() == 1 + actions.count(RowOutcome.AMENDED)
    for refusal in (o for o in outcomes if o.action == RowOutcome.REFUSED):
        assert "somebody else" in refusal.problems[0].reason


@pytest.mark.django_db(transaction=True)
def test_the_migration_gives_all_versions_of_a_result_one_address(patient: Patient, ada: User) -> None:
    for tubes, status in (("50/50000", "final"), ("60/50000", "corrected"), ("70/50000", "corrected")):
        record_result(
            report("M1", tubes=tubes, status=status, reason="test"),
            patient=patient,
            by=ada,
            reach=EVERYWHERE,
            now=clock.now(),
        )
    record_result(report("M2"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    statements = importlib.import_module("monitoring.migrations.0004_service_doors").GIVE_VERSIONS_ONE_ID
    with connection.cursor() as cursor:
        cursor.execute("alter table monitoring_pcrresult disable trigger user")
        cursor.execute("update monitoring_pcrresult set public_id = gen_random_uuid()")
        cursor.execute("alter table monitoring_pcrresult enable trigger user")
        assert PcrResult.objects.values("public_id").distinct().count() == 4
        for statement in statements:
            cursor.execute(statement)
    assert PcrResult.objects.filter(accession_number="M1").values("public_id").distinct().count() == 1
    assert PcrResult.objects.values("public_id").distinct().count() == 2
    with pytest.raises(ProgrammingError), transaction.atomic():
        PcrResult.objects.update(kit_lot="edited")
