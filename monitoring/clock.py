"""The one clock: the database's time, plus an offset that only test settings honour."""

import datetime as dt

from django.conf import settings
from django.db import connection


def now() -> dt.datetime:
    """The present instant in UTC, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        instant: dt.datetime = cursor.fetchone()[0]
    offset: dt.timedelta = getattr(settings, "CLOCK_OFFSET", dt.timedelta())
    return instant.astimezone(dt.UTC) + (offset if settings.TESTING else dt.timedelta())
