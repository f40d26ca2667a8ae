"""Settings of laboratories: a corrected factor is shown first and scores anew, limits and SD are the assay's own."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import (
    Alert,
    Assay,
    Centre,
    ConversionFactor,
    Laboratory,
    Patient,
    ResponseAssessment,
    Role,
    TkiCourse,
)
from monitoring.selectors.clinical import clinical_view
from monitoring.selectors.laboratories import FactorStanding, factors_to_look_after, standing_factors
from monitoring.selectors.series import load_series
from monitoring.services.classification.classify import classify_pending
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting
from tests.nights import recompute

pytestmark = pytest.mark.django_db


def ago(days: int) -> dt.date:
    return clock.now().date() - dt.timedelta(days=days)


@pytest.fixture
def factor(patient: Patient, ada: User, member: Callable[..., User]) -> ConversionFactor:
    """A laboratory with factor 0.5, whose patient off treatment stands at 0.08 %: 0.16 % without it."""
    member("grace", patient.centre)
    laboratory = reporting("LAB", patient.centre)
    found = ConversionFactor.objects.create(laboratory=laboratory, factor="0.5", valid_from="2010-01-01")
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
    )
    for accession, days, tubes in (("A1", 70, "nd/60000"), ("A2", 20, "96/60000")):
        said = report(accession, ago(days).isoformat(), tubes, conversion_factor=None)
        record_result(said, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    return found


@pytest.fixture
def adam(client: Client, patient: Patient, member: Callable[..., User]) -> User:
    """The administrator of the only centre, signed in."""
    user = member("adam", patient.centre, Role.ADMINISTRATOR)
    client.force_login(user)
    return user


def fields(**changed: str) -> dict[str, str]:
    return {"control_gene": "ABL1", "factor": "0.5", "valid_from": "2010-01-01", **changed}


def test_a_corrected_factor_is_shown_first_and_changed_with_a_reason(
    factor: ConversionFactor, adam: User, client: Client
) -> None:
    cohort, _ = define_cohort({"slug": "all", "title": "Everybody"}, by="test")
    recompute(cohort)
    address = f"/laboratories/{factor.laboratory_id}/factors/{factor.pk}/"
    shown = client.post(address, fields(factor="1", preview="1"))
    page = shown.content.decode()
    assert "1 patient has a result that may rest on it." in page
    assert "classes of results" in page
    assert f"{ago(20)} MMR" in page
    assert f"{ago(20)} NO_MMR" in page
    assert "Everybody" in page, "one more event of the cohort"
    changed = shown.context["cohorts"][0]
    assert (changed.members, changed.events) == ((1, 1), (0, 1))
    factor.refresh_from_db()
    assert factor.factor == Decimal("0.5"), "a preview stores nothing"
    assert not Alert.objects.filter(kind="loss_of_mmr").exists()
    assert client.post(address, fields(factor="1", change="1")).status_code == 400, "a reason"
    assert client.post(address, fields(factor="1", change="1", reason="re-validated by EQA")).status_code == 302
    classify_pending(now=clock.now())
    classes = ResponseAssessment.objects.filter(result__accession_number="A2").order_by("pk")
    assert [(c.response_class, c.superseded_at is None) for c in classes] == [("MMR", False), ("NO_MMR", True)]
    assert Alert.objects.get(kind="loss_of_mmr").is_percent == Decimal("0.16")
    history = ConversionFactor.pgh_event_model.objects.order_by("pgh_id").last()  # type: ignore[attr-defined]
    assert history.pgh_context["reason"] == "re-validated by EQA"
    assert client.post(address, fields(change="1", reason="the old one was right")).status_code == 302
    classify_pending(now=clock.now())
    assert Alert.objects.get(kind="loss_of_mmr").state == "withdrawn"
    assert list(check_ledger()) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"factor": "0", "is_meant": "on"}, "factor: a number above 0 and below 100 is needed"),
        ({"factor": "zero"}, "Enter a number"),
        ({"valid_to": "2009-12-31"}, "valid to: a day not before the first one is needed"),
        ({"control_gene": "TP53"}, "TP53"),
        ({"factor": "75"}, "75 is unusual: laboratories have factors of about 0.2 to 2.5. Is 0.75 meant?"),
        ({"factor": "0.008"}, "Is 0.8 meant?"),
    ],
)
def test_a_bad_factor_is_refused_in_words(
    factor: ConversionFactor, adam: User, client: Client, changed: dict[str, str], problem: str
) -> None:
    answer = client.post(f"/laboratories/{factor.laboratory_id}/factors/{factor.pk}/", fields(**changed, preview="1"))
    assert answer.status_code == 400
    assert problem in answer.content.decode()


def test_who_may_change_a_factor_administers_every_centre_it_reaches(
    factor: ConversionFactor, adam: User, client: Client
) -> None:
    address = f"/laboratories/{factor.laboratory_id}/factors/"
    assert client.get(address).status_code == 200
    reporting("LAB", Centre.objects.create(code="H2"))
    assert client.get(address).status_code == 403
    nowhere = Laboratory.objects.create(code="NOWHERE")
    assert client.get(f"/laboratories/{nowhere.pk}/factors/").status_code == 403, "only the operator"


def test_a_result_with_its_own_factor_does_not_rest_on_the_register(
    factor: ConversionFactor, adam: User, client: Client, patient: Patient, ada: User
) -> None:
    record_result(
        report("A3", ago(5).isoformat(), "96/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    shown = client.post(f"/laboratories/{factor.laboratory_id}/factors/{factor.pk}/", fields(factor="1", preview="1"))
    assert f"{ago(5)}" not in shown.context["shown"][0][1][0][1], "A3 is 0.16 % either way"


TODAY = dt.date(2025, 3, 10)


@pytest.mark.parametrize(
    ("dates", "standing"),
    [
        ({"valid_from": "2025-03-11"}, FactorStanding.NOT_YET),
        ({}, FactorStanding.IN_FORCE),
        ({"valid_to": "2025-05-09"}, FactorStanding.EXPIRES_SOON),
        ({"valid_to": "2025-05-10"}, FactorStanding.IN_FORCE),
        ({"valid_to": "2025-03-10"}, FactorStanding.EXPIRES_SOON),
        ({"valid_to": "2025-03-09"}, FactorStanding.EXPIRED),
        ({"revalidate_by": "2025-03-10"}, FactorStanding.REVALIDATION_NEAR),
        ({"revalidate_by": "2025-03-09"}, FactorStanding.REVALIDATION_DUE),
        ({"revalidate_by": "2025-09-01"}, FactorStanding.IN_FORCE),
    ],
)
def test_how_a_factor_stands(dates: dict[str, str], standing: FactorStanding) -> None:
    laboratory = Laboratory.objects.create(code="LAB")
    ConversionFactor.objects.create(laboratory=laboratory, factor=1, **{"valid_from": "2020-01-01", **dates})
    (one,) = standing_factors(ConversionFactor.objects.all(), TODAY)
    assert one.standing is standing
    assert factors_to_look_after(TODAY) == ([one] if one.asks_for_work else [])


def test_a_factor_that_was_followed_asks_for_nothing() -> None:
    laboratory = Laboratory.objects.create(code="LAB")
    ConversionFactor.objects.create(laboratory=laboratory, factor=1, valid_from="2020-01-01", valid_to="2024-12-31")
    assert [one.standing for one in factors_to_look_after(TODAY)] == [FactorStanding.EXPIRED]
    ConversionFactor.objects.create(laboratory=laboratory, factor=2, valid_from="2025-01-01")
    assert factors_to_look_after(TODAY) == []


def test_the_pages_warn_before_a_factor_runs_out(factor: ConversionFactor, adam: User, client: Client) -> None:
    assert "conversion factors to look after" not in client.get("/").content.decode()
    factor.valid_to = ago(-10)
    factor.save()
    assert "conversion factors to look after" in client.get("/").content.decode()
    assert "expires soon" in client.get("/laboratories/").content.decode()
    assert "expires soon" in client.get(f"/laboratories/{factor.laboratory_id}/").content.decode()


def rising(patient: Patient, ada: User, **more: Any) -> None:
    """0.010 %, then 0.020 % a month later: 0.30 log."""
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on="2010-01-01")
    for accession, days, tubes in (("A1", 40, "10/100000"), ("A2", 10, "20/100000")):
        said = report(accession, ago(days).isoformat(), tubes, **more)
        record_result(said, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())


def test_a_change_is_real_by_the_assay_s_own_sd(patient: Patient, ada: User) -> None:
    laboratory = Laboratory.objects.create(code="LAB")
    assay = Assay.objects.create(laboratory=laboratory, name="in-house")
    rising(patient, ada, assay_name="in-house")
    change = clinical_view(patient, ago(0)).change
    assert change is not None
    assert (change.reference_change_log10, change.is_real) == (Decimal("0.8038"), False), "0.29, the kits' limit"
    assay.sd_log10_from_mr_3_5 = Decimal("0.10")
    assay.save()
    change = clinical_view(patient, ago(0)).change
    assert change is not None
    assert (change.reference_change_log10, change.is_real) == (Decimal("0.2772"), True), "1.96 x root 2 x 0.10"


@pytest.mark.parametrize(
    ("minimum", "response_class"),
    [(None, "MR4_5"), ("50000", "MR4_5"), ("50001", "INEVALUABLE_MR4"), ("5000", "MR4_5")],
)
def test_a_laboratory_may_ask_for_more_control_copies_in_each_replicate(
    patient: Patient, ada: User, minimum: str | None, response_class: str
) -> None:
    laboratory = Laboratory.objects.create(code="LAB")
    Assay.objects.create(laboratory=laboratory, name="in-house", minimum_control_copies=minimum)
    said = report("A1", ago(9).isoformat(), "nd/50000; nd/9000", assay_name="in-house")
    record_result(said, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    assert ResponseAssessment.objects.get().response_class == response_class


def test_the_limit_of_quantification_of_the_assay_is_used_where_a_result_names_none(
    patient: Patient, ada: User
) -> None:
    laboratory = Laboratory.objects.create(code="LAB")
    Assay.objects.create(laboratory=laboratory, name="in-house", limit_of_quantification_percent="0.032")
    rising(patient, ada, assay_name="in-house")
    classify_pending(now=clock.now())
    classes = ResponseAssessment.objects.order_by("result__collected_on")
    assert [c.flags for c in classes] == ["BELOW_LOQ", "BELOW_LOQ"]


@pytest.mark.slow  # the history takes its instants from transactions, which must be real ones here
@pytest.mark.django_db(transaction=True)
def test_what_was_known_includes_the_laboratory_and_the_patient_s_row(
    factor: ConversionFactor, patient: Patient
) -> None:
    earlier = clock.now()
    factor.factor = Decimal(1)
    factor.save()
    patient.transcript = "e1a2"
    patient.save()
    now, then = load_series([patient.pk])[patient.pk], load_series([patient.pk], earlier)[patient.pk]
    assert [r.measurement.conversion_factor for r in then.series.results] == [Decimal("0.5")] * 2
    assert [r.measurement.conversion_factor for r in now.series.results] == [Decimal(1)] * 2
    assert (then.patient.transcript, now.patient.transcript) == ("", "e1a2")
    assert {r.measurement.transcript.value for r in then.series.results} == {""}


def test_every_change_of_the_way_of_measuring_is_marked_on_the_series(
    patient: Patient, ada: User, client: Client, member: Callable[..., User]
) -> None:
    ways: list[dict[str, Any]] = [
        {}, {}, {"laboratory": "OTHER"}, {"laboratory": "OTHER", "method": "dpcr"},
        {"laboratory": "OTHER", "method": "dpcr", "conversion_factor": Decimal("0.8")},
        {"laboratory": "OTHER", "method": "dpcr", "conversion_factor": Decimal("0.8")},
    ]  # fmt: skip
    for n, way in enumerate(ways):
        said = report(f"W{n}", ago(100 - 10 * n).isoformat(), "10/50000", **way)
        record_result(said, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    client.force_login(member("grace", patient.centre))
    answer = client.get(f"/patients/{patient.public_id}/")
    marked = [point["lab_changed"] for point in answer.context["chart"]["points"]]
    assert marked == [False, False, True, True, True, False]
    page = answer.content.decode()
    for sentence in (
        "Another laboratory, last from",
        "Another method, last from",
        "Another conversion factor, last from",
    ):
        assert sentence in page


def test_an_unusual_factor_is_asked_about_and_taken_where_it_is_meant(
    factor: ConversionFactor, adam: User, client: Client
) -> None:
    address = f"/laboratories/{factor.laboratory_id}/factors/"
    given = fields(factor="75", valid_from="2020-01-01", change="1", reason="a pilot assay")
    assert client.post(address, given).status_code == 400
    assert ConversionFactor.objects.count() == 1
    assert client.post(address, {**given, "is_meant": "on"}).status_code == 302
    assert ConversionFactor.objects.count() == 2
    far = fields(factor="0.12", valid_from="2021-01-01", preview="1")
    ConversionFactor.objects.filter(factor=Decimal("0.5")).update(factor=Decimal(5))
    assert "more than thirty times away" in client.post(address, far).content.decode()
