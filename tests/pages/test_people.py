"""Who gives, confirms and ends roles: nobody for themselves, and two for what verifies, treats or administers."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring import clock
from monitoring.models import ApiToken, Centre, Membership, Patient, Role
from monitoring.permissions import memberships_of, roles_of
from monitoring.services.alerts.audience import people_of
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.settings.people import confirm_role, end_role, give_role
from monitoring.services.settings.tokens import create_token

pytestmark = pytest.mark.django_db
GRAVE = [Role.VERIFIER, Role.CLINICIAN, Role.ADMINISTRATOR]
PASSWORD = "a long enough password"


@pytest.fixture
def other(db: None) -> Centre:
    return Centre.objects.create(code="H2")


@pytest.fixture
def adam(centre: Centre, member: Callable[..., User], client: Client) -> User:
    """An administrator, signed in."""
    user = member("adam", centre, Role.ADMINISTRATOR)
    client.force_login(user)
    return user


@pytest.fixture
def eve(centre: Centre, member: Callable[..., User]) -> User:
    """The second administrator."""
    return member("eve", centre, Role.ADMINISTRATOR)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def invitation(centre: Centre, **changed: str) -> dict[str, Any]:
    return {"username": "nina", "email": "nina@example.org", "centre": centre.pk, "role": "technician", **changed}


def test_an_invitation_ends_with_a_password_and_a_role(centre: Centre, adam: User, client: Client) -> None:
    answer = client.post("/people/", invitation(centre), follow=True)
    assert "A link to set the password was sent to nina@example.org" in answer.content.decode()
    nina = User.objects.get(username="nina")
    assert not nina.has_usable_password()
    assert not nina.is_staff
    assert roles_of(nina) == {"technician"}
    [sent] = mail.outbox
    assert sent.to == ["nina@example.org"]
    link = re.findall(r"https?://[^/]+(/set-password/\S+)", str(sent.body))[0]
    browser = Client()
    page = browser.get(link, follow=True)
    at = page.request["PATH_INFO"]
    assert browser.post(at, {"new_password1": "short", "new_password2": "short"}).status_code == 200
    set_now = browser.post(at, {"new_password1": PASSWORD, "new_password2": PASSWORD}, follow=True)
    assert set_now.request["PATH_INFO"] == "/sign-in/"
    assert browser.login(username="nina", password=PASSWORD)
    assert "used already or is too old" in Client().get(link, follow=True).content.decode(), "once"


def test_the_mail_is_in_the_language_of_who_invites(centre: Centre, adam: User, client: Client) -> None:
    client.cookies["django_language"] = "zh-hans"
    client.post("/people/", invitation(centre))
    assert len(mail.outbox) == 1
    assert client.get("/people/").headers["Content-Language"] == "zh-hans"


def test_a_mail_that_fails_is_told_and_sent_again(
    centre: Centre, adam: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_named: object) -> int:
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", broken)
        answer = client.post("/people/", invitation(centre), follow=True)
    assert "could not be sent" in answer.content.decode()
    nina = User.objects.get(username="nina")
    assert client.post(f"/people/{nina.pk}/link/").status_code == 302
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"username": "ADAM"}, "ADAM is taken"),
        ({"username": "Operator"}, "Operator is taken"),
        ({"username": "a b"}, "valid username"),
        ({"email": "nobody"}, "valid email"),
        ({"role": "king"}, "king is not one of the available choices"),
    ],
)
def test_a_bad_invitation_is_refused_in_words(
    centre: Centre, adam: User, client: Client, changed: dict[str, str], words: str
) -> None:
    answer = client.post("/people/", invitation(centre, **changed))
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not mail.outbox
    assert User.objects.count() == 1


def test_nobody_is_invited_into_another_centre(centre: Centre, other: Centre, adam: User, client: Client) -> None:
    page = client.post("/people/", invitation(other))
    assert page.status_code == 400
    assert "H2" not in page.content.decode()
    assert not User.objects.filter(username="nina").exists()


@pytest.mark.parametrize("role", GRAVE)
def test_a_role_that_waits_gives_nothing_until_another_administrator_confirms_it(
    centre: Centre, patient: Patient, adam: User, eve: User, client: Client, role: Role
) -> None:
    client.post("/people/", invitation(centre, role=role))
    nina, today = User.objects.get(username="nina"), clock.now().date()
    token = create_token(nina)
    programme = {"HTTP_AUTHORIZATION": f"Token {token}"}

    def reached() -> list[object]:
        return [
            signed_in(nina).get(f"/patients/{patient.public_id}/").status_code,
            signed_in(nina).get("/admin/").status_code == 200,
            Client().get("/api/v1/patients/", **programme).status_code,  # type: ignore[arg-type]
            nina in people_of([centre.pk], [role], today)[centre.pk],
            bool(memberships_of(nina)),
        ]

    assert reached() == [403, False, 403, False, False]
    waiting = Membership.objects.get(user=nina)
    own = client.post(f"/people/roles/{waiting.pk}/confirm/", follow=True)
    assert "another administrator of the centre confirms it" in own.content.decode()
    assert signed_in(nina).post(f"/people/roles/{waiting.pk}/confirm/").status_code == 403
    assert reached() == [403, False, 403, False, False]
    second = signed_in(eve)
    assert "Confirm" in second.get(f"/people/{nina.pk}/").content.decode()
    second.post(f"/people/roles/{waiting.pk}/confirm/")
    assert reached() == [200, role is Role.ADMINISTRATOR, 200, True, True]
    again = second.post(f"/people/roles/{waiting.pk}/confirm/", follow=True)
    assert "does not wait for anybody" in again.content.decode()


def test_a_waiting_role_is_declined_by_ending_it(centre: Centre, adam: User, eve: User, member: Any) -> None:
    grace = member("grace", centre, Role.ANALYST)
    row = give_role(person=grace, centre=centre, role=Role.VERIFIER, by=adam, now=clock.now())
    end_role(membership=row, by=eve, now=clock.now())
    with pytest.raises(FieldProblem, match="does not wait"):
        confirm_role(membership=row, by=eve, now=clock.now())
    assert roles_of(grace) == {"analyst"}


def test_nobody_decides_about_themselves_by_any_door(centre: Centre, adam: User, eve: User, client: Client) -> None:
    mine = Membership.objects.get(user=adam)
    before = list(Membership.objects.order_by("pk").values())
    doors: list[tuple[str, dict[str, Any]]] = [
        (f"/people/{adam.pk}/", {"centre": centre.pk, "role": "analyst"}),
        (f"/people/{adam.pk}/", {"centre": centre.pk, "role": "clinician"}),
        (f"/people/{adam.pk}/close/", {}),
        (f"/people/roles/{mine.pk}/end/", {}),
        (f"/people/roles/{mine.pk}/confirm/", {}),
        (f"/admin/monitoring/membership/{mine.pk}/change/", {"role": "clinician", "valid_from": "2020-01-01"}),
        ("/admin/monitoring/membership/add/", {"user": adam.pk, "centre": centre.pk, "role": "clinician"}),
    ]
    for address, data in doors:
        assert client.post(address, data).status_code in (302, 400, 403), address
    given = give_role(person=adam, centre=centre, role=Role.CLINICIAN, by=eve, now=clock.now())
    client.post(f"/people/roles/{given.pk}/confirm/")
    given.refresh_from_db()
    assert given.waits
    given.delete()
    assert list(Membership.objects.order_by("pk").values()) == before
    adam.refresh_from_db()
    assert adam.is_active


def test_the_database_keeps_giver_confirmer_and_person_apart(centre: Centre, adam: User, eve: User) -> None:
    row = give_role(person=User.objects.create_user("x"), centre=centre, role=Role.VERIFIER, by=adam, now=clock.now())
    for wrong in (
        {"waits": False, "confirmed_by": adam, "confirmed_at": clock.now()},
        {"waits": False, "confirmed_by": row.user, "confirmed_at": clock.now()},
        {"confirmed_by": eve, "confirmed_at": clock.now()},
        {"given_by": row.user},
        {"ended_at": clock.now()},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Membership.objects.filter(pk=row.pk).update(**wrong)


def test_a_role_ends_at_once_and_may_begin_again_the_same_day(
    centre: Centre, adam: User, client: Client, member: Callable[..., User]
) -> None:
    nina = member("nina", centre, Role.TECHNICIAN)
    row = Membership.objects.get(user=nina)
    client.post(f"/people/roles/{row.pk}/end/")
    assert roles_of(nina) == frozenset()
    assert signed_in(nina).get("/bench/").status_code == 403
    client.post(f"/people/{nina.pk}/", {"centre": centre.pk, "role": "technician"})
    assert roles_of(nina) == {"technician"}
    twice = client.post(f"/people/{nina.pk}/", {"centre": centre.pk, "role": "technician"})
    assert "has this role in H1 already" in twice.content.decode()


def test_a_closed_account_opens_nothing(
    centre: Centre, adam: User, client: Client, member: Callable[..., User]
) -> None:
    nina = member("nina", centre, Role.TECHNICIAN)
    nina.email = "nina@example.org"
    nina.save(update_fields=["email"])
    client.post(f"/people/{nina.pk}/link/")
    link = re.findall(r"https?://[^/]+(/set-password/\S+)", str(mail.outbox[0].body))[0]
    browser, token = signed_in(nina), create_token(nina)
    assert browser.get("/bench/").status_code == 200
    assert "The account is closed" in client.post(f"/people/{nina.pk}/close/", follow=True).content.decode()
    assert browser.get("/bench/").status_code == 302
    assert Client().get("/api/v1/patients/", HTTP_AUTHORIZATION=f"Token {token}").status_code == 401
    assert not Client().login(username="nina", password=PASSWORD)
    assert "used already or is too old" in Client().get(link, follow=True).content.decode()
    assert ApiToken.objects.get(user=nina).revoked_at is not None
    client.post(f"/people/{nina.pk}/", {"centre": centre.pk, "role": "technician"})
    assert roles_of(nina) == frozenset()
    client.post(f"/people/{nina.pk}/link/")
    assert len(mail.outbox) == 1


def test_an_account_with_a_role_elsewhere_stays_open(
    centre: Centre, other: Centre, adam: User, client: Client, member: Callable[..., User]
) -> None:
    nina = member("nina", centre, Role.TECHNICIAN)
    Membership.objects.create(user=nina, centre=other, role=Role.CLINICIAN, valid_from="2020-01-01")
    assert "H2" not in client.get(f"/people/{nina.pk}/").content.decode()
    assert "stays open" in client.post(f"/people/{nina.pk}/close/", follow=True).content.decode()
    nina.refresh_from_db()
    assert nina.is_active
    assert memberships_of(nina) == {(other.pk, "clinician")}


def test_people_of_another_centre_are_not_there(
    centre: Centre, other: Centre, adam: User, client: Client, member: Callable[..., User]
) -> None:
    mallory = member("mallory", other, Role.ADMINISTRATOR)
    row = Membership.objects.get(user=mallory)
    before = list(Membership.objects.order_by("pk").values())
    assert "mallory" not in client.get("/people/").content.decode()
    for address in (f"/people/{mallory.pk}/", f"/people/{mallory.pk}/link/", f"/people/{mallory.pk}/close/",
                    f"/people/roles/{row.pk}/end/", f"/people/roles/{row.pk}/confirm/"):  # fmt: skip
        assert client.post(address, {"centre": centre.pk, "role": "technician"}).status_code == 404, address
    assert list(Membership.objects.order_by("pk").values()) == before


def test_the_operator_s_account_is_not_closed_from_the_page(centre: Centre, adam: User, client: Client) -> None:
    root = User.objects.create_superuser("zoe")
    Membership.objects.create(user=root, centre=centre, role=Role.ANALYST, valid_from="2020-01-01")
    assert "belongs to the operator" in client.post(f"/people/{root.pk}/close/", follow=True).content.decode()
    root.refresh_from_db()
    assert root.is_active


def test_the_list_asks_the_same_number_of_questions_for_one_and_for_many(
    centre: Centre, adam: User, client: Client, member: Callable[..., User]
) -> None:
    client.get("/people/")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/people/")
    for number in range(20):
        member(f"user{number}", centre, Role.ANALYST)
    with CaptureQueriesContext(connection) as many:
        client.get("/people/")
    assert len(few) == len(many)


def test_the_operator_gives_and_ends_a_role_at_once(centre: Centre, ada: User) -> None:
    call_command("give_role", "ada", centre="H1", role="administrator")
    assert roles_of(ada) == {"administrator"}
    with pytest.raises(CommandError, match="already"):
        call_command("give_role", "ada", centre="H1", role="administrator")
    call_command("give_role", "ada", centre="H1", role="administrator", end=True)
    assert roles_of(ada) == frozenset()
    for wrong in ({"centre": "H9"}, {"until": clock.now().date().replace(year=2000)}):
        with pytest.raises(CommandError):
            call_command("give_role", "ada", **{"centre": "H1", "role": "verifier", **wrong})


def test_the_operator_alone_puts_a_waiting_role_in_force(centre: Centre, adam: User, ada: User) -> None:
    give_role(person=ada, centre=centre, role=Role.CLINICIAN, by=adam, now=clock.now())
    assert roles_of(ada) == frozenset()
    call_command("give_role", "ada", centre="H1", role="clinician")
    assert roles_of(ada) == {"clinician"}


def test_a_password_is_changed_on_our_page(ada: User, client: Client) -> None:
    client.force_login(ada)
    fields = {
        "old_password": PASSWORD,
        "new_password1": "another long password",
        "new_password2": "another long password",
    }
    with CaptureQueriesContext(connection) as asked:
        assert client.post("/change-password/", fields).status_code == 302
    written = [q["sql"] for q in asked if 'UPDATE "auth_user"' in q["sql"]]
    assert written
    assert not any("is_staff" in sql for sql in written)
    assert Client().login(username="ada", password="another long password")
