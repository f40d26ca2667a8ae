"""Database roles: the owner migrates, the application reads and writes, the watchdog only reads.

Granted after every migration, so that no table is forgotten. Roles belong to the whole server; where the owner may
not create them, the operator makes them once (docs/operations).
"""

from typing import Any

from django.db import connections

APP_ROLE = "cml_app"
WATCHDOG_ROLE = "cml_watchdog"

# Facts and the record of what happened: rows are added, never changed. The triggers say the same to everybody else.
APPEND_ONLY = ("monitoring_pcrresult", "monitoring_replicate", "monitoring_responseevent", "monitoring_accessevent",
               "cohorts_cohortsnapshot")  # fmt: skip
# Not clinical: what is owed is deleted when it was paid, sessions expire, log-ins update their user.
DELETABLE = (
    "monitoring_classificationrequest",
    "monitoring_idempotentrequest",
    "django_session",
    "auth_user_groups",
    "auth_user_user_permissions",
)

_MAKE_ROLE = """
do $$ begin
    if not exists (select from pg_roles where rolname = '{role}') then
        create role {role} nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end $$;
"""


def grant_after_migrate(*, using: str, **_: Any) -> None:
    """Make the roles where they are missing and give each exactly what it needs."""
    connection = connections[using]
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(727001)")  # roles are shared by all databases of the server
        try:
            for role in (APP_ROLE, WATCHDOG_ROLE):
                cursor.execute(_MAKE_ROLE.format(role=role))
                cursor.execute(
                    f"do $$ begin if not pg_has_role(current_user, '{role}', 'member') then"
                    f" grant {role} to current_user; end if; end $$"
                )
            cursor.execute(f"grant usage on schema public to {APP_ROLE}, {WATCHDOG_ROLE}")
            # Imports compare a file with what is stored in temporary tables; a server may have taken this from everybody.
            cursor.execute(
                "do $$ begin if not has_database_privilege('" + APP_ROLE + "', current_database(), 'TEMPORARY') then"
                " execute format('grant temporary on database %I to " + APP_ROLE + "', current_database());"
                " end if; end $$"
            )
            cursor.execute(f"grant select on all tables in schema public to {APP_ROLE}, {WATCHDOG_ROLE}")
            cursor.execute(f"grant insert, update on all tables in schema public to {APP_ROLE}")
            cursor.execute(f"grant usage, select on all sequences in schema public to {APP_ROLE}")
            cursor.execute(f"revoke select on monitoring_patientidentity from {WATCHDOG_ROLE}")  # noqa: S608  # our own names
            for table in tables:
                if table in APPEND_ONLY or (table.endswith("event") and table.startswith(("monitoring_", "cohorts_"))):
                    cursor.execute(f"revoke update on {table} from {APP_ROLE}")
                if table in DELETABLE:
                    cursor.execute(f"grant delete on {table} to {APP_ROLE}")
        finally:
            cursor.execute("select pg_advisory_unlock(727001)")
