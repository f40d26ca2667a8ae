"""The state of a patient off treatment, as one of a few words. It is decided only here.

``Evidence`` is what a replay keeps of an episode; ``state_of`` works out the state on any day from it. A remission is
*held* only while an evaluable sample proves it. Once the next sample is overdue, or two samples in a row were not
evaluable, it is *not known*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from monitoring.domain.course.episodes import Episode
from monitoring.domain.course.off_scale import Ratio, ratios_of
from monitoring.domain.course.series import Assessed, Course, FactKind
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import ResponseClass

RULE_ID = "state.1"
UNEVALUABLE_IN_A_ROW = 2
_CITATION = "design"


class StateCode(StrEnum):
    """The states of a time off treatment."""

    HELD = "held"
    NOT_KNOWN = "not_known"
    IN_DOUBT = "in_doubt"
    NOT_IN_MMR = "not_in_mmr"
    OFF_SCALE = "off_scale"
    NOT_CONFIRMED = "not_confirmed"
    LOST = "lost"
    RESTARTED = "restarted"
    DEATH = "death"
    TRANSPLANT = "allogeneic_transplant"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the state of a time off treatment rests on; values in % IS, raw ratios in %.

    ``proof`` is the last evaluable result in MMR from the stop's baseline on, ``unevaluable`` how many later samples
    prove nothing. ``doubt`` is a result that may be above 0.1 % and is no event yet, ``above`` the one that lost MMR,
    ``again`` the first in MMR after a single one above. ``raw`` and ``lowest`` are of a transcript off the scale.
    ``other_drug`` is a drug taken now that is not a TKI: the remission is then not one without treatment.
    """

    proof_on: date | None = None
    proof_class: str = ""
    unevaluable: int = 0
    baseline_above_on: date | None = None
    doubt_on: date | None = None
    doubt_percent: Decimal | None = None
    doubt_is_preliminary: bool = False
    above_on: date | None = None
    above_percent: Decimal | None = None
    again_on: date | None = None
    again_percent: Decimal | None = None
    raw_on: date | None = None
    raw_percent: Decimal | None = None
    lowest_on: date | None = None
    lowest_percent: Decimal | None = None
    ended_on: date | None = None
    other_drug: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the state of an episode is worked out from."""

    stopped_on: date
    evidence: Evidence
    loss_confirmed_on: date | None = None
    restarted_on: date | None = None
    restart_drug: str = ""
    ended_by: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The state of an episode, and the reason for it."""

    code: StateCode
    reason: Reason


def evidence_of(episode: Episode, assessed: Sequence[Assessed], courses: Sequence[Course]) -> Evidence:
    """What the state of an episode rests on."""
    other_drug = next((c.drug.value for c in courses if not c.drug.is_tki and c.stopped_on is None), "")
    until = episode.restarted_on
    off = [
        item
        for item in assessed
        if item.result.collected_on > episode.stopped_on and (until is None or item.result.collected_on <= until)
    ]
    baseline = [episode.baseline] if episode.baseline is not None else []
    proofs = [p for p in (*baseline, *episode.points_off) if p.in_mmr]
    proof = proofs[-1] if proofs else None
    since = proof.on if proof else episode.stopped_on
    unevaluable = [i for i in off if not i.counts and not i.result.is_preliminary and i.result.collected_on > since]
    doubt = _doubt(off, since)
    loss = episode.loss
    again = next((p for p in episode.points_off if p.on == episode.seen_again_on), None)
    ratios = [
        r for r in ratios_of(assessed) if r.is_final or r.percent
    ]  # a preliminary result without detection proves nothing
    raw = ratios[-1] if ratios else None
    lowest = _lowest(ratios)
    above = next((p for p in baseline if not p.in_mmr), None)
    return Evidence(
        proof_on=proof.on if proof else None,
        proof_class=proof.response_class.value if proof else "",
        unevaluable=len({i.result.collected_on for i in unevaluable}),
        baseline_above_on=above.on if above else None,
        doubt_on=doubt.result.collected_on if doubt else None,
        doubt_percent=doubt.score.is_percent if doubt else None,
        doubt_is_preliminary=bool(doubt and doubt.result.is_preliminary),
        above_on=loss.first.on if loss else None,
        above_percent=loss.first.is_percent if loss else None,
        again_on=again.on if again else None,
        again_percent=again.is_percent if again else None,
        raw_on=raw.on if raw else None,
        raw_percent=raw.percent if raw else None,
        lowest_on=lowest.on if lowest else None,
        lowest_percent=lowest.percent if lowest else None,
        ended_on=episode.ended_by.observed_on if episode.ended_by else None,
        other_drug=other_drug,
    )


def _lowest(ratios: Sequence[Ratio]) -> Ratio | None:
    """What the last ratio is compared with: the last sample without detection, else the lowest of its assay."""
    undetected = [r for r in ratios if not r.percent]
    same_assay = [r for r in ratios if r.assay == ratios[-1].assay]
    return undetected[-1] if undetected else min(same_assay, key=lambda r: (r.percent, r.on), default=None)


def standing_of(episode: Episode, assessed: Sequence[Assessed], courses: Sequence[Course]) -> Standing:
    """What the state of an episode of a replay is worked out from."""
    return Standing(
        episode.stopped_on,
        evidence_of(episode, assessed, courses),
        loss_confirmed_on=episode.loss.confirmed_on if episode.loss else None,
        restarted_on=episode.restarted_on,
        restart_drug=episode.restart.drug.value if episode.restart else "",
        ended_by=episode.ended_by.kind.value if episode.ended_by else "",
    )


def _doubt(off: Sequence[Assessed], since: date) -> Assessed | None:
    """The latest result after the last proof that may be above 0.1 % and is no event."""
    doubtful = [
        i
        for i in off
        if i.result.collected_on >= since and (i.score.response_class is ResponseClass.NO_MMR or i.score.may_exceed_mmr)
    ]
    return doubtful[-1] if doubtful else None


def state_of(standing: Standing, *, known_until: date | None, as_of: date) -> State:
    """What is known of a time off treatment on a day.

    ``known_until`` is the last day of the window of the next sample, counted from the last one that counts; None where
    no sample is planned any more.
    """
    e = standing.evidence
    if standing.ended_by:
        code = StateCode.DEATH if standing.ended_by == FactKind.DEATH else StateCode.TRANSPLANT
        return _state(code, code.value, on=e.ended_on)
    if standing.restarted_on is not None:
        text = "restarted_after_loss" if e.above_on else "restarted"
        facts: dict[str, FactValue] = {
            "on": standing.restarted_on,
            "drug": standing.restart_drug,
            "above_on": e.above_on,
        }
        return _state(StateCode.RESTARTED, text, **facts)
    if e.above_on is not None:
        return _above(standing, e)
    if e.raw_on is not None:
        return _off_scale(e, is_overdue=known_until is None or as_of > known_until)
    if e.doubt_on is not None:
        text = "in_doubt" if e.doubt_percent is not None else "in_doubt_no_value"
        text = f"{text}_unverified" if e.doubt_is_preliminary else text
        return _state(StateCode.IN_DOUBT, text, value=e.doubt_percent, on=e.doubt_on, proof_on=e.proof_on)
    if e.proof_on is None and e.baseline_above_on is not None:
        return _state(StateCode.NOT_IN_MMR, "not_in_mmr", on=e.baseline_above_on)
    if e.proof_on is None:
        return _state(StateCode.NOT_KNOWN, "never_known", since=standing.stopped_on)
    proof: dict[str, FactValue] = {"response_class": e.proof_class, "on": e.proof_on}
    if e.unevaluable >= UNEVALUABLE_IN_A_ROW:
        return _state(StateCode.NOT_KNOWN, "not_known_samples", count=e.unevaluable, **proof)
    if known_until is None or as_of > known_until:
        return _state(StateCode.NOT_KNOWN, "not_known", **proof)
    if e.other_drug:
        return _state(StateCode.HELD, "held_on_drug", drug=e.other_drug, **proof)
    return _state(StateCode.HELD, "held", **proof)


def _above(standing: Standing, e: Evidence) -> State:
    value: dict[str, FactValue] = {"value": e.above_percent, "on": e.above_on}
    number = "" if e.above_percent is not None else "_no_value"
    if standing.loss_confirmed_on is not None:
        return _state(StateCode.LOST, f"lost_confirmed{number}", confirmed_on=standing.loss_confirmed_on, **value)
    if e.again_on is None:
        return _state(StateCode.LOST, f"lost{number}", **value)
    again: dict[str, FactValue] = {"again": e.again_percent, "again_on": e.again_on}
    text = f"not_confirmed{number}" if e.again_percent is not None else f"not_confirmed{number}_undetected"
    return _state(StateCode.NOT_CONFIRMED, text, **value, **again)


def _off_scale(e: Evidence, *, is_overdue: bool) -> State:
    facts: dict[str, FactValue] = {
        "value": e.raw_percent, "on": e.raw_on, "lowest": e.lowest_percent, "lowest_on": e.lowest_on,
    }  # fmt: skip
    code = StateCode.NOT_KNOWN if is_overdue else StateCode.OFF_SCALE
    late = "_overdue" if is_overdue else ""
    if not e.raw_percent:
        return _state(code, f"off_scale_undetected{late}", **facts)
    if not e.lowest_percent:
        return _state(code, f"off_scale_again{late}", **facts)
    if e.lowest_on == e.raw_on:
        return _state(code, f"off_scale_lowest{late}", **facts)
    change = (e.raw_percent / e.lowest_percent).log10().quantize(Decimal("0.01"))
    return _state(code, f"off_scale{late}", change=change, **facts)


def _state(code: StateCode, text: str, **facts: FactValue) -> State:
    return State(code, Reason(RULE_ID, code.value, _CITATION, tuple(facts.items()), f"state.{text}"))
