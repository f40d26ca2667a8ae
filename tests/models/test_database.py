"""What the database itself refuses: NaN, wrong order, second copies, changes of facts, deletions."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, models, transaction

from config.privileges import APP_ROLE, WATCHDOG_ROLE
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.models import (
    Alert,
    Centre,
    ConversionFactor,
    Laboratory,
    Patient,
    PcrResult,
    Replicate,
    ResponseEvent,
    TkiCourse,
)
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.foundation.copy_rows import copy_rows

pytestmark = pytest.mark.django_db
NAN = Decimal("NaN")


@pytest.fixture
def stored(patient: Patient, ada: User) -> PcrResult:
    laboratory = Laboratory.objects.create(code="LAB")
    return PcrResult.objects.create(
        laboratory=laboratory, accession_number="A1", patient=patient, collected_on=dt.date(2020, 1, 1), recorded_by=ada
    )


@contextlib.contextmanager
def refused(word: str) -> Iterator[None]:
    with pytest.raises(DatabaseError, match=word), transaction.atomic():
        yield


def insert(model: type[models.Model], **values: Any) -> None:
    """One row by COPY, past every check in Python."""
    copy_rows(model, list(values), [list(values.values())])


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("is_percent", NAN, "result_is_percent"), ("is_percent", Decimal(0), "result_is_percent"),
        ("is_percent", Decimal("-1"), "result_is_percent"), ("conversion_factor", NAN, "result_factor_positive"),
        ("conversion_factor", Decimal(0), "result_factor_positive"), ("mr_value", NAN, "result_mr_value"),
        ("limit_of_detection", NAN, "result_lod"), ("limit_of_quantification", NAN, "result_loq"),
        ("is_comparator", "~", "comparator"), ("specimen", "XX", "specimen"),
        ("collected_on", dt.date(2199, 1, 1), "collected_not_after_recorded"),
        ("received_on", dt.date(2019, 12, 31), "received_after"), ("version", 2, "version_supersedes"),
    ],
)  # fmt: skip
def test_a_result_row_that_cannot_be_is_refused(stored: PcrResult, field: str, value: Any, name: str) -> None:
    with refused(name):
        insert(
            PcrResult,
            **{
                "laboratory_id": stored.laboratory_id, "accession_number": "A2", "patient_id": stored.patient_id,
                "collected_on": dt.date(2020, 1, 1), "recorded_by_id": stored.recorded_by_id, "version": 1,
                "collected_precision": "day", "control_gene": "ABL1", "method": "", "assay_name": "", "kit_lot": "",
                "run": "", "specimen": "PB", "is_comparator": "=", "reported_class": "", "status": "final",
                "reason": "", field: value,
            },
        )  # fmt: skip


@pytest.mark.parametrize("field", ["bcr_abl1_copies", "control_gene_copies"])
@pytest.mark.parametrize("value", [NAN, Decimal("-1"), Decimal("Infinity")])
def test_copies_are_numbers(stored: PcrResult, field: str, value: Decimal) -> None:
    with refused("replicate_"):
        insert(Replicate, result_id=stored.pk, number=1, run_valid=True, bcr_abl1_reported=True, **{field: value})


def test_zero_copies_are_not_a_detection(stored: PcrResult) -> None:
    with refused("replicate_copies_positive"):
        Replicate.objects.create(result=stored, number=1, bcr_abl1_copies=0)


def test_an_accession_version_exists_once_and_is_superseded_once(stored: PcrResult) -> None:
    values: dict[str, Any] = {
        "laboratory": stored.laboratory, "accession_number": "A1", "patient": stored.patient,
        "collected_on": dt.date(2020, 1, 1), "recorded_by": stored.recorded_by,
    }  # fmt: skip
    with refused("result_key"):
        PcrResult.objects.create(**values)
    PcrResult.objects.create(**values, version=2, supersedes=stored)
    with refused("supersedes"):
        PcrResult.objects.create(**values, version=3, supersedes=stored)


def test_a_course_cannot_stop_before_it_starts_nor_have_a_reason_without_a_stop(patient: Patient) -> None:
    with refused("course_dates"):
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on=dt.date(2020, 1, 2), stopped_on=dt.date(2020, 1, 1)
        )
    with refused("course_reason"):
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on=dt.date(2020, 1, 2), stop_reason="tfr_attempt"
        )


@pytest.mark.parametrize("factor", [NAN, Decimal(0), Decimal(-1), Decimal(100)])
def test_a_conversion_factor_is_positive(factor: Decimal) -> None:
    laboratory = Laboratory.objects.create(code="LAB")
    with refused("factor_positive"):
        insert(
            ConversionFactor, laboratory_id=laboratory.pk, factor=factor, valid_from=dt.date(2020, 1, 1), assay_name="",
            control_gene="ABL1", source="",
        )  # fmt: skip


def test_one_alert_of_a_kind_and_subject_is_open(patient: Patient) -> None:
    def make(evidence: str, **more: Any) -> Alert:
        return Alert.objects.create(
            public_id=alert_public_id(AlertKind.LOSS_OF_MMR, "s", evidence), kind="loss_of_mmr", subject_key="s",
            centre=patient.centre, patient=patient, certainty="suspected", evidence_key=evidence,
            evidence_on=dt.date(2020, 1, 1), rule_version="r", **more,
        )  # fmt: skip

    make("a")
    with refused("alert_one_open"):
        make("b")
    with refused("alert_closed_at"):
        make("c", state="closed")


# --- what is written stays ---------------------------------------------------------------------------------------


def test_results_and_ledger_lines_cannot_be_changed_or_deleted_even_by_the_owner(
    stored: PcrResult, patient: Patient
) -> None:
    event = ResponseEvent.objects.create(
        patient=patient, kind="dmr_gained", subject_key="s", occurred_on=dt.date(2020, 1, 1), rule_version="r"
    )
    for row in (stored, event):
        with refused("Cannot (update|delete)"):
            type(row).objects.filter(pk=row.pk).update(patient=patient)
        with refused("Cannot (update|delete)"):
            type(row).objects.filter(pk=row.pk).delete()


def test_the_history_of_a_patient_says_who_changed_what_and_cannot_be_changed(patient: Patient) -> None:
    patient.transcript = "e14a2"
    patient.save()
    events = Patient.pgh_event_model.objects.filter(pgh_obj=patient).order_by("pgh_id")  # type: ignore[attr-defined]
    assert list(events.values_list("pgh_label", "transcript")) == [("insert", ""), ("update", "e14a2")]
    with refused("Cannot update"):
        events.update(transcript="e13a2")


@contextlib.contextmanager
def acting_as(role: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"set role {role}")
        try:
            yield
        finally:
            cursor.execute("reset role")


CLINICAL = (
    "monitoring_patient", "monitoring_pcrresult", "monitoring_replicate", "monitoring_tkicourse",
    "monitoring_observation",
    "monitoring_responseassessment", "monitoring_responseevent", "monitoring_tfrepisode", "monitoring_alert",
    "monitoring_patientevent", "cohorts_cohortsnapshot",
)  # fmt: skip


@pytest.mark.parametrize("table", CLINICAL)
@pytest.mark.parametrize(
    "deed", ["delete from {}", "truncate {} cascade", "drop table {}", "alter table {} disable trigger all"]
)
def test_the_application_may_not_delete_clinical_rows_nor_disable_their_triggers(table: str, deed: str) -> None:
    with acting_as(APP_ROLE), refused("permission denied|must be owner"), connection.cursor() as cursor:
        cursor.execute(deed.format(table))


@pytest.mark.parametrize("table", ["monitoring_pcrresult", "monitoring_responseevent", "monitoring_patientevent"])
def test_the_application_may_not_update_what_only_grows(table: str) -> None:
    with acting_as(APP_ROLE), refused("permission denied"), connection.cursor() as cursor:
        cursor.execute(
            f"update {table} set rule_version = 'x'"
            if "response" in table
            else f"update {table} set patient_id = patient_id"
        )


def test_the_application_reads_and_adds(patient: Patient) -> None:
    with acting_as(APP_ROLE):
        TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=dt.date(2020, 1, 2))
        assert Patient.objects.count() == 1


def test_the_watchdog_reads_without_names_and_writes_nothing() -> None:
    with acting_as(WATCHDOG_ROLE):
        assert Centre.objects.count() == 0
        with refused("permission denied"):
            Centre.objects.create(code="X")
        with refused("permission denied"), connection.cursor() as cursor:
            cursor.execute("select * from monitoring_patientidentity")


def test_an_integrity_error_of_a_copy_is_djangos_own(stored: PcrResult) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        copy_rows(
            Replicate, ["result_id", "number", "run_valid", "bcr_abl1_reported"], [(stored.pk, 1, True, True)] * 2
        )
