"""ELTS and Sokal from their parts, with the values computed in R from the published formulas."""

from decimal import Decimal

import pytest

from monitoring.domain.course.risk import RiskParts, RiskScore, risk_of


def parts(age: int, spleen: str, platelets: str, blasts: str) -> RiskParts:
    return RiskParts(age, Decimal(spleen), Decimal(platelets), Decimal(blasts))


@pytest.mark.parametrize(
    ("score", "given", "value", "group"),
    [
        # 0.0025 x 125 + 0.615 + 0.2104 + 0.4104 / sqrt(0.4)
        ("elts", parts(50, "10", "400", "2"), 1.7868, "intermediate"),
        # 0.0025 x 27 + 0 + 0 + 0.4104 / sqrt(0.25)
        ("elts", parts(30, "0", "250", "0"), 0.8883, "low"),
        # 0.0025 x 343 + 0.615 + 1.052 + 0.4104
        ("elts", parts(70, "10", "1000", "10"), 2.9349, "high"),
        # a child: 0.0025 x 1 + 0.0615 x 8 + 0.1052 x 1 + 0.4104 / sqrt(0.64)
        ("elts", parts(10, "8", "640", "1"), 1.1127, "low"),
        # exp(0.0116 x -0.4 + 0.0345 x 0.49 + 0.188 x (1 - 0.563) + 0.0887 x -0.1)
        ("sokal", parts(43, "8", "700", "2"), 1.0893, "intermediate"),
        # exp(0.0116 x -23.4 + 0.0345 x -7.51 + 0.188 x (0.25 - 0.563) + 0.0887 x -2.1)
        ("sokal", parts(20, "0", "350", "0"), 0.4604, "low"),
        # exp(0.0116 x 26.6 + 0.0345 x 7.49 + 0.188 x (4 - 0.563) + 0.0887 x 2.9)
        ("sokal", parts(70, "15", "1400", "5"), 4.3508, "high"),
    ],
)  # fmt: skip
def test_scores_and_groups_are_the_published_ones(score: str, given: RiskParts, value: float, group: str) -> None:
    found = risk_of(RiskScore(score), given)
    assert found.value == pytest.approx(value, abs=6e-5)
    assert found.group == group
