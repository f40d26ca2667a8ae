"""One course of values, the event of each protocol (days after the stop)."""

import dataclasses

import pytest

from monitoring.domain.course.protocol_loss import find_protocol_loss
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.wording.reason_texts import in_english
from tests.builders import STOP, day, deep, point

SINGLE, TWO, ENESTOP = "loss-mmr-single.1", "loss-mmr-two-consecutive.1", "loss-enestop.1"
EVENTS = [
    # values (day, % IS; None is not detected), restart, rule set, day of the event, class that was lost
    ([(30, "0.1")], None, SINGLE, None, ""),
    ([(30, "0.1001")], None, SINGLE, 30, "MMR"),
    ([(30, "0.1001")], None, TWO, None, ""),
    ([(30, "0.1001"), (60, "0.1")], None, TWO, None, ""),
    ([(30, "0.1001"), (60, "0.1001")], None, TWO, 30, "MMR"),
    ([(30, "0.1001")], 40, TWO, 30, "MMR"),
    ([(30, "0.1001")], None, ENESTOP, 30, "MMR"),
    ([(30, "0.05")], None, ENESTOP, None, ""),
    ([(30, "0.05"), (60, None)], None, ENESTOP, None, ""),
    ([(30, "0.05"), (60, "0.01")], None, ENESTOP, None, ""),
    ([(30, "0.05"), (60, "0.0101")], None, ENESTOP, 30, "MR4"),
    ([(30, "0.05"), (60, None), (90, "0.05"), (120, "0.05")], None, ENESTOP, 90, "MR4"),
    ([(30, "0.05"), (60, "0.5")], None, ENESTOP, 30, "MR4"),  # the second value confirms it and is a loss of MMR too
    ([(30, "0.05"), (60, None), (90, "0.5")], None, ENESTOP, 90, "MMR"),
    ([(30, "0.05"), (60, "0.05")], 45, ENESTOP, None, ""),  # the second value is after the restart
    ([(30, "0.05"), (60, "0.05")], None, SINGLE, None, ""),
]


@pytest.mark.parametrize(("values", "restart", "rules", "event", "lost"), EVENTS)
def test_event_of_a_protocol(
    values: list[tuple[int, str | None]], restart: int | None, rules: str, event: int | None, lost: str
) -> None:
    points = [deep(d) if v is None else point(d, v) for d, v in values]
    found = find_protocol_loss(points, STOP, day(restart) if restart else None, rule_set(rules))
    assert (found.event_on if found else None) == (day(event) if event else None)
    assert (found.lost.value if found else "") == lost
    if found:
        words = "Loss of MMR" if lost == "MMR" else f"Confirmed loss of {lost}"
        assert in_english(found.reason) == f"{words}, dated {found.event_on}."


def test_a_poor_sample_neither_loses_nor_keeps_mr4() -> None:
    poor = dataclasses.replace(point(60, "0.01", low_control=True), response_class=ResponseClass.MMR)  # as it is capped
    rules = rule_set(ENESTOP)
    assert find_protocol_loss([point(30, "0.05"), poor], STOP, None, rules) is None
    found = find_protocol_loss([point(30, "0.05"), poor, point(90, "0.05")], STOP, None, rules)
    assert found is not None
    assert (found.event_on, found.confirmed_on) == (day(30), day(90))
