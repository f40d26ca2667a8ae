"""Numbers as people read them."""

from decimal import Decimal

import pytest

from monitoring.wording.numbers import percent, significant


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0.1001", "0.1001"), ("0.1", "0.1"), ("0.104", "0.104"), ("0.00320004", "0.00320004"), ("12.3456", "12.3")],
)
def test_a_percentage_is_never_rounded_across_a_limit(value: str, shown: str) -> None:
    assert significant(Decimal(value)) == shown


def test_proportions_print_one_decimal() -> None:
    assert [percent(v) for v in (None, 0.95, 21 / 36, 1.0)] == ["–", "95", "58.3", "100"]
