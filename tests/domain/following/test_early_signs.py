"""Early signs off treatment, as tables: values after the stop, and the sign they show."""

import pytest

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.series import Course, ResultFact, Series
from monitoring.domain.replay import replay
from tests.builders import course, result

# days after the stop and % IS (None: not detected) -> signs that stand, signs that are over
SIGNS = [
    ([(-30, None), (30, None)], "", ""),
    ([(-30, None), (30, "0.0032")], "", ""),
    ([(-30, None), (30, "0.0033")], "detectable_again", ""),
    ([(-30, None), (30, "0.01")], "detectable_again", ""),
    ([(-30, None), (30, "0.0101")], "loss_of_mr4", ""),
    ([(-30, None), (30, "0.1")], "loss_of_mr4", ""),
    ([(-30, None), (30, "0.0101"), (60, None)], "", "loss_of_mr4"),
    ([(-30, None), (30, "0.005"), (60, None)], "", "detectable_again"),
    ([(-30, None), (30, "0.005"), (60, "0.006")], "detectable_again fluctuation", ""),
    ([(-30, "0.02"), (30, "0.03")], "", ""),
    ([(-30, None), (30, "0.01"), (60, "0.2")], "", "detectable_again fast_doubling"),
    ([(-30, None), (30, "0.002"), (55, "0.04")], "loss_of_mr4 fast_doubling", ""),
    ([(-30, None), (30, "0.2")], "", ""),
]
EARLY = {AlertKind.DETECTABLE_AGAIN, AlertKind.LOSS_OF_MR4, AlertKind.FAST_DOUBLING, AlertKind.FLUCTUATION}


def signs(results: list[ResultFact], *courses: Course) -> tuple[set[str], set[str]]:
    found = [i for i in replay(Series("p", tuple(results), courses)).intentions if i.kind in EARLY]
    return {i.kind.value for i in found if not i.closing}, {i.kind.value for i in found if i.closing}


@pytest.mark.parametrize(("values", "standing", "over"), SIGNS)
def test_early_signs_after_a_stop(values: list[tuple[int, str | None]], standing: str, over: str) -> None:
    results = [result(n, offset, percent, control="600000") for n, (offset, percent) in enumerate(values, start=1)]
    assert signs(results, course(-3000, 0)) == (set(standing.split()), set(over.split()))


def test_a_restart_ends_every_sign() -> None:
    results = [result(1, -30, None), result(2, 30, "0.05")]
    assert signs(results, course(-3000, 0), course(40, None)) == (set(), {"loss_of_mr4"})


def test_a_poor_undetected_sample_is_no_sign() -> None:
    results = [result(1, -30, None), result(2, 30, None, control="4000")]
    assert signs(results, course(-3000, 0)) == (set(), set())
