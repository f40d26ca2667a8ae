"""Generated patients: courses, results and facts whose days fall round the edges of every rule."""

import datetime as dt
from decimal import Decimal

from hypothesis import strategies as st

from monitoring.domain.measurement import Method
from monitoring.domain.series import Course, Drug, Fact, FactKind, ResultFact, Series, StopReason
from tests.builders import copies, course, day, reported

DAY = dt.timedelta(days=1)
GAPS = st.sampled_from([1, 2, 3, 14, 27, 28, 29, 30, 60, 90, 200, 400])
LENGTHS = st.sampled_from([0, 1, 30, 91, 182, 365, 400, 700])
DRUGS = st.sampled_from([Drug.IMATINIB, Drug.IMATINIB, Drug.DASATINIB, Drug.DASATINIB, Drug.INTERFERON])
REASONS = st.sampled_from([StopReason.TFR_ATTEMPT, StopReason.TFR_ATTEMPT, StopReason.PREGNANCY, StopReason.UNKNOWN])
KINDS = st.sampled_from(
    [FactKind.DEATH, FactKind.ALLOGENEIC_TRANSPLANT, FactKind.PREGNANCY, FactKind.CONSENT_WITHDRAWN, FactKind.TRANSFER,
     FactKind.LOST_TO_FOLLOW_UP, FactKind.MUTATION, FactKind.LAST_CONTACT, *[FactKind.SAMPLE_TAKEN] * 3]
)  # fmt: skip
NEAR = st.sampled_from(
    [-31, -30, -14, -7, -1, 0, 0, 1, 2, 7, 8, 14, 15, 24, 28, 29, 30, 45, 46, 58, 60, 61, 74, 90, 91, 120, 182, 366]
)
VALUES = st.sampled_from(
    ["nd", "nd", "nd", "0.0005", "0.001", "0.0032", "0.0033", "0.01", "0.0101", "0.05", "0.1", "0.1001", "0.2", "0.9",
     "1", "1.001", "10", "10.01", "40", "<0.0030", "<0.05", "<0.2", ">0.05", ">5", ">55", "=0.0032", "=0.1"]
)  # fmt: skip
CONTROLS = st.sampled_from(["600000", "600000", "600000", "100000", "32000", "31999", "10000", "9999", "4000", "0"])


@st.composite
def drug_courses(draw: st.DrawFn) -> list[Course]:
    """Courses one after another with gaps round the 28 days of a switch, now and then one beside them."""
    found, start = [], draw(st.sampled_from([-1200, -700, -365, -92]))
    for number in range(draw(st.integers(1, 4))):
        stop = start + draw(LENGTHS)
        is_open = draw(st.integers(0, 6)) == 0
        found.append(course(start, None if is_open else stop, drug=draw(DRUGS), reason=draw(REASONS)))
        start = stop + draw(GAPS)
        if number == 0:
            for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
                beside = draw(st.sampled_from([stop - 200, stop - 40, stop - 1, stop, stop + 1]))
                until = draw(st.sampled_from([beside, beside + 1, stop - 30, stop, stop + 20, None]))
                until = None if until is None else max(until, beside)
                drug = draw(st.sampled_from([Drug.NILOTINIB, found[0].drug]))
                found.append(course(beside, until, drug=drug, reason=draw(REASONS)))
    return list({c.key: c for c in found}.values())


@st.composite
def patients(draw: st.DrawFn) -> Series:
    """A patient: courses, results that are good, poor, preliminary, of marrow, twice a day, of two laboratories; facts."""
    courses = draw(st.one_of(drug_courses(), drug_courses(), drug_courses(), st.just([])))
    edges = sorted({on for c in courses for on in (c.started_on, c.stopped_on) if on is not None}) or [day(0)]
    days = st.one_of(
        st.builds(lambda edge, more: edge + more * DAY, st.sampled_from(edges), NEAR),
        st.integers(-800, 900).map(day),
    )
    results = [_result(draw, number, draw(days)) for number in range(draw(st.integers(0, 9)))]
    if results and draw(st.booleans()):
        results.append(_result(draw, len(results), results[0].collected_on))
    facts = [Fact(draw(KINDS), draw(days)) for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2])))]
    if facts and draw(st.booleans()):
        facts.append(Fact(draw(KINDS), facts[0].observed_on))
    elsewhere = draw(st.one_of(st.none(), st.none(), days))
    return Series("p", tuple(results), tuple(courses), tuple(facts), first_dmr_on=elsewhere)


def _result(draw: st.DrawFn, number: int, on: dt.date) -> ResultFact:
    value, control = draw(VALUES), draw(CONTROLS)
    more = {
        "method": draw(st.sampled_from([*[Method.RT_QPCR] * 5, Method.CARTRIDGE])),
        "conversion_factor": Decimal(draw(st.sampled_from(["1", "1", "1", "1", "0.8"]))),
    }
    if value[0] in "<>=":
        measured = reported(value.lstrip("="), **more)
    else:
        of_control = "nd" if value == "nd" else str(Decimal(value) * Decimal(control) / 100)
        factor = str(more.pop("conversion_factor"))
        measured = copies(f"{of_control}/{control}", factor=factor, **more)
    rarely = st.sampled_from([False] * 9 + [True])
    laboratory = draw(st.sampled_from(["L", "L", "L", "L", "M"]))
    return ResultFact(number, f"{laboratory}/{number}/v1", on, laboratory, measured, draw(rarely), draw(rarely))


@st.composite
def patients_on_a_day(draw: st.DrawFn) -> tuple[Series, dt.date]:
    """A patient and a day to look from, often the day of something or a little later."""
    series = draw(patients())
    known = [r.collected_on for r in series.results] + [f.observed_on for f in series.facts]
    known += [on for c in series.courses for on in (c.started_on, c.stopped_on) if on is not None]
    return series, draw(st.sampled_from(known or [day(0)])) + draw(NEAR) * DAY


@st.composite
def crowded_courses(draw: st.DrawFn) -> list[Course]:
    """Courses of two drugs that touch, overlap, lie within each other, and end or do not."""
    found = {}
    for _ in range(draw(st.integers(2, 6))):
        start, length = draw(st.integers(0, 12)), draw(st.sampled_from([None, None, 0, 1, 2, 3, 5, 8, 12]))
        drug = draw(st.sampled_from([*[Drug.IMATINIB] * 4, Drug.DASATINIB, Drug.INTERFERON]))
        one = course(start, None if length is None else start + length, drug=drug, reason=draw(REASONS))
        found[one.key] = one
    return list(found.values())
