"""What never matters: the order in which facts were entered, and whether a patient was replayed before."""

import datetime as dt
import random

from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.course.series import Series
from monitoring.domain.replay import replay
from monitoring.models import Centre, Patient
from monitoring.selectors.clinical import rules_of, view_of
from tests.reference.patients import patients, patients_on_a_day

SEEDS = st.integers(0, 2**32)


def shuffled(series: Series, seed: int) -> Series:
    """The same facts, entered in another order."""
    chance = random.Random(seed)
    results, courses, facts = (
        chance.sample(rows, len(rows)) for rows in (series.results, series.courses, series.facts)
    )
    return Series(
        series.patient_key, tuple(results), tuple(courses), tuple(facts), series.first_mmr_on, series.first_dmr_on
    )


@given(patients(), SEEDS)
def test_a_replay_says_the_same_again_and_in_any_order(series: Series, seed: int) -> None:
    said = replay(series)
    assert replay(series) == said
    assert replay(shuffled(series, seed)) == said


@given(patients_on_a_day(), SEEDS)
def test_the_clinical_view_says_the_same_again_and_in_any_order(case: tuple[Series, dt.date], seed: int) -> None:
    series, as_of = case
    patient, rules = Patient(centre=Centre(code="H1"), patient_id="P1"), rules_of(None)
    said = view_of(series, patient, rules, as_of)
    assert view_of(series, patient, rules, as_of) == said
    assert view_of(shuffled(series, seed), patient, rules, as_of) == said
