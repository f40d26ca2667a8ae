"""Published figures that follow from the counts a paper prints, rebuilt through the door that the service uses.

The rows of these studies are not public. Where nobody was censored before the time that is reported, the counts allow
one answer; where somebody was, the docstring says which rows give what is printed.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from cohorts.domain import survival
from cohorts.domain.engine.arrays import Times
from cohorts.domain.estimates import Landmark


def people(*groups: tuple[int, int, int]) -> Times:
    """Groups of (how many, days of the first, 1 for a loss), spread over five months from there."""
    days = np.concatenate([np.arange(number) % 150 + first for number, first, _lost in groups])
    lost = np.concatenate([np.full(number, bool(lost)) for number, _first, lost in groups])
    return Times(days.astype(np.int64), lost)


def estimates(rows: Times, months: Sequence[float], transform: str = "log-log", level: float = 0.95) -> list[Landmark]:
    limited = survival.kaplan_meier(rows, transform=transform, level=level)
    return [survival.landmark(limited, rows, at) for at in months]


def percent(found: Landmark, digits: int) -> list[float]:
    return [round(100 * (value or 0), digits) for value in (found.estimate, found.lower, found.upper)]


def test_stki_14() -> None:
    """22 children, 11 losses before month 4: 50.0 %, 90 % interval 31.7 to 65.8."""
    (found,) = estimates(people((11, 80, 1), (11, 800, 0)), [12], level=0.90)
    assert percent(found, 1) == [50.0, 31.7, 65.8]


def test_stim1() -> None:
    """100 patients, 57 failures by month 6 and 62 by month 60: 43 (33-52) and 38 (29-47)."""
    at_six, at_sixty = estimates(people((57, 20, 1), (5, 200, 1), (38, 1900, 0)), [6, 60])
    assert percent(at_six, 0) == [43, 33, 52]
    assert percent(at_sixty, 0) == [38, 29, 47]


def test_stop_2g_tki_has_limits_on_the_plain_scale() -> None:
    """60 patients, 22 losses in the first year: 63.33 (51.14-75.53)."""
    (found,) = estimates(people((22, 40, 1), (38, 400, 0)), [12], "linear")
    assert percent(found, 2) == [63.33, 51.14, 75.53]


def test_twister_has_limits_on_the_plain_scale() -> None:
    """40 patients; 19 losses, one leaves, one loss, one leaves, one loss: 47.1 (31.5-62.7) at month 24."""
    rows = people((19, 20, 1), (1, 100, 0), (1, 200, 1), (1, 300, 0), (1, 400, 1), (17, 900, 0))
    (found,) = estimates(rows, [24], "linear")
    assert percent(found, 1) == [47.1, 31.5, 62.7]


@pytest.mark.parametrize(("losses", "months", "printed"), [(29, 12, [64, 54, 75]), (31, 36, [61, 51, 73])])
def test_a_stim_has_limits_on_the_log_scale(losses: int, months: float, printed: list[float]) -> None:
    """80 patients; 64 (54-75) at month 12 and 61 (51-73) at month 36 leave one scale: neither other one fits."""
    rows = people((losses, 20, 1), (80 - losses, 1200, 0))
    fits = [t for t in ("log-log", "log", "linear") if percent(estimates(rows, [months], t)[0], 0) == printed]
    assert fits == ["log"]


def test_kids_with_who_left_before_the_second_year() -> None:
    """90 patients, 37 losses: 62.2 at month 12, 58.5 at month 24 when six leave before the last three losses."""
    found = estimates(people((34, 20, 1), (6, 380, 0), (3, 500, 1), (47, 800, 0)), [12, 24])
    assert [round(100 * (one.estimate or 0), 1) for one in found] == [62.2, 58.5]


def test_euro_ski_at_six_months() -> None:
    """755 patients: 61 (57-64), 297 losses with nobody censored before."""
    (found,) = estimates(people((297, 1, 1), (458, 400, 0)), [6])
    assert percent(found, 0) == [61, 57, 64]


@pytest.mark.parametrize(
    ("study", "kept", "of", "percent_printed", "limits"),
    [
        ("ENESTfreedom, week 48", 98, 190, 51.6, (44.2, 58.9)),
        ("ENESTop, week 48", 73, 126, 58, None),
        ("ENESTop, week 96", 67, 126, 53, None),
        ("DASFREE, month 60", 37, 84, 44, None),
        ("LAST, without treatment", 104, 171, 60.8, None),
        ("LAST, MMR kept", 112, 171, 65.5, None),
        ("I-CML-Ped: 7 losses, 2 early restarts", 9, 18, 50, None),
        ("Tata, 13 losses", 32, 45, 71.1, None),
        ("Zhao, 15 losses", 21, 36, 58.3, None),
    ],
)
def test_crude_proportions(
    study: str, kept: int, of: int, percent_printed: float, limits: tuple[float, float] | None
) -> None:
    digits = len(str(percent_printed).partition(".")[2])
    low, high = survival.exact_binomial(kept, of, 0.95)
    assert round(100 * kept / of, digits) == percent_printed, study
    assert low is not None
    assert high is not None
    assert low < kept / of < high
    if limits:
        assert (round(100 * low, 1), round(100 * high, 1)) == limits
