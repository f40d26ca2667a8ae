"""A database session of our own beside Django's, for what must outlive or not share its transactions."""

from __future__ import annotations

import psycopg
from django.db import connection

_DJANGOS_OWN = ("cursor_factory", "context", "prepare_threshold", "assume_role")


def own_session(*, autocommit: bool = False) -> psycopg.Connection:
    """A plain session on the database that Django uses, as the login itself and not as an assumed role."""
    parameters = {k: v for k, v in connection.get_connection_params().items() if k not in _DJANGOS_OWN}
    return psycopg.connect(**parameters, autocommit=autocommit)
