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
from cohorts.services.recompute import recompute
from monitoring import clock
from monitoring.models import Alert, Centre, Patient, ResponseAssessment, TfrEpisode
from monitoring.selectors.clinical import clinical_view
from monitoring.services.classification import classify_owed
from monitoring.services.ledger import check_ledger
from monitoring.templatetags.reasons import reason_words

pytestmark = pytest.mark.django_db

IMATINIB = "imatinib 2010-01-15 2018-03-15 tfr_attempt"
DEEP = "2010-06-15 1000/50000, 2012-03-15 nd/60000, 2015-03-10 nd/60000, 2018-03-10 nd/60000"
RUN_72 = "Deep response (MR4 or deeper) without interruption since 2012-03-15: 72 whole months up to the stop."
# courses (drug, from, last day, reason); observations (kind, day, grade); results (day, tubes or reported %);
# the class of each result, where the latest episode stands, and sentences of the page
TRAPS = [
    ("72 calendar months of DMR across two leap days", IMATINIB, "", DEEP, "NO_MMR MR4_5 MR4_5 MR4_5", "off_treatment",
     (RUN_72, "No evaluable result after the stop on 2018-03-15")),
    ("a day less than 72 calendar months", IMATINIB, "", DEEP.replace("2012-03-15", "2012-03-16"), "NO_MMR MR4_5 MR4_5 MR4_5",
     "off_treatment", ("since 2012-03-16: 71 whole months up to the stop.",)),
    ("DMR from a leap day to the last day of February, 72 months on", IMATINIB.replace("2018-03-15", "2018-02-28"), "",
     "2010-06-15 1000/50000, 2012-02-29 nd/60000, 2018-02-20 nd/60000", "NO_MMR MR4_5 MR4_5", "off_treatment", ("since 2012-02-29: 72 whole months",)),
    ("exactly 0.1 %", IMATINIB, "", f"{DEEP}, 2018-05-15 50/50000", "NO_MMR MR4_5 MR4_5 MR4_5 MMR", "off_treatment",
     ("off treatment, MMR held",)),
    ("just above 0.1 %", IMATINIB, "", f"{DEEP}, 2018-05-15 51/50000", "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR", "loss_of_mmr",
     ("0.102 % IS on 2018-05-15, 61 days after the stop: above 0.1 %, MMR is lost.",)),
    ("a single 0.13 %, then 0.05 %", IMATINIB, "", f"{DEEP}, 2018-05-15 65/50000, 2018-06-15 25/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR MMR", "loss_of_mmr",
     ("0.13 % IS on 2018-05-15", "The next value, of 2018-06-15, is in MMR: the loss stands by one value and is not confirmed.")),
    ("undetected with 4,000 ABL1", IMATINIB, "", f"{DEEP}, 2018-05-15 nd/4000", "NO_MMR MR4_5 MR4_5 MR4_5 INEVALUABLE_MR4",
     "off_treatment", ("inevaluable for MR4", "No evaluable result after the stop on 2018-03-15")),
    ("a positive replicate in a poor tube beside an undetected good one", IMATINIB, "",
     f"{DEEP}, 2018-05-15 3/4000; nd/50000", "NO_MMR MR4_5 MR4_5 MR4_5 MMR", "off_treatment", ("too few control gene copies",)),
    ("restart without loss", f"{IMATINIB} / imatinib 2018-09-01", "", f"{DEEP}, 2018-06-15 nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5", "restarted",
     ("imatinib again from 2018-09-01 without loss of MMR: the observation ends, it is no loss of MMR.",)),
    ("two attempts", f"{IMATINIB} / imatinib 2018-07-01 2022-07-01 tfr_attempt", "withdrawal_syndrome 2018-04-10 2",
     f"{DEEP}, 2018-06-15 200/50000, 2018-10-15 20/50000, 2019-06-15 nd/60000, 2022-06-15 nd/60000, 2022-08-15 nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR MMR MR4_5 MR4_5 MR4_5", "off_treatment",
     ("Attempt 1 at treatment-free remission.", "Attempt 2 at treatment-free remission.",
      "Withdrawal syndrome of grade 2 recorded on 2018-04-10, 26 days after the stop.",
      "imatinib again from 2018-07-01, 16 days after the loss.", "MMR regained on 2018-10-15, 106 days after the restart.",
      "Deep response regained on 2019-06-15", "A deep response of 2012-03-15 was lost and regained: the run counts from 2019-06-15.")),
    ("death in remission", IMATINIB, "death 2019-01-05", f"{DEEP}, 2018-06-15 nd/60000", "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5", "death",
     ("Death on 2019-01-05 with MMR never lost: the observation ends, it is no loss of MMR.",)),
    ("no PCR after the stop", IMATINIB, "", DEEP, "NO_MMR MR4_5 MR4_5 MR4_5", "off_treatment",
     ("No evaluable result after the stop on 2018-03-15: nothing says whether MMR was held.",)),
    ("not in MMR on the day of stopping", IMATINIB, "", f"{DEEP}, 2018-03-15 100/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR", "off_treatment",
     ("Not in MMR at the stop: the last evaluable result, of 2018-03-15, is no MMR.", "not in MMR off treatment")),
    ("two results on one day", IMATINIB, "", f"{DEEP}, 2018-05-15 nd/60000, 2018-05-15 60/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5 NO_MMR", "loss_of_mmr", ("2 results of 2018-05-15: the shallowest class, no MMR, stands for the day.",)),
    ("DMR lost and regained before the stop", IMATINIB, "", "2012-03-15 nd/60000, 2014-03-15 25/50000, 2014-09-15 nd/60000, 2018-03-10 nd/60000",
     "MR4_5 MMR MR4_5 MR4_5", "off_treatment",
     ("A deep response of 2012-03-15 was lost and regained: the run counts from 2014-09-15.", "since 2014-09-15: 42 whole months")),
    ("a nine-month gap off treatment", IMATINIB, "", f"{DEEP}, 2018-04-15 nd/60000, 2019-01-15 nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5 MR4_5", "off_treatment", ("No evaluable result between 2018-04-15 and 2019-01-15 (275 days) off treatment.",)),
    ("38,5 and 0.25 % and <0.0032 in a file", IMATINIB, "", "2010-02-01 38,5, 2011-02-01 0.25 %, 2014-02-01 <0.0032, 2018-03-01 <0.0032, 2018-06-01 0.25 %",
     "NO_MMR NO_MMR MR4_5 MR4_5 NO_MMR", "loss_of_mmr", ("38.5", "0.25 % IS on 2018-06-01")),
    ("late recurrence", IMATINIB, "", f"{DEEP}, 2019-03-15 nd/60000, 2020-03-16 100/50000", "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5 NO_MMR",
     "loss_of_mmr", ("Late recurrence: more than 24 months after the stop.",)),
    ("a planned restart after delivery", "imatinib 2010-01-15 2018-03-15 pregnancy / imatinib 2019-02-01",
     "pregnancy 2018-04-01 / pregnancy_end 2019-01-10", f"{DEEP}, 2018-09-15 nd/60000", "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5", "restarted",
     ("imatinib again from 2019-02-01 after the pregnancy ended on 2019-01-10, without loss of MMR: planned, no failure.",)),
    ("no MMR three months after the restart", f"{IMATINIB} / dasatinib 2018-07-01", "", f"{DEEP}, 2018-06-15 200/50000, 2018-09-15 200/50000, 2018-12-15 200/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR NO_MMR NO_MMR", "restarted", ("No MMR on record 3 months after the restart on 2018-07-01.",)),
    ("deep already when we first looked", "imatinib 2008-01-15 2018-03-15 tfr_attempt", "", DEEP.split(", ", 1)[1], "MR4_5 MR4_5 MR4_5", "off_treatment",
     ("Deep response for 72 whole months at least: it began before our first result of 2012-03-15.",)),
]  # fmt: skip


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
        while classify_owed(now=clock.now()):
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


@pytest.mark.parametrize(("trap", "courses", "observations", "results", "classes", "state", "says"), TRAPS)
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
