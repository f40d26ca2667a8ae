"""Every table against every deed, as the login the service really uses, and as the watchdog: what passes stands
here.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from config.privileges import ONLY_THESE_CHANGE, THESE_STAY, WATCHDOG_READS, WATCHDOG_READS_OF, grant_after_migrate
from monitoring import clock
from monitoring.models import ApiToken, Patient, PcrResult, ResponseAssessment, ResponseEvent
from monitoring.services.foundation.access import record_access
from monitoring.services.foundation.actors import recorded_as, system_actor
from monitoring.services.foundation.sessions import own_session
from monitoring.services.settings.tokens import create_token
from tests.processes import on_this_database

pytestmark = pytest.mark.django_db

# Written down a second time, apart from config/privileges.py: nothing of these rows changes …
NOTHING = ("monitoring_pcrresult", "monitoring_replicate", "monitoring_latereport", "monitoring_responseevent",
    "monitoring_accessevent", "monitoring_storedreading", "monitoring_deliveryattempt", "monitoring_reviewnote",
           "cohorts_cohortsnapshot", "cohorts_snapshotname", "django_admin_log",
           "auth_permission", "auth_group", "auth_group_permissions",
           "auth_user_groups", "auth_user_user_permissions", "django_content_type", "django_migrations")  # fmt: skip
# … of these only this …
ONLY = {
    "monitoring_responseassessment": {"superseded_at"},
    "monitoring_apitoken": {"revoked_at"},
    "monitoring_idempotentrequest": {"status", "body", "etag"},
    "monitoring_classificationrequest": {"attempts", "last_error"},
    "monitoring_heartbeat": {"beat_at", "detail"},
    "monitoring_lead": {"fence", "until"},
    "monitoring_patientidentity": {"centre_id", "encrypted", "hospital_number_index"},
    "pghistory_context": {"metadata", "updated_at"},
    "monitoring_readingrule": {"built_up_to", "built_at"},
    "cohorts_cohortoutput": {"tries", "tried_at", "made_at", "content", "seen_digest", "error"},
    "cohorts_definitioncount": {"answer", "answered_at"},
    "cohorts_cohortpublication": {"snapshot_id", "published_at", "confirmed_at"},
}
# … of these not this …
NOT = {
    "monitoring_recordchange": {
        "id",
        "public_id",
        "kind",
        "patient_id",
        "into_id",
        "from_centre_id",
        "to_centre_id",
        "to_patient_id",
        "reason",
        "asked_by_id",
        "asked_at",
    },
    "monitoring_alertdelivery": {
        "id",
        "alert_id",
        "key",
        "about",
        "channel",
        "recipient_id",
        "endpoint_id",
        "owed_at",
        "round",
        "step",
        "certainty",
        "urgency",
        "asked_by_id",
    },
    "monitoring_importrun": {"id", "public_id", "kind", "sha256", "dry_run", "amend_reason", "started_at", "by_id"},
    "monitoring_jobrun": {"id", "job", "slot_at"},
    "monitoring_monitoringplan": {"id", "patient_id"},
    "monitoring_tfrepisode": {"id", "public_id", "patient_id", "subject_key"},
}
# … and these are deleted.
DELETED = {
    "monitoring_backtest",
    "monitoring_classificationrequest",
    "monitoring_idempotentrequest",
    "monitoring_laboratorycentre",
    "monitoring_readingrule",
    "monitoring_signintries",
    "monitoring_runrow",
    "monitoring_storedreading",
    "cohorts_cohortoutput",
    "cohorts_definitioncount",
    "django_session",
}
# What the watchdog must never read, whatever else it may.
CLOSED_TO_THE_WATCHDOG = {
    ("django_session", "session_key"), ("django_session", "session_data"), ("auth_user", "password"),
    ("auth_user", "username"), ("auth_user", "email"), ("auth_user", "first_name"), ("auth_user", "last_name"),
    ("monitoring_apitoken", "token_hash"), ("monitoring_importrun", "content"), ("monitoring_importrun", "verdicts"),
    ("monitoring_importrun", "file_name"), ("monitoring_importrun", "problem"), ("monitoring_importrun", "notes"),
    ("monitoring_idempotentrequest", "body"), ("monitoring_idempotentrequest", "key"),
    ("monitoring_patientidentity", "encrypted"), ("monitoring_patientidentity", "hospital_number_index"),
    ("cohorts_cohortsnapshot", "rows"), ("cohorts_cohortoutput", "content"),
    ("django_admin_log", "object_repr"), ("django_admin_log", "change_message"),
}  # fmt: skip


def tables() -> dict[str, list[str]]:
    """Every table of the schema with its columns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select table_name, array_agg(column_name::text order by ordinal_position)"
            " from information_schema.columns where table_schema = 'public' group by 1 order by 1"
        )
        return dict(cursor.fetchall())


def is_history(table: str) -> bool:
    return table.endswith("event") and table.startswith(("monitoring_", "cohorts_"))


@pytest.fixture
def service() -> Iterator[psycopg.Connection]:
    """A session of the service's own login, as somebody who stole its password would open one."""
    if "DATABASE_OWNER_URL" not in os.environ:
        pytest.skip("this machine names one login for everything")
    with psycopg.connect(on_this_database(os.environ["DATABASE_URL"]), autocommit=True) as session:
        yield session


@contextlib.contextmanager
def as_role(role: str) -> Iterator[psycopg.Connection]:
    with own_session(autocommit=True) as session:
        session.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        yield session


def passes(session: psycopg.Connection, deed: str, *names: str) -> bool:
    """Whether the database lets a session do this. Nothing is left of it."""
    try:
        with session.transaction(force_rollback=True):
            session.execute(sql.SQL(deed).format(*map(sql.Identifier, names)))
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def test_the_service_changes_deletes_and_adds_in_each_table_what_is_written_here_and_nothing_else(
    service: psycopg.Connection,
) -> None:
    for table, columns in tables().items():
        expected = set(columns)
        if table in NOTHING or is_history(table):
            expected = set()
        expected = (ONLY.get(table) or expected) - NOT.get(table, set())
        found = {c for c in columns if passes(service, "update {} set {} = {} where false", table, c, c)}
        assert found == expected, table
        assert passes(service, "delete from {} where false", table) == (table in DELETED), table
        assert passes(service, "select from {} limit 0", table), table


@pytest.mark.parametrize(
    "deed",
    ["truncate {}", "truncate {} cascade", "alter table {} disable trigger all", "alter table {} add column x integer",
     "alter table {} owner to cml_service", "alter table {} enable row level security", "drop table {} cascade",
     "create trigger x before insert on {} for each row execute function cml_kept()", "create index on {} ((1))"],
)  # fmt: skip
def test_the_service_empties_alters_and_opens_no_table(service: psycopg.Connection, deed: str) -> None:
    assert [table for table in tables() if passes(service, deed, table)] == []


def test_the_service_gives_itself_nothing(service: psycopg.Connection) -> None:
    service.execute("grant all on monitoring_pcrresult to cml_app")  # only a warning, and nothing is given
    assert not passes(service, "update {} set {} = 1 where false", "monitoring_pcrresult", "version")


@pytest.mark.parametrize(
    "deed",
    ["set role cml_owner", "set role cml_superuser", "set session authorization cml_owner", "create role x",
     "create database x", "create schema x", "create table public.x ()", "alter role cml_service superuser",
     "grant cml_owner to "
     "cml_service", "set session_replication_role = replica", "copy monitoring_centre to program 'true'",
     "drop function cml_kept() cascade", "create or replace function cml_kept() returns trigger language sql as ''",
     "select pg_read_file('/etc/passwd')", "alter database cml owner to cml_service"],
)  # fmt: skip
def test_the_service_becomes_nobody_else(service: psycopg.Connection, deed: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        service.execute(deed.encode())
    assert refused.value.sqlstate in ("42501", "22023", "42704", "25001"), refused.value


def test_giving_up_the_assumed_role_gains_nothing(service: psycopg.Connection) -> None:
    service.execute("set role cml_app")
    service.execute("reset role")
    found = service.execute(
        "select rolsuper, rolcreatedb, rolcreaterole, rolbypassrls from pg_roles where rolname = session_user"
    ).fetchone()
    assert found == (False, False, False, False)
    roles = service.execute("select rolname from pg_roles where pg_has_role(session_user, oid, 'member')").fetchall()
    assert {name for (name,) in roles} == {service.info.user, "cml_app"}
    assert not passes(service, "update {} set {} = {} where false", "monitoring_pcrresult", "version", "version")


def test_the_owner_is_no_superuser_and_owns_everything() -> None:
    if "DATABASE_OWNER_URL" not in os.environ:
        pytest.skip("this machine names one login for everything")
    with connection.cursor() as cursor:
        cursor.execute("select rolsuper, rolcreaterole, rolbypassrls from pg_roles where rolname = session_user")
        assert cursor.fetchall() == [(False, False, False)]
        cursor.execute("select distinct tableowner = session_user from pg_tables where schemaname = 'public'")
        assert cursor.fetchall() == [(True,)]


# --- what is kept is not emptied, also not by the owner -----------------------------------------------------------


def test_the_owner_empties_nothing_that_is_kept_unless_the_session_says_so() -> None:
    kept = [t for t in tables() if is_history(t)] + [
        "monitoring_pcrresult", "monitoring_replicate", "cohorts_cohortsnapshot", "django_admin_log",
        "monitoring_responseassessment",
    ]  # fmt: skip
    assert {"monitoring_responseevent", "monitoring_accessevent", "monitoring_patientevent"} <= set(kept)
    with own_session(autocommit=True) as session:
        session.execute("set lock_timeout = '5s'")
        for setting, allowed in (("off", False), ("", False), ("on", True)):
            session.execute(f"set cml.wipe = '{setting}'".encode())
            for table in kept:
                assert passes(session, "truncate {} cascade", table) is allowed, (table, setting)
        session.execute("set cml.wipe = 'off'")
        assert not passes(session, "truncate {} cascade", "monitoring_patient"), "what hangs on it is kept"


def test_a_table_of_a_later_migration_gets_its_walls_with_the_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "create table monitoring_newevent (pgh_id integer); create table monitoring_new (id integer, s text)"
        )
        grant_after_migrate(using="default")
        cursor.execute("select tgname from pg_trigger where tgrelid = 'monitoring_newevent'::regclass")
        assert cursor.fetchall() == [("cml_kept",)]
        cursor.execute(
            "select has_table_privilege('cml_app', 'monitoring_newevent', 'insert'),"
            " has_table_privilege('cml_app', 'monitoring_newevent', 'update'),"
            " has_table_privilege('cml_app', 'monitoring_new', 'update'),"
            " has_table_privilege('cml_app', 'monitoring_new', 'delete'),"
            " has_any_column_privilege('cml_watchdog', 'monitoring_new', 'select')"
        )
        assert cursor.fetchall() == [(True, False, True, False, False)]


def test_what_an_earlier_version_granted_is_taken_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "grant all on all tables in schema public to cml_app; grant select on auth_user to cml_watchdog, public"
        )
        grant_after_migrate(using="default")
        cursor.execute(
            "select has_table_privilege('cml_app', 'monitoring_responseassessment', 'update'),"
            " has_table_privilege('cml_app', 'monitoring_patient', 'truncate'),"
            " has_column_privilege('cml_watchdog', 'auth_user', 'password', 'select')"
        )
        assert cursor.fetchall() == [(False, False, False)]


# --- accounts, classes, tokens -------------------------------------------------------------------------------------


@contextlib.contextmanager
def acting_as_the_application() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("set role cml_app")
        try:
            yield
        finally:
            cursor.execute("reset role")


@contextlib.contextmanager
def refused(word: str) -> Iterator[None]:
    with pytest.raises(DatabaseError, match=word), transaction.atomic():
        yield


@pytest.mark.parametrize("more", [{"is_superuser": True}, {"is_staff": True}])
def test_the_application_makes_no_superuser(more: dict[str, bool]) -> None:
    with acting_as_the_application(), refused("Cannot make an account"):
        User.objects.create(username="mallory", **more)


@pytest.mark.parametrize("change", [{"is_superuser": True}, {"is_staff": True}, {"username": "grace"}])
def test_the_application_raises_and_renames_no_account(ada: User, change: dict[str, Any]) -> None:
    with acting_as_the_application(), refused("Cannot change username"):
        User.objects.filter(pk=ada.pk).update(**change)


def test_the_application_lowers_no_superuser_either(ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_superuser=True, is_staff=True)
    with acting_as_the_application(), refused("Cannot change username"):
        User.objects.filter(pk=ada.pk).update(is_superuser=False)


def test_the_application_closes_an_account_and_cannot_open_it_again(ada: User) -> None:
    with acting_as_the_application():
        User.objects.filter(pk=ada.pk).update(is_active=False)
        with refused("Cannot reopen"):
            User.objects.filter(pk=ada.pk).update(is_active=True)
        User.objects.filter(pk=ada.pk).update(last_name="of the closed account")
    User.objects.filter(pk=ada.pk).update(is_active=True)  # the owner may


def test_the_application_invites_people_and_lets_them_set_their_password() -> None:
    with acting_as_the_application():
        invited = User.objects.create_user("eve", email="eve@example.org")
        invited.set_password("a long enough password")
        invited.save()  # all columns, as the form of Django does
        invited.last_login, invited.first_name = clock.now(), "Eve"
        invited.save(update_fields=["last_login", "first_name"])
        system_actor("import")


@pytest.fixture
def stored(patient: Patient, ada: User) -> PcrResult:
    laboratory = patient.centre.laboratories.create(code="LAB")
    return PcrResult.objects.create(
        laboratory=laboratory, accession_number="A1", patient=patient, collected_on="2020-01-01", recorded_by=ada
    )


def test_the_application_supersedes_a_class_once_and_changes_nothing_of_it(stored: PcrResult) -> None:
    with acting_as_the_application():
        one = ResponseAssessment.objects.create(
            result=stored, response_class="MMR", sensitivity="", detected=True, factor_state="", rule_version="r"
        )
        mine = ResponseAssessment.objects.filter(pk=one.pk)
        mine.update(superseded_at=clock.now())
        with refused("second time"):
            mine.update(superseded_at=None)
        with refused("permission denied"):
            mine.update(response_class="MR4")


def test_the_application_brings_no_revoked_token_back_and_gives_it_to_nobody_else(ada: User) -> None:
    with acting_as_the_application():
        create_token(ada)
        mine = ApiToken.objects.filter(user=ada)
        with refused("permission denied"):
            mine.update(user=system_actor("import"))
        mine.update(revoked_at=clock.now())
        with refused("second time"):
            mine.update(revoked_at=None)


def test_the_application_writes_facts_history_and_access_with_who_did_it(patient: Patient, ada: User) -> None:
    with acting_as_the_application(), recorded_as("ada", "a test"):
        patient.transcript = "e14a2"
        patient.save()
        record_access(ada, action="patient page", patient=patient)
        ResponseEvent.objects.create(
            patient=patient, kind="dmr_gained", subject_key="s", occurred_on="2020-01-01", rule_version="r"
        )
    history = Patient.pgh_event_model.objects.filter(pgh_obj=patient)  # type: ignore[attr-defined]
    assert history.latest("pgh_id").pgh_context["by"] == "ada"


# --- the watchdog ---------------------------------------------------------------------------------------------------


def test_the_watchdog_reads_no_secret_and_no_name_and_writes_nothing() -> None:
    with as_role("cml_watchdog") as watchdog:
        for table, columns in tables().items():
            for column in columns:
                may = passes(watchdog, "select {} from {} limit 0", column, table)
                assert not (may and (table, column) in CLOSED_TO_THE_WATCHDOG), (table, column)
                listed = table in WATCHDOG_READS or table.removesuffix("event") in WATCHDOG_READS
                assert may == (listed or column in WATCHDOG_READS_OF.get(table, ())), (table, column)
                assert not passes(watchdog, "update {} set {} = {} where false", table, column, column)
            assert not passes(watchdog, "delete from {} where false", table)
            assert not passes(watchdog, "truncate {}", table)
            assert not passes(watchdog, "insert into {} default values", table)


def test_what_holds_bytes_or_a_secret_by_its_name_is_closed_to_the_watchdog() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            # Materialised: asked of a table outside the schema, the privilege would be an error.
            "with ours as materialized (select * from information_schema.columns where table_schema = 'public')"
            " select table_name, column_name from ours where"
            " (data_type = 'bytea' or column_name ~ '(password|token_hash|session|secret|email|identity)')"
            " and has_column_privilege('cml_watchdog', quote_ident(table_name), column_name, 'select')"
        )
        assert cursor.fetchall() == []


def test_the_lists_of_privileges_name_only_what_exists() -> None:
    known = tables()
    assert set(WATCHDOG_READS) <= set(known)
    for listed in (ONLY_THESE_CHANGE, THESE_STAY, WATCHDOG_READS_OF):
        for table, columns in listed.items():
            assert set(columns) <= set(known[table]), table
    assert {table for table, _column in CLOSED_TO_THE_WATCHDOG} <= set(known)
    assert set(CLOSED_TO_THE_WATCHDOG) <= {(t, c) for t, columns in known.items() for c in columns}
