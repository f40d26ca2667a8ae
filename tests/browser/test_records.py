"""A record at a browser: completed, corrected, moved by two people; and a file that is tried and mended."""

import datetime as dt

import pytest
from django.contrib.auth.models import User

from monitoring import clock
from monitoring.models import Centre, Laboratory, Patient, PcrResult, RecordChange
from tests.browser.conftest import WITH_CHINESE, Visitor, until, until_classified

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def patients(study: dict[str, User]) -> list[Patient]:
    """The two first patients of a centre."""
    centre = Centre.objects.order_by("code").first()
    return list(Patient.objects.filter(centre=centre, results__isnull=False).distinct().order_by("patient_id")[:2])


@pytest.mark.parametrize("look", WITH_CHINESE, ids=str, indirect=True)
def test_two_people_complete_merge_and_part_records(service: None, patients: list[Patient], visitor: Visitor) -> None:
    one, other = patients
    before = PcrResult.objects.filter(patient=one, superseded_by__isnull=True).count()
    page = visitor.page
    visitor.sign_in("grace")
    visitor.open(f"/patients/{one.public_id}/record/")
    page.select_option("#id_risk_score", "elts")
    for field, value in (("spleen_cm", "8"), ("platelets_e9_per_l", "640"), ("blasts_percent", "1")):
        page.fill(f"#id_{field}", value)
    page.wait_for_selector("#preview :text('ELTS')")
    visitor.check("patient completed")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/patients/{one.public_id}/")
    page.click(f"a[href='/patients/{one.public_id}/merge/']")
    page.wait_for_selector("#id_into")
    page.fill("#id_into", other.patient_id)
    page.wait_for_selector(f"#preview h2:text-is('{other.patient_id}')")
    page.fill("#id_reason", "registered twice")
    page.wait_for_selector(f"#preview h2:text-is('{other.patient_id}')")
    visitor.check("merge asked for")
    page.click("main button.primary")
    page.wait_for_url("**/records/**")
    visitor.check("merge waits")
    change = RecordChange.objects.get()
    visitor.sign_out()
    visitor.sign_in("adam")
    visitor.choose("/patients/")
    page.click("a[href='/records/']")
    page.click(f"a[href='/records/{change.public_id}/']")
    page.click("button[value='carry_out']")
    page.wait_for_selector("button[value='undo']")
    assert PcrResult.objects.filter(patient=other, superseded_by__isnull=True).count() > before
    visitor.check("merge done")
    visitor.open(f"/patients/{one.public_id}/")
    page.click(f"main .warning a[href='/patients/{other.public_id}/']")
    page.wait_for_url(f"**/patients/{other.public_id}/")
    visitor.open(f"/records/{change.public_id}/")
    page.fill("#id_note", "two people after all")
    page.click("button[value='undo']")
    page.wait_for_url(f"**/records/{change.public_id}/")
    until(lambda: RecordChange.objects.get().undone_at is not None, "the merge is not undone")
    assert PcrResult.objects.filter(patient=one, superseded_by__isnull=True).count() == before
    visitor.open(f"/patients/{one.public_id}/transfer/")
    page.select_option("#id_centre", index=1)
    page.wait_for_selector("#preview .rows")
    visitor.check("transfer")


@pytest.mark.parametrize("look", WITH_CHINESE, ids=str, indirect=True)
def test_a_technician_corrects_a_result_and_mends_a_file(
    service: None, patients: list[Patient], visitor: Visitor
) -> None:
    (one, _other), page = patients, visitor.page
    result = PcrResult.objects.filter(patient=one, superseded_by__isnull=True).order_by("-collected_on")[0]
    visitor.sign_in("ada")
    visitor.open(f"/results/{result.public_id}/retract/")
    visitor.check("entered in error")
    visitor.open(f"/results/{result.public_id}/amend/")
    page.wait_for_selector("#preview p")
    page.fill("#id_bcr_abl1_copies_1", "900")
    page.wait_for_selector("#preview table strong")
    visitor.check("old and new")
    page.fill("#id_reason", "pipetted twice")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/results/{result.public_id}/")
    until_classified()
    visitor.choose("/imports/")
    day = (clock.now().date() - dt.timedelta(days=4)).isoformat()
    rows = "".join(f"{result.laboratory.code},T{n},{name},{day},900,50000\n" for n, name in ((1, one), (2, "nobody")))
    head = "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies\n"
    page.set_input_files("#id_file", {"name": "week.csv", "mimeType": "text/csv", "buffer": (head + rows).encode()})
    page.click("main button.primary")
    page.wait_for_selector("#verdicts")
    visitor.check("a file that is tried")
    with page.expect_download() as given:
        page.click("a[href$='refused.csv']")
    text = given.value.path().read_text()
    assert text.splitlines()[0].endswith("refused_because")
    assert "T1" not in text
    laboratory = Laboratory.objects.get(pk=result.laboratory_id)
    visitor.open(f"/laboratories/{laboratory.pk}/quality/?months=60")
    page.wait_for_selector("#ages")
    visitor.check("quality")
