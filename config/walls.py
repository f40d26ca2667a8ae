"""Walls by trigger, made after every migration beside the grants: what a grant cannot say.

What is kept cannot be emptied, also not by the owner, unless the session has said ``set cml.wipe = 'on'`` (tests do).
The service's login cannot give an account more than its roles nor open a closed one, bring a superseded class back, or
a revoked token: that needs the owner (`manage.py createsuperuser`, `changepassword`, `shell` with DATABASE_ROLE=owner).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from config.preparing import APP_ROLE

# Rows of these change, but only once: what was said stays said.
_ONCE = {"monitoring_responseassessment": "superseded_at", "monitoring_apitoken": "revoked_at"}
_ACCOUNTS = "auth_user"
_ALSO_KEPT = ("monitoring_responseassessment",)
# By kind: how many days the database keeps rows whatever is asked, and how many the service keeps them by itself.
RETENTION_FLOORS = {"jobs": (30, 90), "deliveries": (365, 1096), "imports": (365, 1096), "access": (365, 3653)}


def wall_statements(growing: Iterable[str]) -> Iterator[str]:
    """The trigger functions, and the triggers where they are missing. ``growing`` are the tables that only grow."""
    yield from (_KEPT, _ONLY_ONCE, _ACCOUNT, _FORGET, _FORGET_IS_THE_SERVICE_S)
    for table in (*growing, *_ALSO_KEPT):
        yield _trigger("cml_kept", "before truncate", table, "for each statement")
    for table, column in _ONCE.items():
        yield _trigger(
            "cml_only_once", f"before update of {column}", table,
            f"for each row when (old.{column} is not null and new.{column} is distinct from old.{column})",
        )  # fmt: skip
    yield _trigger("cml_account", "before insert or update", _ACCOUNTS, "for each row")


def _trigger(name: str, moment: str, table: str, how: str) -> str:
    """Made only where it is missing: making one waits for everybody who writes to the table."""
    return f"""
        do $$ begin
            if to_regclass('public.{table}') is not null and not exists (
                select from pg_trigger where tgrelid = to_regclass('public.{table}') and tgname = '{name}'
            ) then
                create trigger {name} {moment} on public.{table} {how} execute function public.{name}();
            end if;
        end $$
    """


_KEPT = """
create or replace function public.cml_kept() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(current_setting('cml.wipe', true), '') <> 'on' then
        raise insufficient_privilege using
            message = format('Cannot truncate %s: what stands in it is kept', tg_table_name),
            hint = 'A session that may empty a test database says first: set cml.wipe = ''on''';
    end if;
    return null;
end $$
"""
# Whoever acts with the owner's rights may pass; a login that has assumed cml_app does not.
_PASSES = "pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'usage')"
_ONLY_ONCE = f"""
create or replace function public.cml_only_once() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if not {_PASSES} then
        raise insufficient_privilege using message = format('Cannot change %s a second time', tg_table_name);
    end if;
    return new;
end $$
"""
_ACCOUNT = f"""
create or replace function public.cml_account() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if {_PASSES} then
        return new;
    end if;
    if tg_op = 'INSERT' then
        if new.is_superuser or new.is_staff then
            raise insufficient_privilege using message = 'Cannot make an account with is_superuser or is_staff',
                hint = 'The owner of the database may: DATABASE_OWNER_URL and manage.py createsuperuser';
        end if;
    elsif (new.id, new.username, new.is_superuser, new.is_staff)
          is distinct from (old.id, old.username, old.is_superuser, old.is_staff) then
        raise insufficient_privilege using message = 'Cannot change username, is_superuser or is_staff of an account',
            hint = 'The owner of the database may: DATABASE_OWNER_URL';
    elsif new.is_active and not old.is_active then
        raise insufficient_privilege using message = 'Cannot reopen a closed account',
            hint = 'The owner of the database may: DATABASE_OWNER_URL';
    end if;
    return new;
end $$
"""
# The one way to delete what only grows: with the owner's rights, by kind, and nothing younger than its floor. What
# belongs to an alert that is open is never old. An end can be written by the service, so it does not count alone: each
# row has a beginning that nobody can change, and a try its moment.
_FLOORS = " ".join(f"when '{kind}' then {days[0]}" for kind, days in RETENTION_FLOORS.items())
_FORGET = f"""
create or replace function public.cml_forget(kind text, before timestamptz) returns bigint language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    least int := (case kind {_FLOORS} end);
    number bigint;
begin
    if least is null or before > clock_timestamp() - make_interval(days => least) then
        raise insufficient_privilege using message = format('%s are kept for %s days at least', kind, least);
    end if;
    perform set_config('pgtrigger.ignore', coalesce((
        select array_agg(tgname)::text from pg_trigger
         where tgrelid in ('public.monitoring_deliveryattempt'::regclass, 'public.monitoring_accessevent'::regclass)
    ), '{{}}'), true);
    if kind = 'jobs' then
        delete from public.monitoring_jobrun where finished_at < before and slot_at < before;
    elsif kind = 'deliveries' then
        delete from public.monitoring_deliveryattempt where delivery_id in (
            select d.id from public.monitoring_alertdelivery d join public.monitoring_alert a on a.id = d.alert_id
             where d.settled_at < before and a.closed_at < before and d.owed_at < before and a.opened_at < before
        ) and at < before;
        delete from public.monitoring_alertdelivery d using public.monitoring_alert a
         where a.id = d.alert_id and d.settled_at < before and a.closed_at < before and d.owed_at < before
           and a.opened_at < before
           and not exists (select from public.monitoring_deliveryattempt t where t.delivery_id = d.id);
    elsif kind = 'imports' then
        delete from public.monitoring_importrun where finished_at < before and started_at < before;
    else
        delete from public.monitoring_accessevent where at < before;
    end if;
    get diagnostics number = row_count;
    perform set_config('pgtrigger.ignore', '', true);
    return number;
end $$
"""  # noqa: S608  # of our own numbers
_FORGET_IS_THE_SERVICE_S = f"""
revoke all on function public.cml_forget(text, timestamptz) from public;
grant execute on function public.cml_forget(text, timestamptz) to {APP_ROLE}
"""
