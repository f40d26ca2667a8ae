"""What the rules of a patient's protocol say about the patient on a day: plan, kinetics, milestones, eligibility."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.domain.course.episodes import Episode, find_episodes
from monitoring.domain.course.off_scale import Ratio, ratios_of
from monitoring.domain.course.off_treatment import State, standing_of, state_of
from monitoring.domain.course.protocol_loss import ProtocolLoss, find_protocol_loss
from monitoring.domain.course.series import Assessed, Series, TimePoint, assess, time_points, tki_courses
from monitoring.domain.course.treatment import treatment_on
from monitoring.domain.following.findings import EpisodeFindings, episode_findings, series_findings
from monitoring.domain.following.kinetics import Change, Projection, latest_change, project_crossing, values_of
from monitoring.domain.following.landmarks import EarlyHalving, MonthTwo, early_halving_time, month_two
from monitoring.domain.following.milestones import Milestone, last_failure, milestones
from monitoring.domain.following.schedule import SamplePlan, next_sample_due
from monitoring.domain.rules.rule_sets import RuleSet, rule_set, superseded_by
from monitoring.domain.stopping.eligibility import Eligibility, eligibility, facts_of_series
from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.reasons import Reason
from monitoring.models import Centre, Patient, Protocol
from monitoring.models.protocols import DEFAULTS, KIND_OF
from monitoring.selectors.as_of import known_rows
from monitoring.selectors.series import load_series


@dataclass(frozen=True, slots=True)
class Rules:
    """The rule sets that a patient's centre follows."""

    title: str
    schedule: RuleSet
    milestones: RuleSet
    eligibility_adult: RuleSet
    eligibility_paediatric: RuleSet
    loss: RuleSet
    kinetics: RuleSet

    @property
    def named(self) -> tuple[tuple[str, RuleSet], ...]:
        """The rule sets with the fields of the protocol that name them."""
        return tuple((field, getattr(self, field)) for field in KIND_OF)

    @property
    def superseded(self) -> tuple[tuple[RuleSet, RuleSet], ...]:
        """The sets that a newer one of the same body supersedes, each with that one."""
        newer_sets = ((rules, superseded_by(rules)) for _, rules in self.named)
        return tuple((rules, newer) for rules, newer in newer_sets if newer is not None)

    @property
    def lent(self) -> tuple[tuple[RuleSet, RuleSet], ...]:
        """The sets whose lines are not in our sources, each with the one that stands in for them."""
        return tuple((rules, rules.lender) for _, rules in self.named if rules.lender is not None)


def rules_of(protocol: Protocol | None) -> Rules:
    """The rule sets of a protocol; the defaults without one."""
    named = {field: getattr(protocol, field) if protocol else DEFAULTS[field] for field in KIND_OF}
    return Rules(protocol.title if protocol else "", **{field: rule_set(rule_id) for field, rule_id in named.items()})


@dataclass(frozen=True, slots=True)
class ClinicalView:
    """Everything the rules of a protocol say about one patient on one day. Nothing of it is a treatment instruction."""

    rules: Rules
    as_of: dt.date
    is_off_treatment: bool
    plan: SamplePlan
    states: tuple[State, ...]
    change: Change | None
    projection: Projection | None
    month_two: MonthTwo | None
    early_halving: EarlyHalving | None
    losses: tuple[tuple[dt.date, ProtocolLoss], ...]  # each with the stop that it came after
    milestones: tuple[Milestone, ...]
    eligibility: tuple[Eligibility, ...]
    episodes: tuple[EpisodeFindings, ...]  # in the order of ``states``
    about_series: tuple[Reason, ...]
    ratios: tuple[Ratio, ...]  # of a transcript off the International Scale

    @property
    def episodes_with_states(self) -> list[tuple[EpisodeFindings, State]]:
        """Each time off treatment with where it stands, the latest first."""
        return list(zip(self.episodes, self.states, strict=True))[::-1]


def clinical_view(patient: Patient, as_of: dt.date, known_at: dt.datetime | None = None) -> ClinicalView:
    """The view of a patient, from the whole series as it is known now or was known at an instant."""
    loaded = load_series([patient.pk], known_at)[patient.pk]
    protocol = patient.centre.protocol if known_at is None else _protocol_of(patient, known_at)
    return view_of(loaded.series, loaded.patient, rules_of(protocol), as_of)


def _protocol_of(patient: Patient, known_at: dt.datetime) -> Protocol | None:
    """The protocol that the patient's centre followed at an instant, as it then was: a row of the history."""
    centre = known_rows(Centre, [patient.centre_id], known_at).first()
    protocol: Protocol | None = None
    if centre is not None and centre.protocol_id is not None:
        protocol = known_rows(Protocol, [centre.protocol_id], known_at).first()
    return protocol


def view_of(series: Series, patient: Patient, rules: Rules, as_of: dt.date) -> ClinicalView:
    """The same for a series at hand."""
    assessed = assess(series)
    points = time_points(assessed)
    episodes = find_episodes(series.courses, series.facts, points)
    treatment = treatment_on(series, points, as_of)
    is_off = treatment is not None and treatment.phase == "off"
    values = values_of(assessed, series.courses)
    change = latest_change(values, rules.kinetics) if len(values) > 1 else None
    latest = episodes[-1] if episodes else None
    courses = tki_courses(series.courses)
    ratios = ratios_of(assessed)
    is_off_scale = bool(ratios) and not points  # the rules in % IS have nothing to say of it
    steps = () if is_off_scale else milestones(series, as_of, rules.milestones, assessed)
    plan = next_sample_due(series, as_of, rules.schedule, assessed, failed_on=last_failure(steps))
    until = plan.slot.latest if plan.slot else None
    losses = (
        (e.stopped_on, find_protocol_loss(_until_its_end(points, e), e.stopped_on, e.restarted_on, rules.loss))
        for e in episodes
    )
    return ClinicalView(
        rules=rules,
        as_of=as_of,
        is_off_treatment=is_off,
        plan=plan,
        states=tuple(
            state_of(standing_of(e, assessed, series.courses), known_until=until, as_of=as_of) for e in episodes
        ),
        change=change,
        projection=project_crossing(change, rules.kinetics) if change is not None and is_off else None,
        month_two=month_two(values, latest.stopped_on, rules.kinetics, latest.restarted_on)
        if latest and not is_off_scale
        else None,
        early_halving=early_halving_time(values, courses[0].started_on, rules.kinetics) if courses else None,
        losses=tuple((stopped_on, loss) for stopped_on, loss in losses if loss is not None),
        milestones=steps,
        eligibility=_eligibility(series, assessed, patient, rules, as_of) if not is_off else (),
        episodes=episode_findings(series, points, episodes, as_of, is_off_scale=is_off_scale),
        about_series=series_findings(assessed),
        ratios=ratios,
    )


def _until_its_end(points: Sequence[TimePoint], episode: Episode) -> Sequence[TimePoint]:
    """What counts for a time off treatment: nothing after the transplant that ended it."""
    ended = episode.ended_by
    return points if ended is None else [p for p in points if p.on <= ended.observed_on]


def _eligibility(
    series: Series, assessed: tuple[Assessed, ...], patient: Patient, rules: Rules, as_of: dt.date
) -> tuple[Eligibility, ...]:
    """Both populations answer: one of them says that it does not speak of this person, and why."""
    facts = dataclasses.replace(
        facts_of_series(series, as_of, assessed),
        born=_partial(patient.born_on, patient.born_precision),
        diagnosed=_partial(patient.diagnosed_on, patient.diagnosed_precision),
        phase=patient.phase,
        transcript=Transcript(patient.transcript),
        risk_score=patient.risk_score,
        risk_group=patient.risk_group,
    )
    return (eligibility(facts, rules.eligibility_adult), eligibility(facts, rules.eligibility_paediatric))


def _partial(on: dt.date | None, precision: str) -> PartialDate | None:
    return PartialDate(on, Precision(precision)) if on else None
