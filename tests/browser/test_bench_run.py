"""A run of the bench at a browser: forty results with few keys, a pasted block with faults, a row that was not sent."""

import datetime as dt
import json
from collections import Counter

import pytest
from django.contrib.auth.models import User

from monitoring import clock
from monitoring.models import BenchRun, Centre, Patient, PcrResult, RunRow
from tests.browser.conftest import Look, Visitor, until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MOST_KEYS_OF_FORTY = 600
COUNT_KEYS = "window.pressed = 0; addEventListener('keydown', () => { window.pressed += 1; }, true);"


def day(ago: int) -> str:
    return (clock.now().date() - dt.timedelta(days=ago)).isoformat()


@pytest.fixture
def patients(service: None, study: dict[str, User]) -> list[Patient]:
    centre = Centre.objects.get(code="H1")
    return [Patient.objects.create(centre=centre, patient_id=f"CML-{n:04}") for n in range(1, 97)]


def start(visitor: Visitor, name: str, *, collected_on: str = "") -> BenchRun:
    page = visitor.page
    visitor.sign_in("ada")
    visitor.choose("/bench/")
    page.fill("#id_name", name)
    page.fill("#id_conversion_factor", "1")
    page.fill("#id_collected_on", collected_on)
    page.fill("#id_received_on", collected_on)
    page.keyboard.press("Enter")
    page.wait_for_selector("#grid td > input:focus")
    return BenchRun.objects.get(name=name)


def cell(place: int, name: str) -> str:
    return f"#grid tr[data-place='{place}'] input[name='{name}']"


def test_forty_results_take_at_most_six_hundred_keys(patients: list[Patient], visitor: Visitor) -> None:
    """Every key by hand: no scanner; the next accession by "+", a patient by the end of the pseudonym."""
    page = visitor.page
    run = start(visitor, "KEYS", collected_on=day(3))
    page.evaluate(COUNT_KEYS)
    keyboard = page.keyboard
    for n in range(40):
        keyboard.type("26-0417" if n == 0 else "+")
        keyboard.press("Enter")  # to the patient
        keyboard.type(f"{n + 1:03}")  # the end of the pseudonym, which one patient has
        keyboard.press("Tab")  # past the days that the header gives
        keyboard.type("u" if n % 4 else "12")
        keyboard.press("Tab")
        keyboard.type(f"{45000 + n}")
        keyboard.press("Tab")
    pressed = page.evaluate("window.pressed")
    assert pressed <= MOST_KEYS_OF_FORTY, f"{pressed} keys"
    until(lambda: RunRow.objects.filter(run=run).count() == 40, "rows that are kept")
    page.wait_for_selector("#tally [data-count=clear]:text-is('40')")
    keyboard.press("Control+Enter")
    page.wait_for_selector("button.primary:has-text('40')")
    visitor.check("run before it is submitted")
    keyboard.press("Tab")
    page.click("button.primary")
    page.wait_for_selector(".message")
    found = PcrResult.objects.filter(run="KEYS")
    assert found.count() == 40
    assert set(found.values_list("patient__patient_id", flat=True)) == {p.patient_id for p in patients[:40]}
    assert found.filter(accession_number="26-0456").exists()
    visitor.check("run that was submitted")


def test_a_pasted_block_of_forty_rows_says_its_five_faults_first(patients: list[Patient], visitor: Visitor) -> None:
    page = visitor.page
    run = start(visitor, "PASTE")
    lines = [[f"26-{n:04}", f"CML-{n:04}", day(3), day(2), "nd", str(50000 + n)] for n in range(1, 41)]
    lines[4][1] = "CML-9999"
    lines[9][2] = "2025-02-30"
    lines[14][4] = "zero"
    lines[19][5] = "1.67683E+15"
    lines[24][0] = "26-0001"
    text = "\n".join("\t".join(line) for line in lines)
    page.focus(cell(1, "accession_number"))
    page.evaluate(
        """(text) => {
          const data = new DataTransfer();
          data.setData("text/plain", text);
          document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true,
            cancelable: true }));
        }""",
        text,
    )
    page.wait_for_selector("[data-paste=take]:focus")
    said = page.inner_text("#paste-said")
    assert "240" in said
    assert page.locator("#paste-said li").count() == 5
    assert not RunRow.objects.exists()
    visitor.check("pasted block")
    page.keyboard.press("Escape")
    page.wait_for_selector(f"{cell(1, 'accession_number')}:focus")
    assert not RunRow.objects.exists()
    page.evaluate(
        """(text) => {
          const data = new DataTransfer();
          data.setData("text/plain", text);
          document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true,
            cancelable: true }));
        }""",
        text,
    )
    page.wait_for_selector("[data-paste=take]:focus")
    page.keyboard.press("Enter")
    until(lambda: RunRow.objects.filter(run=run).count() == 40, "rows that are kept")
    page.wait_for_selector("#tally [data-count=invalid]:text-is('5')")
    visitor.check("run with five faults")
    for place, name, right in (
        (5, "patient_id", "CML-0005"), (10, "collected_on", day(3)), (15, "bcr_abl1_copies_1", "u"),
        (20, "control_gene_copies_1", "51000"), (25, "accession_number", "26-0025"),
    ):  # fmt: skip
        page.focus(cell(place, name))
        page.keyboard.press("Control+A")
        page.keyboard.type(right)
        page.keyboard.press("Enter")
    page.wait_for_selector("#tally [data-count=invalid]:text-is('0')")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("button.primary:has-text('40')")


def test_keys_move_restore_and_repeat(patients: list[Patient], visitor: Visitor) -> None:
    page = visitor.page
    run = start(visitor, "MOVES")
    visitor.check("run that was started")
    keyboard = page.keyboard
    page.wait_for_selector(f"{cell(1, 'accession_number')}:focus")
    keyboard.type("A1")
    keyboard.press("Enter")
    page.wait_for_selector(f"{cell(1, 'patient_id')}:focus")
    keyboard.type("CML-0001")
    keyboard.press("ArrowRight")
    page.wait_for_selector(f"{cell(1, 'collected_on')}:focus")
    yesterday = clock.now().date() - dt.timedelta(days=1)
    keyboard.type(str(yesterday.day))
    keyboard.press("Enter")
    page.wait_for_selector(f"{cell(2, 'collected_on')}:focus")
    assert page.input_value(cell(1, "collected_on")) == yesterday.isoformat()
    keyboard.type('"')
    keyboard.press("ArrowUp")
    assert page.input_value(cell(2, "collected_on")) == yesterday.isoformat()
    until(lambda: RunRow.objects.filter(run=run).count() == 2, "rows that are kept")
    page.focus(cell(1, "accession_number"))
    keyboard.press("F2")
    keyboard.press("ArrowLeft")
    keyboard.type("x")
    assert page.input_value(cell(1, "accession_number")) == "Ax1"
    keyboard.press("Escape")
    assert page.input_value(cell(1, "accession_number")) == "A1"
    keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    visitor.check("keys of a run")
    keyboard.press("Escape")
    page.focus(cell(1, "control_gene_copies_1"))
    keyboard.type("50000")
    keyboard.press("Control+s")
    until(lambda: RunRow.objects.filter(run=run, cells__control_gene_copies_1="50000").exists(), "rows that are kept")


def test_a_row_that_could_not_be_sent_stays_with_a_mark_and_is_sent_again(
    patients: list[Patient], visitor: Visitor
) -> None:
    page = visitor.page
    run = start(visitor, "UNSENT")
    page.route("**/rows/", lambda route: route.abort())
    page.keyboard.type("A1")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#grid tr[data-place='1'] .mark:visible")
    assert "error" in str(page.get_attribute("#sent", "class"))
    kept = str(page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage)]"))
    assert "A1" not in kept, "nothing of a patient stays in the browser"
    assert not RunRow.objects.exists()
    page.unroute("**/rows/")
    until(lambda: RunRow.objects.filter(run=run).count() == 1, "rows that are kept")
    page.wait_for_selector("#grid tr[data-place='1'] .mark", state="hidden")
    kinds = Counter(said.partition(":")[0] for said in visitor.complaints)
    assert set(kinds) <= {"Failed to load resource"}, "only what the browser itself says of a lost connection"
    visitor.complaints.clear()


@pytest.mark.parametrize("look", [Look(1440, "light")], ids=str, indirect=True)
def test_a_grid_of_96_rows_answers_a_key_at_once_and_keeps_a_row_soon(
    patients: list[Patient], visitor: Visitor
) -> None:
    page = visitor.page
    run = start(visitor, "LARGE")
    ada = run.started_by
    RunRow.objects.bulk_create(
        RunRow(
            run=run, place=n, saved_by=ada, saved_at=clock.now(),
            cells={"accession_number": f"L{n}", "patient_id": f"CML-{n:04}", "collected_on": day(4),
                   "bcr_abl1_copies_1": "u", "control_gene_copies_1": "50000"},
        )
        for n in range(1, 97)
    )  # fmt: skip
    page.reload()
    page.wait_for_selector("#grid tr[data-place='96']")
    visitor.check("run of 96 rows")
    page.focus(cell(90, "control_gene_copies_1"))
    took = page.evaluate(
        """async () => {
          const cell = document.activeElement;
          const took = [];
          for (const digit of "123456789012345678901234567890") {
            const began = performance.now();
            cell.value = digit;
            cell.dispatchEvent(new KeyboardEvent("keydown", { key: digit, bubbles: true }));
            cell.dispatchEvent(new InputEvent("input", { bubbles: true }));
            cell.getBoundingClientRect();
            took.push(performance.now() - began);
            await new Promise(requestAnimationFrame);
          }
          return took.sort((a, b) => a - b);
        }"""
    )
    assert len(took) == 30
    for n in range(5):
        page.focus(cell(90 - n, "control_gene_copies_1"))
        page.keyboard.press("Control+A")
        page.keyboard.type(str(52000 + n))
    until(
        lambda: RunRow.objects.filter(run=run, cells__control_gene_copies_1__startswith="52").count() == 5, "five rows"
    )
    saves = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/rows/'))"
        ".map((one) => Math.round(one.responseEnd - one.requestStart))"
    )
    assert saves
    print(json.dumps({"keystroke_ms": took, "save_ms": saves}))  # noqa: T201  # the figures, where somebody asks


def test_a_run_on_a_phone_is_read_and_written(patients: list[Patient], visitor: Visitor) -> None:
    start(visitor, "SMALL")
    visitor.check("small run")
