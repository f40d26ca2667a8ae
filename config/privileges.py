"""What the application's role and the watchdog may do to each table; everything belongs to the owner, who migrates.

Written anew after every migration, so that no table is forgotten. Roles belong to the whole server; where the owner may
not create them, `prepare_database` makes them once (docs/operations).

A table that is not named here may be read, added to and changed by the application, and is closed to the watchdog: a
secret nobody thought of would be read for years, a harmless table that is missing is asked for the same day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from django.db import connections, transaction

from config.preparing import APP_ROLE, WATCHDOG_ROLE
from config.walls import wall_statements

# --- the application ---------------------------------------------------------------------------------------------

# Facts and the record of what happened: rows are added, never changed. The triggers say the same to everybody else.
# So are the history tables, which end with "event".
APPEND_ONLY = (
    "monitoring_pcrresult",
    "monitoring_replicate",
    "monitoring_latereport",
    "monitoring_responseevent",
    "monitoring_accessevent",
    "monitoring_deliveryattempt",
    "monitoring_reviewnote",
    "cohorts_cohortsnapshot",
    "cohorts_snapshotname",
    "django_admin_log",
)
# What /admin/ allows to whom follows from roles in centres; these are written by migrations and the operator's
# commands.
READ_ONLY = (
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "auth_user_groups",
    "auth_user_user_permissions",
    "django_content_type",
    "django_migrations",
)
# Not clinical, or made anew from facts: what is owed is deleted when it was paid, sessions expire, a reading that no
# longer holds is replaced.
DELETABLE = (
    "monitoring_backtest",
    "monitoring_classificationrequest",
    "monitoring_idempotentrequest",
    "monitoring_laboratorycentre",
    "monitoring_readingrule",
    "monitoring_runrow",
    "monitoring_signintries",
    "monitoring_storedreading",
    "cohorts_cohortoutput",
    "cohorts_definitioncount",
    "django_session",
)
# Of these rows only what is named here changes: a class is superseded, a token revoked, an answer kept.
ONLY_THESE_CHANGE = {
    "monitoring_responseassessment": ("superseded_at",),
    "monitoring_apitoken": ("revoked_at",),
    "monitoring_idempotentrequest": ("status", "body", "etag"),
    "monitoring_classificationrequest": ("attempts", "last_error"),
    "monitoring_heartbeat": ("beat_at", "detail"),
    "monitoring_lead": ("fence", "until"),
    "monitoring_readingrule": ("built_up_to", "built_at"),
    "monitoring_storedreading": (),
    "monitoring_patientidentity": ("centre_id", "encrypted", "hospital_number_index"),
    "pghistory_context": (
        "metadata",
        "updated_at",
    ),  # written by the history triggers; each event row keeps its own copy
    "cohorts_cohortoutput": ("tries", "tried_at", "made_at", "content", "seen_digest", "error"),
    "cohorts_definitioncount": ("answer", "answered_at"),
    "cohorts_cohortpublication": ("snapshot_id", "published_at", "confirmed_at"),
}
# Of these rows everything may change but what they are about.
THESE_STAY = {
    "monitoring_alertdelivery": (
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
    ),
    "monitoring_importrun": ("id", "public_id", "kind", "sha256", "dry_run", "amend_reason", "started_at", "by_id"),
    "monitoring_jobrun": ("id", "job", "slot_at"),
    "monitoring_monitoringplan": ("id", "patient_id"),
    "monitoring_recordchange": (
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
    ),
    "monitoring_tfrepisode": ("id", "public_id", "patient_id", "subject_key"),
}
# Accounts (auth_user) have a trigger instead of column grants: the password form of Django saves every column, also
# those that it did not change (config/walls.py).

# --- the watchdog ------------------------------------------------------------------------------------------------

# Read whole, with their history: pseudonyms, values, settings and how far the work is.
WATCHDOG_READS = (
    "monitoring_accessevent", "monitoring_alert", "monitoring_alertdelivery", "monitoring_assay",
    "monitoring_centre", "monitoring_classificationrequest", "monitoring_conversionfactor",
    "monitoring_escalationpolicy", "monitoring_heartbeat", "monitoring_jobrun", "monitoring_laboratory",
    "monitoring_laboratorycentre", "monitoring_lead", "monitoring_membership", "monitoring_monitoringplan",
    "monitoring_observation", "monitoring_patient", "monitoring_pcrresult", "monitoring_protocol",
    "monitoring_replicate", "monitoring_responseassessment", "monitoring_responseevent", "monitoring_tfrepisode",
    "monitoring_tkicourse", "cohorts_cohort", "cohorts_cohortpublication", "cohorts_cohortrun", "django_migrations",
)  # fmt: skip
# Read in part: no name of a person, no hash, no file, no answer to a program, no rows of patients in bulk.
WATCHDOG_READS_OF = {
    "auth_user": ("id", "is_active", "is_staff", "is_superuser", "date_joined", "last_login"),
    "monitoring_apitoken": ("id", "user_id", "created_at", "revoked_at"),
    "monitoring_idempotentrequest": ("id", "user_id", "status", "created_at"),
    "monitoring_importrun": ("id", "public_id", "kind", "sha256", "dry_run", "started_at", "finished_at", "by_id",
    "rows", "rows_done"),
    "cohorts_cohortsnapshot": ("id", "cohort_id", "digest", "figures", "data_cutoff", "computed_at"),
    "django_admin_log": ("id", "action_time", "action_flag", "content_type_id", "object_id", "user_id"),
}  # fmt: skip


def only_grows(table: str) -> bool:
    """Whether rows of a table are added and never changed."""
    return table in APPEND_ONLY or (table.endswith("event") and table.startswith(("monitoring_", "cohorts_")))


def changeable(table: str, columns: Sequence[str]) -> list[str]:
    """The columns of a table that the application may change."""
    if only_grows(table) or table in READ_ONLY:
        return []
    if table in ONLY_THESE_CHANGE:
        return [name for name in columns if name in ONLY_THESE_CHANGE[table]]
    return [name for name in columns if name not in THESE_STAY.get(table, ())]


def watched(table: str, columns: Sequence[str]) -> list[str]:
    """The columns of a table that the watchdog may read."""
    if table in WATCHDOG_READS or table.removesuffix("event") in WATCHDOG_READS:
        return list(columns)
    return [name for name in columns if name in WATCHDOG_READS_OF.get(table, ())]


def grant_after_migrate(*, using: str, **_: Any) -> None:
    """Make the roles where they are missing, give each exactly what it needs, and put up the walls by trigger."""
    connection = connections[using]
    # One transaction: whoever is connected never meets a table between two sets of privileges.
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(727001)")
        for role in (APP_ROLE, WATCHDOG_ROLE):
            cursor.execute(_MAKE_ROLE.format(role=role))
        cursor.execute(_COLUMNS)
        tables: dict[str, list[str]] = dict(cursor.fetchall())
        for statement in (*_statements(tables), *wall_statements([t for t in tables if only_grows(t)])):
            cursor.execute(statement)


def _statements(tables: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield f"grant usage on schema public to {APP_ROLE}, {WATCHDOG_ROLE}"
    # Imports compare a file with what is stored in temporary tables; a server may have taken this from everybody.
    yield _TEMPORARY
    # With the privileges of a table go those of its columns, also those that an earlier version gave.
    yield f"revoke all on all tables in schema public from public, {APP_ROLE}, {WATCHDOG_ROLE}"
    yield f"grant select on all tables in schema public to {APP_ROLE}"
    yield f"grant usage, select on all sequences in schema public to {APP_ROLE}"
    for table, columns in tables.items():
        if table not in READ_ONLY:
            yield f'grant insert on "{table}" to {APP_ROLE}'
        if table in DELETABLE:
            yield f'grant delete on "{table}" to {APP_ROLE}'
        yield from _grant("update", changeable(table, columns), table, columns, APP_ROLE)
        yield from _grant("select", watched(table, columns), table, columns, WATCHDOG_ROLE)


def _grant(deed: str, names: Collection[str], table: str, columns: Collection[str], role: str) -> Iterator[str]:
    if len(names) == len(columns):
        yield f'grant {deed} on "{table}" to {role}'
    elif names:
        listed = ", ".join(f'"{name}"' for name in names)
        yield f'grant {deed} ({listed}) on "{table}" to {role}'


_MAKE_ROLE = """
do $$ begin
    if not exists (select from pg_roles where rolname = '{role}') then
        create role {role} nologin;
    end if;
    if not pg_has_role(current_user, '{role}', 'member') then
        grant {role} to current_user;
    end if;
exception when duplicate_object or unique_violation then null;
end $$;
"""
_TEMPORARY = f"""
do $$ begin
    if not has_database_privilege('{APP_ROLE}', current_database(), 'TEMPORARY') then
        execute format('grant temporary on database %I to {APP_ROLE}', current_database());
    end if;
end $$
"""
_COLUMNS = """
select relname::text, array_agg(attname::text order by attnum)
  from pg_class join pg_attribute on attrelid = pg_class.oid
 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
   and attnum > 0 and not attisdropped
 group by relname order by relname
"""
