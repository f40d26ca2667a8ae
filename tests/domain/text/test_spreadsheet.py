"""What a spreadsheet would run is marked as text; what is a number stays one."""

import pytest

from monitoring.domain.text.spreadsheet import as_cell


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\r=1", "-", "+", "-1e", "--1", "-٣"]
)
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert as_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "P-1", "-1", "+1.5", "-1e-5", "'=1", " =1", -1, -0.5, None, "2020-01-01"])
def test_everything_else_stays(value: object) -> None:
    assert as_cell(value) == value
