"""Lengths of time are compared calendar-wise, one by one and as numbers."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.vocabulary.dates import Duration

DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2040, 12, 31))


@given(DAYS, st.integers(0, 4000), st.integers(0, 140))
def test_half_months_answer_every_cut_as_the_calendar_does(start: dt.date, days: int, cut: int) -> None:
    length = Duration(start, start + dt.timedelta(days=days))
    assert (length.half_months >= 2 * cut) == length.reaches(cut)
    assert (length.half_months > 2 * cut) == length.exceeds(cut)


def test_a_month_to_the_day_and_a_day_more() -> None:
    start = dt.date(2012, 1, 31)
    assert Duration(start, dt.date(2012, 2, 29)).half_months == 2  # the end of a month is clamped
    assert Duration(start, dt.date(2012, 3, 1)).half_months == 3
    assert Duration(start, dt.date(2018, 1, 31)).half_months == 144
