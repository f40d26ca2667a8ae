"""Numbers and words as laboratories and spreadsheets write them: read in one way only, or refused."""

from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from monitoring.domain.vocabulary.bounds import BOUNDS
from monitoring.intake.not_detected import is_doubtful, means_detected, means_not_detected
from monitoring.intake.numbers import NotANumber, decimal_mark_of, read_number, unmistakable

COUNT, PERCENT, FACTOR, DOSE = (
    BOUNDS[n] for n in ("control_gene_copies", "is_percent", "conversion_factor", "dose_mg_per_day")
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("52000", "52000"), ("52000.0", "52000.0"), ("52000,0", "52000.0"), (".5", "0.5"), (",5", "0.5"),
        ("52 000", "52000"), ("52\u00a0000", "52000"), ("52\u2009000", "52000"), ("52\u202f000", "52000"),
        ("52'000", "52000"), ("52’000", "52000"), ("1 234 567", "1234567"), ("12 500,5", "12500.5"),
        ("1,234,567", "1234567"), ("1.234.567", "1234567"), ("52.000,0", "52000.0"), ("52,000.0", "52000.0"),
        ("1.234,567", "1234.567"), ("5.2E+04", "52000"), ("5.2e4", "52000"), ("5,2E+04", "52000"), ("1e-2", "0.01"),
        ("５２０００", "52000"), ("0.003", "0.003"), ("0,003", "0.003"), ("1234.567", "1234.567"),
    ],
)  # fmt: skip
def test_what_can_mean_one_number_is_read(text: str, number: str) -> None:
    assert read_number(text, COUNT).number == Decimal(number)


@pytest.mark.parametrize(
    "text",
    ["50 60", "1 2", "3 4", "0 003", "50/60", "1,23,456", "12 34", "1 234 56", "52k", "52000 copies", "3+", "10³",
     "5×10⁴", "½", "1'2", "1.2.3", "1,2,3", "", "-5", "1e400", "٥٢", "12 500'000", "0.5.5", "1..5", "NaN", "∞"],
)  # fmt: skip
def test_what_is_no_number_or_several_is_refused(text: str) -> None:
    with pytest.raises(NotANumber):
        read_number(text, COUNT)


@pytest.mark.parametrize("text", ["52.000", "52,000", "1.234", "123,456", "100.000", "５２．０００"])
def test_a_mark_before_three_digits_of_a_count_is_ambiguous_unless_the_file_shows_its_mark(text: str) -> None:
    with pytest.raises(NotANumber) as problem:
        read_number(text, COUNT)
    assert problem.value.code == "ambiguous"
    whole = Decimal(problem.value.values["whole"])
    mark = problem.value.values["mark"]
    other = "," if mark == "." else "."
    assert read_number(text, COUNT, decimal_mark=other).number == whole
    assert read_number(text, COUNT, decimal_mark=mark).number == whole / 1000


@pytest.mark.parametrize(
    ("text", "bounds", "number"),
    [
        ("1.234", PERCENT, "1.234"),
        ("12,345", PERCENT, "12.345"),
        ("1,250", FACTOR, "1.25"),
        ("100.000", PERCENT, "100"),
    ],
)
def test_where_only_one_of_both_can_be_right_it_is_read(text: str, bounds: object, number: str) -> None:
    assert read_number(text, bounds).number == Decimal(number)  # type: ignore[arg-type]


def test_a_dose_can_be_either() -> None:
    with pytest.raises(NotANumber):
        read_number("1.200", DOSE)


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["0.5"], "."), (["0,5", "nd"], ","), (["0.5", "0,5"], ""), (["52.000"], ""), (["<0.0032"], "."),
        (["12,25 %"], ","), (["1234.567"], "."), (["0.003"], "."), (["52 000"], ""), ([], ""),
    ],
)  # fmt: skip
def test_the_mark_that_a_file_shows(cells: list[str], mark: str) -> None:
    assert decimal_mark_of(cells) == mark


@given(st.decimals(0, 10**7, allow_nan=False, allow_infinity=False, places=3))
def test_what_the_service_writes_is_read_as_the_same_number(number: Decimal) -> None:
    for written in (number, number.normalize()):
        read = read_number(unmistakable(written), COUNT)
        assert read.number == number


@pytest.mark.parametrize(
    "word",
    ["ND", "nd", "N.D.", "n.d.", "neg", "Negative", "TND", "Target not detected", "not detected", "Not  Detected",
     "undetected", "Undetectable", "未检出", "阴性", "  nd  ", "ｎｄ", "未検出", "nicht nachweisbar"],
)  # fmt: skip
def test_words_that_can_only_mean_not_detected(word: str) -> None:
    assert means_not_detected(word)
    assert not is_doubtful(word)


@pytest.mark.parametrize("word", ["-", "–", "—", "N/A", "NA", "NaN", "none", "null", "No Ct", "undetermined"])
def test_words_that_could_mean_something_else_too(word: str) -> None:
    assert is_doubtful(word)
    assert not means_not_detected(word)


def test_detected_is_no_word_for_not_detected() -> None:
    assert means_detected("Positive")
    assert not means_not_detected("Positive")
    assert not means_detected("not detected")
