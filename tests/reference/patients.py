"""Generated patients: courses, results and facts whose days fall round the edges of every rule.

They are made from a seed by plain chance rather than drawn piece by piece: an edge needs several things to fall
together, and so many more patients can be looked at in the same time.
"""

import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import strategies as st

from monitoring.domain.course.series import Course, Drug, Fact, FactKind, ResultFact, Series, StopReason
from monitoring.domain.vocabulary.dates import add_months
from monitoring.domain.vocabulary.measurement import Method
from tests.builders import copies, course, day, reported

DAY = dt.timedelta(days=1)
SEEDS = st.integers(0, 2**32)
GAPS = (1, 2, 14, 27, 28, 29, 30, 60, 90, 200)
LENGTHS = (0, 1, 30, 91, 182, 365, 700)
DRUGS = (Drug.IMATINIB, Drug.IMATINIB, Drug.DASATINIB, Drug.DASATINIB, Drug.INTERFERON)
REASONS = (StopReason.TFR_ATTEMPT, StopReason.TFR_ATTEMPT, StopReason.PREGNANCY, StopReason.UNKNOWN)
KINDS = (
    *[FactKind.SAMPLE_TAKEN] * 6, *[FactKind.MUTATION] * 2, FactKind.DEATH, FactKind.ALLOGENEIC_TRANSPLANT,
    FactKind.PREGNANCY, FactKind.CONSENT_WITHDRAWN, FactKind.TRANSFER, FactKind.LOST_TO_FOLLOW_UP,
    FactKind.LAST_CONTACT,
)  # fmt: skip
# A day near an event lies whole months and a few days from it: inside a window or schedule, on its edge, just outside.
MONTHS = (0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 6, 12)
SHIFTS = (-31, -30, -15, -14, -8, -7, -3, -1, 0, 0, 0, 0, 1, 1, 2, 3, 4, 7, 8, 13, 14, 15, 16, 28, 30, 31)
VALUES = (
    "nd", "nd", "nd", "nd", "0.0005", "0.001", "0.0032", "0.0033", "0.01", "0.0101", "0.03", "0.05", "0.1", "0.1001",
    "0.2", "0.2", "0.9", "1", "1.001", "10", "10.01", "40", "<0.0030", "<0.05", "<0.2", ">0.05", ">5", ">55", "=0.0032",
)  # fmt: skip
CONTROLS = (*["600000"] * 5, "100000", "32000", "31999", "10000", "9999", "4000", "0")


def near(chance: random.Random, edges: Sequence[dt.date]) -> dt.date:
    if chance.random() < 0.2:
        return chance.choice(edges)
    return add_months(chance.choice(edges), chance.choice(MONTHS)) + chance.choice(SHIFTS) * DAY


def edges_of(series: Series) -> list[dt.date]:
    """Every day on which something happened."""
    days = [r.collected_on for r in series.results] + [f.observed_on for f in series.facts]
    days += [on for c in series.courses for on in (c.started_on, c.stopped_on) if on is not None]
    return sorted(set(days)) or [day(0)]


def some_courses(chance: random.Random) -> list[Course]:
    """Courses one after another with gaps round the 28 days of a switch, now and then others beside the first."""
    found, start = [], chance.choice([-1200, -700, -365, -92])
    for number in range(chance.choice([1, 2, 2, 3, 4])):
        stop = start + chance.choice(LENGTHS)
        is_open = chance.random() < 0.12
        found.append(course(start, None if is_open else stop, drug=chance.choice(DRUGS), reason=chance.choice(REASONS)))
        for _ in range(chance.choice([0, 0, 0, 1, 2]) if number == 0 else 0):
            beside = chance.choice([stop - 200, stop - 40, stop - 1, stop, stop + 1])
            until = chance.choice([beside, beside + 1, max(beside, stop - 30), max(beside, stop), stop + 20, None])
            drug = chance.choice([Drug.NILOTINIB, found[0].drug])
            found.append(course(beside, until, drug=drug, reason=chance.choice(REASONS)))
        start = stop + chance.choice(GAPS)
    return list({c.key: c for c in found}.values())


def some_result(chance: random.Random, number: int, on: dt.date) -> ResultFact:
    """One tube or a reported value: good, poor, preliminary, of marrow, of another laboratory or method."""
    value, control = chance.choice(VALUES), chance.choice(CONTROLS)
    method = chance.choice([*[Method.RT_QPCR] * 7, Method.CARTRIDGE])
    factor = chance.choice(["1"] * 7 + ["0.8"])
    if chance.random() < 0.06:  # 3 copies in too few to prove MR4: at its limit, and just above
        measured = copies("3/9000", factor=chance.choice(["0.3", "0.303"]), method=method)
    elif value[0] in "<>=":
        measured = reported(value.lstrip("="), method=method, conversion_factor=Decimal(factor))
    else:
        of_control = "nd" if value == "nd" else str(Decimal(value) * Decimal(control) / 100 / Decimal(factor))
        measured = copies(f"{of_control}/{control}", factor=factor, method=method)
    laboratory = chance.choice(["L"] * 7 + ["M"])
    preliminary, marrow = chance.random() < 0.1, chance.random() < 0.1
    return ResultFact(number, f"{laboratory}/{number}/v1", on, laboratory, measured, preliminary, marrow)


def some_patient(chance: random.Random) -> Series:
    courses = some_courses(chance) if chance.random() < 0.95 else []
    known = Series("p", courses=tuple(courses))
    results: list[ResultFact] = []
    for number in range(chance.choice([0, 1, 2, 3, 4, 5, 6, 8])):
        again = results and chance.random() < 0.1
        on = chance.choice(results).collected_on if again else near(chance, edges_of(known))
        if results and chance.random() < 0.15:  # as far from a day that matters as another result, on its other side
            centre = add_months(
                chance.choice(edges_of(Series("p", courses=known.courses))), chance.choice([2, 3, 6, 12])
            )
            closest = min((r.collected_on for r in results), key=lambda one: abs(one - centre))
            on = centre + (centre - closest)
        results.append(some_result(chance, number, on))
        if chance.random() < 0.5:  # the next result may lie near this one as well
            known = Series("p", tuple(results), tuple(courses))
    facts = [
        Fact(chance.choice(KINDS), near(chance, edges_of(known))) for _ in range(chance.choice([0, 0, 0, 1, 1, 2]))
    ]
    if facts and chance.random() < 0.2:
        facts.append(Fact(chance.choice(KINDS), facts[0].observed_on))
    elsewhere = near(chance, edges_of(known)) if chance.random() < 0.2 else None
    return Series("p", tuple(results), tuple(courses), tuple(facts), first_dmr_on=elsewhere)


def some_patient_on_a_day(chance: random.Random) -> tuple[Series, dt.date]:
    """A patient and a day to look from: near something that happened, or more than a year after all of it."""
    series = some_patient(chance)
    edges = edges_of(series)
    return series, near(chance, edges) if chance.random() < 0.9 else edges[-1] + chance.choice([365, 366]) * DAY


def some_crowded_courses(chance: random.Random) -> list[Course]:
    """Courses of one or two drugs that touch, overlap, lie within each other, and end or do not."""
    found = {}
    for _ in range(chance.randint(1, 6)):
        start, length = chance.randint(0, 12), chance.choice([None, None, 0, 1, 2, 3, 5, 8, 12])
        drug = chance.choice([*[Drug.IMATINIB] * 4, Drug.DASATINIB, Drug.INTERFERON])
        one = course(start, None if length is None else start + length, drug=drug, reason=chance.choice(REASONS))
        found[one.key] = one
    return list(found.values())


def patients() -> st.SearchStrategy[Series]:
    return SEEDS.map(lambda seed: some_patient(random.Random(seed)))


def patients_on_a_day() -> st.SearchStrategy[tuple[Series, dt.date]]:
    return SEEDS.map(lambda seed: some_patient_on_a_day(random.Random(seed)))


def crowded_courses() -> st.SearchStrategy[list[Course]]:
    return SEEDS.map(lambda seed: some_crowded_courses(random.Random(seed)))
