#!/usr/bin/env python
"""Command line of the service; starts the embedded servers where no others are named."""

import os
import subprocess
import sys

from config import embedded

# These touch neither broker nor a database of ours, so nothing is started for them.
NEEDS_NO_SERVERS = {"help", "version", "collectstatic", "prepare_database", "--help", "-h", "--version"}
# These change the schema or empty it, or do what the database refuses to the service (config/walls.py): give an account
# more than its roles, open a closed one. They act as the owner and not as the application's role.
RUNS_AS_OWNER = {
    "migrate", "makemigrations", "serve", "flush", "test", "pgtrigger", "remove_stale_contenttypes",
    "createsuperuser", "changepassword", "load_demo", "demo_logins",
}  # fmt: skip
# These make the tables themselves, or only read the settings and perhaps the schema.
NEEDS_NO_TABLES = {"migrate", "serve", "test", "check", "makemigrations"}


def make_schema() -> None:
    """Make the tables of an embedded database that has none, so that any command can be the first."""
    words = [sys.executable, __file__, "migrate", "--verbosity", "0"]
    if subprocess.run(words, env={**os.environ, "DATABASE_ROLE": "owner"}, check=False).returncode:
        raise embedded.EmbeddedServerError("The tables could not be made; the reason stands above.")


def main() -> int:
    """Run one management command; environment trouble is told in words and ends with exit code 3."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command in RUNS_AS_OWNER:
        os.environ.setdefault("DATABASE_ROLE", "owner")
    try:
        if command not in NEEDS_NO_SERVERS and not {"--help", "-h"} & set(sys.argv):
            embedded.provide(
                announce=command == "serve" or sys.stderr.isatty(),
                make_schema=None if command in NEEDS_NO_TABLES else make_schema,
            )
    except embedded.EmbeddedServerError as problem:
        sys.stderr.write(f"{problem}\n")
        return 3

    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db.utils import DatabaseError, InterfaceError
    from psycopg import Error as SessionError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        sys.stderr.write(f"The settings are not complete: {problem}\n")
        return 3
    except (DatabaseError, InterfaceError, SessionError) as problem:  # the last of a session of our own
        sys.stderr.write(f"The database cannot be used: {str(problem).strip() or type(problem).__name__}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
