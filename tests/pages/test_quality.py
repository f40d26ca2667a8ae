"""The quality page of a laboratory: its numbers by an independent count, its drawings, and whose patients they are."""

import datetime as dt
import statistics
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring import clock
from monitoring.domain.vocabulary.dates import add_months
from monitoring.models import BenchRun, Centre, ConversionFactor, Laboratory, Patient, Role, RunControl
from monitoring.pages.plots import band, columns
from monitoring.pages.quality import _months_old
from monitoring.selectors.quality import controls_of, months_of
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db


@pytest.fixture
def laboratory(centre: Centre) -> Laboratory:
    return reporting("LAB", centre)


def month_ago(months: int, day: int = 3) -> dt.date:
    return add_months(clock.now().date().replace(day=1), -months).replace(day=day)


def record(patient: Patient, by: User, accession: str, on: dt.date, tubes: str, days: int) -> None:
    """A result that is final so many days after its sample was received."""
    now = dt.datetime.combine(on + dt.timedelta(days=days + 1), dt.time(9), dt.UTC)
    given = report(accession, on.isoformat(), tubes, received_on=on + dt.timedelta(days=1))
    assert record_result(given, patient=patient, by=by, reach=EVERYWHERE, now=now).action == "created"


def filled(patient: Patient, by: User) -> None:
    for n, days in enumerate((2, 3, 4, 9, 20, 400)):
        record(patient, by, f"M{n}", month_ago(14 if days == 400 else 2, 2 + n), f"{n}1/4{n}000", days)
    record(patient, by, "N1", month_ago(1), "nd/9000;nd/500", 1)
    classify_pending(now=clock.now())


def test_months_say_what_was_measured_and_how_fast(laboratory: Laboratory, patient: Patient, ada: User) -> None:
    filled(patient, ada)
    months = months_of(laboratory, [patient.centre_id], gene="ABL1", since=month_ago(15), until=clock.now().date())
    assert [m.first_on for m in months] == [month_ago(15 - n, 1) for n in range(16)]
    two = next(m for m in months if m.first_on == month_ago(2, 1))
    assert (two.results, two.not_evaluable, two.tubes, two.failed_tubes, two.timed) == (5, 0, 5, 0, 5)
    copies = [40000, 41000, 42000, 43000, 44000]
    tenths = statistics.quantiles(copies, n=10, method="inclusive")
    assert (two.copies_tenth, two.copies_median, two.copies_ninetieth) == (tenths[0], tenths[4], tenths[8])
    days = statistics.quantiles([2, 3, 4, 9, 20], n=10, method="inclusive")
    assert (two.days_median, two.days_ninetieth) == (days[4], pytest.approx(days[8]))
    long_ago = next(m for m in months if m.results == 1 and m.loaded_later)
    assert (long_ago.timed, long_ago.days_median) == (0, None), "loaded a year later says nothing of speed"
    one = next(m for m in months if m.first_on == month_ago(1, 1))
    assert (one.results, one.not_evaluable, one.tubes) == (1, 1, 2)
    assert months[-1].results == 0
    assert months_of(laboratory, [], gene="ABL1", since=month_ago(3), until=clock.now().date())[0].results == 0


def test_the_page_stands_in_words_and_drawings(
    laboratory: Laboratory, patient: Patient, ada: User, member: Callable[..., User]
) -> None:
    ConversionFactor.objects.create(laboratory=laboratory, factor="0.8", valid_from=month_ago(20, 1))
    client = Client()
    client.force_login(member("tess", patient.centre, Role.TECHNICIAN))
    address = f"/laboratories/{laboratory.pk}/quality/"
    assert "No result was collected" in client.get(address).content.decode()
    filled(patient, ada)
    for n in range(25):
        run = BenchRun.objects.create(
            laboratory=laboratory, name=f"R{n}", run_on=month_ago(3) + dt.timedelta(days=n), control_gene="ABL1",
            started_by=ada,
        )  # fmt: skip
        run.centres.add(patient.centre)
        RunControl.objects.create(
            run=run, kind="high", lot="C1" if n < 23 else "C2", detected=True, is_percent=10 + n % 3, target_percent=11,
            faults="1-3s" if n == 7 else "",
        )  # fmt: skip
    page = " ".join(client.get(address).content.decode().split())
    for words in ("1 / 6", "1 of 25 failed.", "age, months", "<polyline", "<polygon", "lot C2"):
        assert words in page, words
    assert f'<td class="number">{_months_old(month_ago(20, 1), clock.now().date())}</td>' in page
    (series,) = controls_of(laboratory, [patient.centre_id], since=month_ago(12))
    assert (series.measured, series.failed, series.lot) == (25, 1, "C2")
    assert series.limits is not None
    assert series.limits.values == 0, "the new lot is judged by its target"
    assert "60" in client.get(address, {"months": "60", "gene": "nonsense"}).content.decode()


def test_it_is_of_patients_whom_one_may_see(
    laboratory: Laboratory, patient: Patient, ada: User, member: Callable[..., User]
) -> None:
    filled(patient, ada)
    other = Centre.objects.create(code="H2")
    client = Client()
    client.force_login(member("else", other))
    address = f"/laboratories/{laboratory.pk}/quality/"
    assert client.get(address).status_code == 404
    reporting("LAB", other)
    assert "No result was collected" in client.get(address).content.decode()


def test_queries_do_not_grow(laboratory: Laboratory, patient: Patient, ada: User, member: Callable[..., User]) -> None:
    client = Client()
    client.force_login(member("tess", patient.centre, Role.TECHNICIAN))

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(f"/laboratories/{laboratory.pk}/quality/")
        return len(seen)

    record(patient, ada, "X", month_ago(1), "nd/60000", 2)
    few = asked()
    filled(patient, ada)
    assert asked() == few


def test_drawings_of_nothing_and_of_one_value() -> None:
    assert columns(["a"], [0]) is None
    assert columns([], []) is None
    assert band(["a"], [None]) is None
    one = band(["a", "b", "c"], [(10.0, 20.0, 30.0), None, (10.0, 20.0, 30.0)])
    assert one is not None
    assert len(one.lines) == len(one.bands) == 2, "a month without values parts the line"
    bars = columns(["a", "b"], [1, 4])
    assert bars is not None
    assert bars.bars[1].height == 4 * bars.bars[0].height
