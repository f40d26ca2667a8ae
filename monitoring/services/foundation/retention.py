"""What is kept for a time and then forgotten, by kind. Facts, classes and alerts themselves are never among it.

The service's login may delete none of these rows: it calls a function of the owner's, which refuses anything younger
than its floor (``config/walls.py``).
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import connection

KINDS = ("jobs", "deliveries", "imports", "access")


def forget_old(*, now: dt.datetime) -> dict[str, int]:
    """Forget what is older than its time; returns how many rows of each kind."""
    forgotten = {}
    for kind in KINDS:
        before = now - dt.timedelta(days=settings.RETENTION_DAYS[kind])
        with connection.cursor() as cursor:
            cursor.execute("select cml_forget(%s, %s)", [kind, before])
            forgotten[kind] = int(cursor.fetchone()[0])
    return forgotten
