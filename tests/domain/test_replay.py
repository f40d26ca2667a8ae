"""Replay: events and alert intentions of whole series."""

import dataclasses
import datetime as dt
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.alerting.intention import Closing, Intention
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.ledger import EventKind
from monitoring.domain.course.series import Course, Drug, Fact, FactKind, ResultFact, Series, StopReason, assess
from monitoring.domain.replay import replay
from monitoring.domain.vocabulary.measurement import Flag, Method, Reported, Transcript
from tests.builders import copies, course, day, result


def series(results: list[ResultFact], courses: list[Course] | None = None, facts: list[Fact] | None = None) -> Series:
    return Series("p", tuple(results), tuple(courses or [course(-900, 0)]), tuple(facts or []))


def intentions(*args: object, **more: object) -> dict[AlertKind, Intention]:
    return {i.kind: i for i in replay(series(*args, **more)).intentions}  # type: ignore[arg-type]


BASELINE = result(1, -10, None)


def test_the_first_value_above_mmr_off_treatment_is_a_suspected_loss() -> None:
    found = intentions([BASELINE, result(2, 30, "0.2")])[AlertKind.LOSS_OF_MMR]
    assert (found.certainty, found.evidence_key, found.days_off_treatment) == ("suspected", "L/2/v1", 30)


def test_the_second_value_confirms_it() -> None:
    found = intentions([BASELINE, result(2, 30, "0.2"), result(3, 60, "1")])[AlertKind.LOSS_OF_MMR]
    assert (found.certainty, found.evidence_key) == ("confirmed", "L/2/v1")


def test_a_recorded_restart_settles_it() -> None:
    found = intentions([BASELINE, result(2, 30, "0.2")], [course(-900, 0), course(40, None)])[AlertKind.LOSS_OF_MMR]
    assert found.closing == Closing("restart", day(40))


def test_a_preliminary_value_alerts_as_provisional_and_makes_no_event() -> None:
    said = replay(series([BASELINE, result(2, 30, "0.2", is_preliminary=True)]))
    assert [i.certainty for i in said.intentions] == ["provisional"]
    assert EventKind.LOSS_OF_MMR not in {e.kind for e in said.events}


def test_a_poor_sample_alerts_as_provisional_until_a_good_one_answers() -> None:
    poor = result(2, 30, "0.2", control="4000")
    assert intentions([BASELINE, poor])[AlertKind.LOSS_OF_MMR].certainty == "provisional"
    assert AlertKind.LOSS_OF_MMR not in intentions([BASELINE, poor, result(3, 60, "0.05")])
    assert intentions([BASELINE, poor, result(3, 60, "0.5")])[AlertKind.LOSS_OF_MMR].evidence_key == "L/2/v1"


def test_marrow_alerts_as_provisional_and_never_makes_dmr() -> None:
    marrow = result(2, 30, "0.2", is_bone_marrow=True)
    assert intentions([BASELINE, marrow])[AlertKind.LOSS_OF_MMR].certainty == "provisional"
    said = replay(series([result(1, -10, None, is_bone_marrow=True)]))
    assert not said.points


def test_a_missing_factor_is_a_data_alert_beside_the_provisional_one() -> None:
    raw = ResultFact(2, "L/2/v1", day(30), "L", copies("100/50000", factor=None))
    found = intentions([BASELINE, raw])
    assert found[AlertKind.LOSS_OF_MMR].certainty == "provisional"
    assert AlertKind.FACTOR_MISSING in found


def test_not_in_mmr_at_the_stop_alerts_at_once() -> None:
    found = intentions([result(1, 0, "0.4")])
    assert set(found) == {AlertKind.NOT_IN_MMR_OFF_TREATMENT}
    assert found[AlertKind.NOT_IN_MMR_OFF_TREATMENT].days_off_treatment == 0


def test_an_old_baseline_does_not_hide_a_fresh_value_above_mmr() -> None:
    found = intentions([result(1, -2000, "10"), result(2, 30, "1")])
    assert found[AlertKind.LOSS_OF_MMR].evidence_key == "L/2/v1"


def test_a_preliminary_value_of_the_stop_day_is_told_at_once() -> None:
    found = intentions([BASELINE, result(2, 0, "0.4", is_preliminary=True)])
    assert found[AlertKind.NOT_IN_MMR_OFF_TREATMENT].certainty == "provisional"


def test_a_poor_value_of_the_stop_day_is_one_provisional_alert() -> None:
    found = intentions([BASELINE, result(2, 0, "0.4", control="4000")])
    assert {k: i.certainty for k, i in found.items()} == {AlertKind.NOT_IN_MMR_OFF_TREATMENT: "provisional"}


def test_mmr_lost_across_a_switch_is_lost_on_treatment() -> None:
    drugs = [course(-900, 0, reason=StopReason.SWITCH), course(1, None, drug=Drug.DASATINIB)]
    assert set(intentions([BASELINE, result(2, 60, "1")], drugs)) == {AlertKind.LOSS_OF_MMR_ON_TREATMENT}


def test_a_value_that_the_copies_contradict_is_provisional() -> None:
    said = dataclasses.replace(copies("10/50000"), reported=Reported(Decimal("0.2")))
    disputed = ResultFact(2, "L/2/v1", day(30), "L", said)
    assert intentions([BASELINE, disputed])[AlertKind.LOSS_OF_MMR].certainty == "provisional"


def test_pregnancy_is_watched_like_any_other_stop() -> None:
    stop = course(-900, 0, reason=StopReason.PREGNANCY)
    assert AlertKind.LOSS_OF_MMR in intentions([BASELINE, result(2, 30, "0.2")], [stop])


def test_a_stop_without_a_reason_is_a_data_alert() -> None:
    assert AlertKind.STOP_REASON_MISSING in intentions([BASELINE], [course(-900, 0, reason=StopReason.UNKNOWN)])


def test_mmr_lost_on_treatment_alerts_while_it_is_lost() -> None:
    drug = [course(-900, None)]
    lost = [result(1, -500, "0.05"), result(2, -400, "0.2")]
    assert set(intentions(lost, drug)) == {AlertKind.LOSS_OF_MMR_ON_TREATMENT}
    assert not intentions([*lost, result(3, -300, "0.05")], drug)
    assert not intentions([result(1, -500, "5"), result(2, -400, "0.2")], drug)


def test_mmr_lost_without_any_treatment_on_record_alerts() -> None:
    said = replay(Series("p", (result(1, -500, "0.05"), result(2, -400, "0.2"))))
    assert [i.kind for i in said.intentions] == [AlertKind.TREATMENT_UNKNOWN]


def test_death_settles_what_is_open() -> None:
    facts = [Fact(FactKind.DEATH, day(90))]
    assert intentions([BASELINE, result(2, 30, "0.2")], None, facts)[AlertKind.LOSS_OF_MMR].closing.by == "death"


def test_a_patient_with_one_result_and_no_drug_is_ordinary() -> None:
    said = replay(Series("p", (result(1, 0, "12"),)))
    assert (said.events, said.episodes, said.intentions) == ((), (), ())
    assert replay(Series("p")).assessed == ()


def test_the_series_flags_a_change_of_laboratory_and_method() -> None:
    other = ResultFact(2, "M/2/v1", day(10), "M", copies("5/50000"))
    digital = ResultFact(3, "M/3/v1", day(20), "M", copies("5/50000", method=Method.DPCR))
    flags = [Flag.LAB_CHANGED in a.score.flags for a in assess(series([BASELINE, other, digital]))]
    assert flags == [False, True, True]


def test_unknown_transcript_with_nothing_ever_detected_is_flagged() -> None:
    flags = [Flag.TRANSCRIPT_UNKNOWN in a.score.flags for a in assess(series([BASELINE]))]
    assert flags == [True]
    seen = assess(series([result(0, -50, "0.5"), BASELINE]))
    assert Flag.TRANSCRIPT_UNKNOWN not in seen[1].score.flags
    typed = ResultFact(1, "L/1/v1", day(0), "L", copies("nd/50000", transcript=Transcript.E14A2))
    assert not assess(series([typed]))[0].score.flags


def test_an_old_sample_is_flagged_after_48_hours() -> None:
    flags = [a.score.flags for a in assess(series([result(1, -9, "1", hours_to_laboratory=48.5)]))]
    assert flags == [{Flag.OLD_SAMPLE}]


values = st.sampled_from([None, "0.002", "0.05", "0.1", "0.11", "3"])
results = st.lists(st.tuples(st.integers(-800, 600), values, st.sampled_from(["60000", "4000"])), max_size=12)


@given(results, st.integers(0, 2), st.randoms())
def test_the_order_of_entry_never_matters(
    rows: list[tuple[int, str | None, str]], restarts: int, chance: object
) -> None:
    facts = [result(n, offset, percent, control=control) for n, (offset, percent, control) in enumerate(rows)]
    courses = [course(-900, 0), *(course(100 + 200 * n, 150 + 200 * n, drug=Drug.DASATINIB) for n in range(restarts))]
    straight = replay(series(facts, courses))
    shuffled_facts, shuffled_courses = list(facts), list(courses)
    chance.shuffle(shuffled_facts)  # type: ignore[attr-defined]
    chance.shuffle(shuffled_courses)  # type: ignore[attr-defined]
    again = replay(series(shuffled_facts, shuffled_courses))
    assert (again.events, set(again.intentions), again.points) == (
        straight.events,
        set(straight.intentions),
        straight.points,
    )
    assert [e.episode.stopped_on for e in again.episodes] == [e.episode.stopped_on for e in straight.episodes]


@given(results)
def test_a_loss_is_never_silent(rows: list[tuple[int, str | None, str]]) -> None:
    facts = [result(n, offset, percent, control=control) for n, (offset, percent, control) in enumerate(rows)]
    said = replay(series(facts))
    off = [p for p in said.points if p.on > dt.date(2020, 1, 31)]
    if any(not p.in_mmr and not p.low_control for p in off):
        assert {AlertKind.LOSS_OF_MMR, AlertKind.NOT_IN_MMR_OFF_TREATMENT} & {i.kind for i in said.intentions}
