"""Signing in under somebody who guesses: tries are counted before a hash is computed, by every door and every way
in.
"""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from monitoring import clock
from monitoring.models import SignInTries
from monitoring.services.foundation.sign_in import (
    TRIES_OF_A_NAME,
    TRIES_OF_AN_ADDRESS,
    WITHIN,
    count_try,
    forget_old_tries,
)

DOORS = ("/sign-in/", "/admin/login/")
RIGHT = "a long enough password"


def attempt(name: str, password: str = "wrong", *, door: str = "/sign-in/", address: str = "192.0.2.1", **more: str):  # type: ignore[no-untyped-def]
    return Client(REMOTE_ADDR=address).post(door, {"username": name, "password": password}, headers=more)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was hashed: each call of the hasher, for names that exist and for those that do not."""
    seen: list[str] = []
    encode = hashers.MD5PasswordHasher.encode

    def counted(self: hashers.MD5PasswordHasher, password: str, salt: str) -> str:
        seen.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", counted)
    return seen


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_after_ten_tries_a_name_waits_and_no_hash_is_computed(
    ada: User, hashes: list[str], door: str, name: str
) -> None:
    for number in range(TRIES_OF_A_NAME):
        assert "Too many tries" not in attempt(name, door=door, address=f"192.0.2.{number}").content.decode()
    before = len(hashes)
    answer = attempt(name, RIGHT, door=door, address="198.51.100.9")
    assert (
        "Wait 15 minutes and try again, or ask an administrator of your centre for a new link."
        in answer.content.decode()
    )
    assert "_auth_user_id" not in answer.client.session
    assert len(hashes) == before


def test_both_doors_count_together_and_spelling_makes_no_other_name(ada: User) -> None:
    for number in range(TRIES_OF_A_NAME):
        attempt(("ada", "ADA", " Ada ", "ａｄａ")[number % 4], door=DOORS[number % 2])
    answer = attempt("ada", RIGHT)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= WITHIN.total_seconds()


def test_an_address_waits_after_a_hundred_names_and_others_do_not(ada: User) -> None:
    now = clock.now()
    for number in range(TRIES_OF_AN_ADDRESS):
        assert count_try(name=f"n{number}", address="192.0.2.1", now=now) is None
    assert attempt("ada", RIGHT, address="192.0.2.1").status_code == 429
    assert attempt("ada", RIGHT, address="192.0.2.2").status_code == 302


def test_addresses_of_one_ipv6_network_count_as_one(db: None) -> None:
    now = clock.now()
    for number in range(TRIES_OF_AN_ADDRESS):
        count_try(name=f"n{number}", address=f"2001:db8::{number:x}", now=now)
    assert count_try(name="x", address="2001:db8::ffff", now=now) is not None
    assert count_try(name="x", address="2001:db8:0:1::1", now=now) is None


def test_success_clears_the_name_and_does_not_count_against_the_address(ada: User) -> None:
    for _round in range(2 * TRIES_OF_A_NAME):
        attempt("ada")
        assert attempt("ada", RIGHT).status_code == 302
    assert list(SignInTries.objects.values_list("tries", flat=True)) == [2 * TRIES_OF_A_NAME]


def test_who_administers_nothing_signs_in_under_admin_and_still_does_not_enter(ada: User) -> None:
    client = attempt("ada", RIGHT, door="/admin/login/").client
    assert client.session["_auth_user_id"] == str(ada.pk)
    assert client.get("/admin/").status_code == 302


def test_fifteen_minutes_later_the_count_starts_anew_and_old_rows_are_dropped(db: None) -> None:
    now = clock.now()
    for _number in range(TRIES_OF_A_NAME):
        count_try(name="ada", address="192.0.2.1", now=now)
    assert count_try(name="ada", address="192.0.2.1", now=now + WITHIN - dt.timedelta(seconds=1)) == dt.timedelta(
        seconds=1
    )
    assert forget_old_tries(now=now + WITHIN - dt.timedelta(seconds=1)) == 0
    assert count_try(name="ada", address="192.0.2.1", now=now + WITHIN) is None
    assert forget_old_tries(now=now + 2 * WITHIN) == 2


def test_the_table_tells_neither_who_nor_from_where(db: None) -> None:
    count_try(name="ada", address="192.0.2.1", now=clock.now())
    kept = [bytes(digest) for digest in SignInTries.objects.values_list("digest", flat=True)]
    assert [len(digest) for digest in kept] == [32, 32]


@pytest.mark.django_db(transaction=True)
def test_tries_made_at_the_same_moment_all_count() -> None:
    now = clock.now()

    def one(number: int) -> bool:
        try:
            return count_try(name="ada", address=f"192.0.2.{number}", now=now) is None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(one, range(40)))
    assert sum(allowed) == TRIES_OF_A_NAME
