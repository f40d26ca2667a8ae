"""Ladders as centres sign them: people, deputies, absences, working hours, kinds; never a last step, never nobody."""

import datetime as dt
from collections.abc import Callable, Iterable
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client

from monitoring import clock
from monitoring.domain.alerting.kinds import KINDS, AlertKind, LadderName, Severity
from monitoring.models import (
    Absence,
    Alert,
    AlertDelivery,
    AlertKindSetting,
    Centre,
    DutyHours,
    EscalationPolicy,
    Membership,
    Patient,
    Role,
)
from monitoring.selectors.settings_history import changes_of
from monitoring.services.alerts import escalation
from monitoring.services.alerts.audience import audience
from monitoring.services.alerts.escalation import ActionTaken
from monitoring.services.alerts.ladders import BUILT_IN, Ladders, Step
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.settings import ladders as settings
from monitoring.services.settings.ladders import WrittenStep
from tests.builders import report
from tests.losses import lose

pytestmark = pytest.mark.django_db
CLINICIANS = (Role.CLINICIAN,)


@pytest.fixture
def lead(member: Callable[..., User], centre: Centre) -> User:
    return member("lena", centre, Role.ADMINISTRATOR)


@pytest.fixture
def grace(member: Callable[..., User], centre: Centre) -> User:
    return member("grace", centre)


@pytest.fixture
def gil(member: Callable[..., User], centre: Centre) -> User:
    return member("gil", centre)


def told(round_: int = 1) -> set[str]:
    return {d.recipient.get_username() for d in AlertDelivery.objects.filter(round=round_)}


def sign(centre: Centre, by: User, *steps: WrittenStep, name: LadderName = LadderName.CLINICAL) -> EscalationPolicy:
    return settings.sign_ladder(
        centre, name, steps, comes_back_days=3, signed_by="Dr Example", by=by, reason="agreed", now=clock.now()
    )  # fmt: skip


def test_every_built_in_ladder_waits_and_goes_on_for_ever() -> None:
    assert set(BUILT_IN) == set(LadderName)
    for ladder in BUILT_IN.values():
        assert all(step.wait > dt.timedelta() and step.roles for step in ladder.steps)
        assert ladder.step(1000) == ladder.steps[-1]
    clinical = BUILT_IN[LadderName.CLINICAL].steps
    begins = [sum((step.wait for step in clinical[:n]), dt.timedelta()) for n in range(len(clinical))]
    assert [int(begin.total_seconds() / 3600) for begin in begins] == [0, 12, 24, 48, 72]
    assert clinical[0].working_hours == 4
    assert clinical[-1].operators


def test_after_three_days_of_silence_the_operator_is_told_daily_and_sees_it(
    client: Client, patient: Patient, ada: User, grace: User, lead: User
) -> None:
    operator = User.objects.create_superuser("olaf", email="olaf@example.org")
    alert = lose(patient, ada)
    now, hours = clock.now(), 0
    client.force_login(operator)
    assert client.get(f"/alerts/{alert.public_id}/").status_code == 404
    for round_, after in enumerate((12, 12, 24, 24, 24, 24), start=2):
        hours += after
        assert escalation.advance(now=now + dt.timedelta(hours=hours, minutes=5)) == 1
        assert ("olaf" in told(round_)) == (hours >= 72), hours
        assert "grace" in told(round_)
    assert client.get(f"/alerts/{alert.public_id}/").status_code == 200
    assert Alert.objects.get().next_action_at is not None


def test_named_people_are_told_and_a_step_that_reaches_nobody_is_refused(
    patient: Patient, ada: User, grace: User, gil: User, lead: User, member: Callable[..., User]
) -> None:
    centre, stranger = patient.centre, member("mallory", Centre.objects.create(code="H2"))
    policy = sign(centre, lead, WrittenStep((), (gil.pk,), 2), WrittenStep(CLINICIANS, (lead.pk,), 4, 1.5))
    assert policy.steps[1] == {"roles": ["clinician"], "wait_hours": 4, "people": [lead.pk], "working_hours": 1.5}
    lose(patient, ada)
    assert told() == {"gil"}
    escalation.advance(now=clock.now() + dt.timedelta(hours=3))
    assert told(2) == {"gil", "grace", "lena"}
    with pytest.raises(FieldProblem, match="step 1 names somebody without a role"):
        sign(centre, lead, WrittenStep((), (stranger.pk,), 2))
    member("ana", centre, Role.ANALYST)
    with pytest.raises(FieldProblem, match="a clinician or an administrator, who can act"):
        sign(centre, lead, WrittenStep(CLINICIANS, (), 2), WrittenStep((Role.ANALYST,), (), 2))
    Membership.objects.filter(role=Role.ANALYST).delete()
    with pytest.raises(FieldProblem, match="step 2 would reach nobody"):
        sign(centre, lead, WrittenStep(CLINICIANS, (), 2), WrittenStep((Role.ANALYST,), (), 2))
    assert EscalationPolicy.objects.get().steps == policy.steps, "nothing of a refused ladder is kept"


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "one to ten steps"),
        ([{"roles": ["nurse"], "wait_hours": 1}], "roles are some of"),
        ([{"roles": ["clinician"], "wait_hours": 0}], "more than 0"),
        ([{"roles": ["clinician"], "wait_hours": 1, "working_hours": -1}], "working_hours is more than 0"),
        ([{"roles": ["clinician"], "wait_hours": True}], "more than 0"),
        ({"a": 1}, "one to ten steps"),
        ([{"roles": [], "wait_hours": 3}], "nobody would be told"),
        ([{"roles": ["clinician"], "people": ["grace"], "wait_hours": 3}], "ids of accounts"),
        ([{"roles": ["clinician"], "wait_hours": 169}], "at most 168"),
    ],
)
def test_a_ladder_that_forgets_people_is_no_ladder(centre: Centre, steps: object, says: str) -> None:
    policy = EscalationPolicy(centre=centre, steps=steps, signed_by="x")
    with pytest.raises(ValidationError, match=says):
        policy.full_clean()


def test_a_look_may_wait_for_weeks_and_a_loss_may_not(centre: Centre, lead: User, grace: User) -> None:
    month = WrittenStep(CLINICIANS, (), 24 * 30)
    assert sign(centre, lead, month, name=LadderName.WATCH).pk
    with pytest.raises(ValidationError, match="at most 168"):
        sign(centre, lead, month)
    policy = EscalationPolicy(
        centre=centre, steps=[{"roles": ["clinician"], "wait_hours": 1}], acknowledged_comes_back_days=40, signed_by="x"
    )
    with pytest.raises(ValidationError, match="1 to 31 days"):
        policy.clean()


def test_the_built_in_ladder_comes_back_and_every_version_stays(centre: Centre, lead: User, grace: User) -> None:
    sign(centre, lead, WrittenStep(CLINICIANS, (), 2))
    sign(centre, lead, WrittenStep(CLINICIANS, (), 3))
    settings.follow_built_in(centre, LadderName.CLINICAL, by=lead, reason="too short")
    assert settings.standing_ladder(centre, LadderName.CLINICAL) == (BUILT_IN[LadderName.CLINICAL], None)
    changes = changes_of(EscalationPolicy, centre=centre)
    assert [(c.by, c.reason, c.row.is_in_force) for c in changes] == [
        ("lena", "too short", False), ("lena", "agreed", True), ("lena", "agreed", True)
    ]  # fmt: skip
    assert [c.row.steps[0]["wait_hours"] for c in changes] == [3, 3, 2]


# --- working hours -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opens", "closes", "sooner"), [(dt.time(0), dt.time(23, 59), True), (dt.time(3), dt.time(3, 1), False)]
)
def test_working_hours_shorten_a_wait_and_never_lengthen_it(
    patient: Patient, ada: User, lead: User, grace: User, opens: dt.time, closes: dt.time, sooner: bool
) -> None:
    settings.set_duty_hours(
        patient.centre, days="1234567", opens_at=opens, closes_at=closes, by=lead, reason="as it is"
    )  # fmt: skip
    alert = lose(patient, ada)
    assert alert.next_action_at is not None
    waits = (alert.next_action_at - alert.opened_at).total_seconds() / 3600
    assert waits == pytest.approx(4, abs=0.2) if sooner else waits == pytest.approx(12, abs=0.2)


def test_a_day_that_ends_before_it_begins_is_refused(centre: Centre, lead: User) -> None:
    with pytest.raises(FieldProblem, match="08:00 and 16:30"):
        settings.set_duty_hours(
            centre, days="1", opens_at=dt.time(16), closes_at=dt.time(8), by=lead, reason="slip"
        )  # fmt: skip
    assert not DutyHours.objects.exists()


# --- absence -----------------------------------------------------------------------------------------------------


def away(person: User, deputy: User | None, by: User, *, last: int = 7, first: int = 0) -> Absence:
    today = clock.now().date()
    return settings.note_absence(
        person, first_on=today + dt.timedelta(days=first), last_on=today + dt.timedelta(days=last), deputy=deputy,
        by=by, today=today,
    )  # fmt: skip


def test_a_deputy_is_told_in_the_stead_of_who_is_away(
    patient: Patient, ada: User, grace: User, lead: User, gil: User
) -> None:
    Membership.objects.filter(user=gil).update(role=Role.ADMINISTRATOR)
    away(grace, gil, lead)
    lose(patient, ada)
    assert told() == {"gil"}


def test_who_comes_back_sooner_is_told_again(patient: Patient, ada: User, grace: User, lead: User, gil: User) -> None:
    Membership.objects.filter(user=gil).update(role=Role.ADMINISTRATOR)
    absence = away(grace, gil, grace)
    settings.end_absence(absence, by=grace)
    lose(patient, ada)
    assert told() == {"grace"}


def test_an_absence_later_or_past_changes_nothing_today(centre: Centre, grace: User, gil: User, lead: User) -> None:
    today = clock.now().date()
    away(grace, gil, lead, first=1)
    step = Step(CLINICIANS, dt.timedelta(hours=1))
    assert audience([centre.pk], step, today)[centre.pk] == [grace, gil]
    assert audience([centre.pk], step, today + dt.timedelta(days=1))[centre.pk] == [gil]
    assert audience([centre.pk], step, today + dt.timedelta(days=8))[centre.pk] == [grace, gil]


def test_where_everybody_is_away_everybody_is_told_all_the_same(
    patient: Patient, ada: User, grace: User, gil: User, lead: User
) -> None:
    away(grace, gil, lead)
    away(gil, grace, lead)  # each the other's deputy
    lose(patient, ada)
    assert told() == {"grace", "gil"}


def test_a_chain_of_deputies_is_followed_and_one_without_a_role_here_is_passed_over(
    patient: Patient, ada: User, grace: User, gil: User, lead: User, member: Callable[..., User]
) -> None:
    away(grace, gil, lead)
    away(gil, lead, lead)
    step, today = Step((), dt.timedelta(hours=1), people=(grace.pk,)), clock.now().date()
    centre = patient.centre
    assert audience([centre.pk], step, today)[centre.pk] == [lead]
    Membership.objects.filter(user=lead).update(valid_to=today, ended_at=clock.now())
    assert audience([centre.pk], step, today)[centre.pk] == [grace], "late is better than never"


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [(3, 1, "before the first"), (-9, -1, "is past"), (0, 366, "a year at most"), (2, 3, "noted already")],
)
def test_an_absence_that_cannot_be_is_refused(
    grace: User, gil: User, lead: User, first: int, last: int, says: str
) -> None:
    away(grace, gil, lead, first=2, last=5)
    with pytest.raises(FieldProblem, match=says):
        away(grace, gil, lead, first=first, last=last)
    assert Absence.objects.count() == 1


def test_a_deputy_works_in_a_centre_of_the_person(grace: User, lead: User, member: Callable[..., User]) -> None:
    stranger = member("mallory", Centre.objects.create(code="H2"))
    analyst = member("ana", lead.memberships.get().centre, Role.ANALYST)
    for deputy in (stranger, grace, analyst):
        with pytest.raises(FieldProblem, match="cannot do in a centre of grace"):
            away(grace, deputy, lead)


def test_an_administrator_s_word_holds_in_their_own_centre_only(
    centre: Centre, grace: User, gil: User, lead: User, member: Callable[..., User]
) -> None:
    other = Centre.objects.create(code="H2")
    Membership.objects.create(user=grace, centre=other, role=Role.CLINICIAN, valid_from="2020-01-01")
    elsewhere = member("hugo", other)
    step, today = Step(CLINICIANS, dt.timedelta(hours=1)), clock.now().date()
    away(grace, gil, lead)
    found = audience([centre.pk, other.pk], step, today)
    assert found == {centre.pk: [gil], other.pk: [grace, elsewhere]}
    settings.end_absence(Absence.objects.get(), by=lead)
    away(grace, gil, grace)
    assert audience([other.pk], step, today)[other.pk] == [elsewhere], "what she says of herself holds everywhere"


# --- kinds -------------------------------------------------------------------------------------------------------


def treat(centre: Centre, by: User, kind: AlertKind, **changed: object) -> AlertKindSetting:
    values = {"severity": KINDS[kind].severity, "ladder": KINDS[kind].ladder, "owner_role": None} | changed
    return settings.sign_kind(centre, kind, **values, signed_by="Dr Example", by=by, reason="agreed")  # type: ignore[arg-type]  # a table of values


def test_a_kind_is_told_first_to_the_role_that_owns_it(
    patient: Patient, ada: User, grace: User, lead: User, member: Callable[..., User]
) -> None:
    member("vera", patient.centre, Role.VERIFIER)
    treat(patient.centre, lead, AlertKind.LOSS_OF_MMR, owner_role=Role.VERIFIER)
    lose(patient, ada)
    assert told() == {"vera"}
    escalation.advance(now=clock.now() + dt.timedelta(hours=13))
    assert told(2) == {"grace"}, "the next step as the ladder says"


def test_the_owner_of_a_ladder_of_one_step_is_told_beside_the_others(centre: Centre, lead: User, grace: User) -> None:
    sign(centre, lead, WrittenStep(CLINICIANS, (lead.pk,), 2))
    treat(centre, lead, AlertKind.LOSS_OF_MMR, owner_role=Role.ANALYST)
    (step,) = Ladders([centre.pk]).of(Alert(centre=centre, kind="loss_of_mmr")).steps
    assert (step.roles, step.people) == ((Role.ANALYST, Role.CLINICIAN), (lead.pk,))


def test_severity_and_ladder_of_a_kind_are_followed(centre: Centre, lead: User) -> None:
    treat(centre, lead, AlertKind.DETECTABLE_AGAIN, severity=Severity.URGENT, ladder=LadderName.CLINICAL)
    alert = Alert(centre=centre, kind="detectable_again", certainty="confirmed")
    ladders = Ladders([centre.pk])
    assert ladders.row(alert).severity is Severity.URGENT
    assert ladders.of(alert) == BUILT_IN[LadderName.CLINICAL]
    assert ladders.urgency(alert) == 0
    elsewhere = Centre.objects.create(code="H2")
    assert Ladders([elsewhere.pk]).of(Alert(centre=elsewhere, kind="detectable_again")) == BUILT_IN[LadderName.WATCH]


def urgent() -> Iterable[AlertKind]:
    return [kind for kind in AlertKind if KINDS[kind].severity is Severity.URGENT]


@pytest.mark.parametrize("kind", urgent())
def test_what_is_urgent_stays_urgent_and_never_waits_for_weeks(centre: Centre, lead: User, kind: AlertKind) -> None:
    for changed in ({"severity": Severity.SOON}, {"ladder": LadderName.WATCH}, {"ladder": LadderName.PLAN}):
        with pytest.raises(FieldProblem, match="may not wait"):
            treat(centre, lead, kind, **changed)
    AlertKindSetting.objects.create(
        centre=centre, kind=kind, severity="routine", ladder="clinical", signed_by="by another way"
    )  # fmt: skip
    assert Ladders([centre.pk]).row(Alert(centre=centre, kind=kind)).severity is Severity.URGENT


@pytest.mark.parametrize("kind", [AlertKind.NO_CLINICIAN, AlertKind.SET_ASIDE])
def test_what_concerns_the_service_is_no_centre_s_to_change(centre: Centre, lead: User, kind: AlertKind) -> None:
    with pytest.raises(FieldProblem):
        treat(centre, lead, kind)


# --- reading back ------------------------------------------------------------------------------------------------


def test_a_confirmed_loss_is_acknowledged_by_its_value_only(patient: Patient, ada: User, grace: User) -> None:
    alert = lose(patient, ada, ("L2", 2, "617/50000"))
    assert (alert.certainty, alert.is_percent) == ("confirmed", Decimal("0.2"))
    now = clock.now()
    for wrong, says in (
        (None, "type it in % IS"),
        (Decimal("0.02"), "0.02 % IS is not"),
        (Decimal(0), "0 % IS is not"),
    ):
        with pytest.raises(escalation.NotReadBack, match=says):
            escalation.acknowledge(alert, by=grace, note="", now=now, read_back=wrong)
        assert Alert.objects.get().state == "open"
    day = now.date() + dt.timedelta(days=3)
    for action, until in ((ActionTaken.WATCH, day), (ActionTaken.OTHER, None)):
        with pytest.raises(escalation.NotReadBack):
            escalation.act(alert, by=grace, action=action, note="x", until=until, now=now)
    acknowledged = escalation.acknowledge(alert, by=grace, note="", now=now, read_back=Decimal("0.200"))
    assert acknowledged.state == "acknowledged"
    assert escalation.act(alert, by=grace, action=ActionTaken.WATCH, note="", until=day, now=now).action == "watch"


def test_a_row_of_a_worklist_that_a_new_sample_confirms_is_told_by_itself(
    patient: Patient, ada: User, grace: User
) -> None:
    alert = lose(patient, ada)
    worklist = Alert.objects.create(
        public_id="0" * 32, kind="hand_over", subject_key="hand-over", centre=patient.centre, certainty="confirmed",
        evidence_key="x", evidence_on=clock.now().date(), rule_version="x", state="acknowledged",
        acknowledged_at=clock.now(), acknowledged_by=grace, next_action_at=clock.now() + dt.timedelta(days=7),
    )  # fmt: skip
    Alert.objects.filter(pk=alert.pk).update(hand_over=worklist, by_rules=True)
    AlertDelivery.objects.filter(alert=alert).delete()
    on = (clock.now().date() - dt.timedelta(days=1)).isoformat()
    record_result(report("L9", on, "617/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    alert.refresh_from_db()
    assert (alert.certainty, alert.hand_over, alert.state) == ("confirmed", None, "open")
    assert alert.deliveries.filter(recipient=grace, round=alert.round).exists()
    worklist.refresh_from_db()
    assert worklist.state == "closed", "its last row has left"


def test_the_page_takes_the_value_as_people_write_it(client: Client, patient: Patient, ada: User, grace: User) -> None:
    alert = lose(patient, ada, ("L2", 2, "617/50000"))
    client.force_login(grace)
    address = f"/alerts/{alert.public_id}/"
    page = client.get(address)
    assert "A confirmed loss is read back" in page.content.decode()
    version = page.context["acknowledge_form"]["version"].value()
    for value, says in (("", "a confirmed loss is acknowledged with its value"), ("2", "not the value"), ("x", "x")):
        answer = client.post(f"{address}acknowledge/", {"version": version, "is_percent": value, "note": "kept"})
        assert answer.status_code == 400
        assert says in answer.content.decode()
        assert 'value="kept"' in answer.content.decode()
    assert client.post(f"{address}acknowledge/", {"version": version, "is_percent": "0,2 %"}).status_code == 302
    assert Alert.objects.get().acknowledged_by == grace


def test_a_reminder_makes_no_page_stale(client: Client, patient: Patient, ada: User, grace: User) -> None:
    alert = lose(patient, ada)
    client.force_login(grace)
    version = client.get(f"/alerts/{alert.public_id}/").context["acknowledge_form"]["version"].value()
    escalation.advance(now=clock.now() + dt.timedelta(hours=13))
    assert Alert.objects.get().round == 2
    assert client.post(f"/alerts/{alert.public_id}/acknowledge/", {"version": version}).status_code == 302
