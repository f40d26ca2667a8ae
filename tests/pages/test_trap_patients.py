"""Patients with one trap each, loaded from files: what their pages say happened, and why."""

import html
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import Alert, Centre, Patient, ResponseAssessment, TfrEpisode
from monitoring.selectors.clinical import clinical_view
from monitoring.services.classification.classify import classify_pending
from monitoring.services.classification.ledger import check_ledger
from monitoring.wording.reasons import reason_words
from tests.nights import recompute
from tests.trap_patients import COLUMNS, DEEP, IMATINIB, RUN_72, TRAPS

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def files_of(courses: str, facts: str, results: str) -> dict[str, str]:
    """The four files of one patient."""
    treatments = ["patient_id,drug,started_on,stopped_on,stop_reason"]
    for course in courses.split(" / "):
        treatments.append(",".join(["P1", *[*course.split(), "", ""][:4]]))
    observations = ["patient_id,kind,observed_on,grade"]
    for fact in filter(None, facts.split(" / ")):
        observations.append(",".join(["P1", *[*fact.split(), ""][:3]]))
    rows = [
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor,is_percent"
    ]
    for n, one in enumerate(re.split(r", (?=\d{4}-)", results)):
        day, said = one.split(" ", 1)
        if "/" not in said:
            rows.append(f'LAB,A{n},P1,{day},,,,"{said}"')
        for tube in said.split("; ") if "/" in said else []:
            rows.append(f"LAB,A{n},P1,{day},{tube.replace('/', ',')},1,")
    return {
        "patients": "patient_id,centre,transcript\nP1,H1,e14a2\n",
        "treatments": "\n".join(treatments) + "\n",
        "observations": "\n".join(observations) + "\n",
        "results": "\n".join(rows) + "\n",
    }  # fmt: skip


@pytest.fixture
def load(tmp_path: Path, centre: Centre) -> Callable[[dict[str, str]], None]:
    """Files through the commands, then the classes that are owed."""

    def run(files: dict[str, str]) -> None:
        for kind, text in files.items():
            path = tmp_path / f"{kind}.csv"
            path.write_text(text, encoding="utf-8")
            call_command(f"import_{kind}", str(path), stdout=io.StringIO(), stderr=io.StringIO())
        while classify_pending(now=clock.now()):
            pass

    return run


@pytest.fixture
def page(client: Client, centre: Centre, member: Callable[..., User]) -> Callable[[], str]:
    """The text of the patient's page as the clinician reads it."""
    client.force_login(member("grace", centre))

    def read() -> str:
        answer = client.get(f"/patients/{Patient.objects.get().public_id}/")
        text = re.sub(r"<[^>]+>", " ", answer.content.decode())
        return html.unescape(re.sub(r"\s+", " ", text))

    return read


@pytest.mark.parametrize(COLUMNS, TRAPS)
def test_a_patient_with_a_trap(
    load: Callable[[dict[str, str]], None],
    page: Callable[[], str],
    trap: str,
    courses: str,
    observations: str,
    results: str,
    classes: str,
    state: str,
    says: tuple[str, ...],
) -> None:
    load(files_of(courses, observations, results))
    standing = ResponseAssessment.objects.filter(superseded_at__isnull=True)
    found = standing.order_by("result__collected_on", "result__accession_number").values_list(
        "response_class", flat=True
    )
    assert list(found) == classes.split(), trap
    assert TfrEpisode.objects.order_by("stopped_on").last().state == state  # type: ignore[union-attr]
    text = page()
    for sentence in says:
        assert sentence in text, trap
    assert list(check_ledger()) == []


@pytest.mark.parametrize("transcript", ["e1a2", "e19a2"])
def test_an_atypical_transcript_is_followed_by_its_own_change_only(
    load: Callable[[dict[str, str]], None], page: Callable[[], str], transcript: str
) -> None:
    files = files_of(IMATINIB, "", "2011-03-15 5000/50000, 2018-03-10 5/50000, 2018-06-10 500/50000")
    load({**files, "patients": f"patient_id,centre,transcript\nP1,H1,{transcript}\n"})
    text = page()
    assert f"{transcript} has no International Scale: no class" in text
    assert "Between 2011-03-15 and 2018-06-10 the ratio of copies changed by -1 log." in text
    assert not Alert.objects.filter(kind="loss_of_mmr").exists(), "0.1 % of the International Scale says nothing here"


def test_a_p210_assay_that_sees_nothing_in_e1a2_is_a_wrong_assay(
    load: Callable[[dict[str, str]], None], page: Callable[[], str]
) -> None:
    files = files_of(IMATINIB, "", "2018-03-10 nd/60000")
    head, row, *_ = files["results"].splitlines()
    load({
        **files,
        "patients": "patient_id,centre,transcript\nP1,H1,e1a2\n",
        "results": f"{head},assay\n{row},p210 kit\n",
    })  # fmt: skip
    assert "The assay of 2018-03-10 does not see e1a2: that nothing was detected proves nothing." in page()
    assert ResponseAssessment.objects.get(superseded_at__isnull=True).response_class == "INVALID"


def test_results_that_arrive_late_and_out_of_order_say_the_same(
    load: Callable[[dict[str, str]], None], page: Callable[[], str]
) -> None:
    whole = files_of(IMATINIB, "", f"{DEEP}, 2018-05-15 65/50000, 2018-06-15 25/50000, 2018-07-15 100/50000")
    head, *rows = whole["results"].splitlines()
    load({**whole, "results": f"{head}\n{rows[6]}\n{rows[0]}\n"})
    assert "MMR is lost" in page()
    assert "2018-07-15, 122 days after the stop" in page()
    for row in (rows[5], rows[4], rows[3], rows[2], rows[1]):
        load({"results": f"{head}\n{row}\n"})
    text = page()
    assert "0.13 % IS on 2018-05-15, 61 days after the stop" in text
    assert RUN_72 in text
    assert list(check_ledger()) == []
    assert Alert.objects.filter(kind="loss_of_mmr").exclude(state__in=["closed", "withdrawn"]).count() == 1


def test_first_deep_response_elsewhere_counts_and_is_said(
    load: Callable[[dict[str, str]], None], page: Callable[[], str]
) -> None:
    files = files_of(IMATINIB, "", DEEP.split(", ", 1)[1])
    load({**files, "patients": "patient_id,centre,first_dmr_on\nP1,H1,2011-03-15\n"})
    assert "Deep response since 2011-03-15, reached elsewhere before our first result: 84 whole months" in page()


def test_the_cohort_takes_exactly_72_months_as_reached(load: Callable[[dict[str, str]], None]) -> None:
    load(files_of(IMATINIB, "", f"{DEEP}, 2018-06-15 nd/60000"))
    factor = {"name": "dmr_months", "cut": 72}
    cohort, _ = define_cohort({"slug": "cut", "title": "Cut", "factors": [factor]}, by="test")
    run = recompute(cohort)
    assert run.snapshot is not None
    groups = {g["label"]: g["members"] for g in run.snapshot.figures["univariate"][0]["groups"]}
    assert groups == {">= 72": 1}


def test_every_sentence_stands_in_both_languages(load: Callable[[dict[str, str]], None]) -> None:
    trap = next(one for one in TRAPS if one[0] == "two attempts")
    load(files_of(trap[1], trap[2], trap[3]))
    view = clinical_view(Patient.objects.get(), clock.now().date())
    reasons = [reason for one in view.episodes for reason in one.statements] + list(view.about_series)
    assert len(reasons) > 8
    for reason in reasons:
        english = reason_words(reason)
        with translation.override("zh-hans"):
            chinese = reason_words(reason)
        assert chinese != english, reason.text_code
        assert re.search("[\u4e00-\u9fff]", chinese)
