"""Working hours: when so many have passed, over nights, weekends and the days on which clocks change."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from monitoring.domain.alerting.duty import Duty

BERLIN = ZoneInfo("Europe/Berlin")
WEEKDAYS = Duty(frozenset({1, 2, 3, 4, 5}), dt.time(8), dt.time(16), BERLIN)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(dt.UTC)


@pytest.mark.parametrize(
    ("start", "hours", "over"),
    [
        ("2026-03-04T09:00", 4, "2026-03-04T13:00"),
        ("2026-03-04T06:00", 4, "2026-03-04T12:00"),  # before work begins
        ("2026-03-04T14:00", 4, "2026-03-05T10:00"),  # over a night
        ("2026-03-06T14:00", 4, "2026-03-09T10:00"),  # over a weekend
        ("2026-03-07T12:00", 1, "2026-03-09T09:00"),  # on a Saturday
        ("2026-03-04T16:00", 1, "2026-03-05T09:00"),  # just closed
        ("2026-03-04T08:00", 8, "2026-03-04T16:00"),
        ("2026-03-04T08:00", 17, "2026-03-06T09:00"),
        ("2028-02-28T15:00", 9, "2028-02-29T16:00"),  # a leap day
    ],
)
def test_working_hours_pass_only_while_the_centre_works(start: str, hours: float, over: str) -> None:
    assert WEEKDAYS.after(at(start), hours) == at(over)


def test_a_day_on_which_clocks_change_is_as_long_as_it_is() -> None:
    always = Duty(frozenset(range(1, 8)), dt.time(0), dt.time(12), BERLIN)
    assert always.after(at("2026-03-29T00:00"), 11) == at("2026-03-29T12:00"), "spring: 11 hours up to noon"
    assert always.after(at("2026-10-25T00:00"), 13) == at("2026-10-25T12:00"), "autumn: 13"


def test_a_centre_that_never_works_has_no_such_hour() -> None:
    assert Duty(frozenset(), dt.time(8), dt.time(16), BERLIN).after(at("2026-03-04T09:00"), 1) is None
