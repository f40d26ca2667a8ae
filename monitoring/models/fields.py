"""Numbers as a laboratory prints them."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class NumberField(models.DecimalField):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """PostgreSQL's unconstrained ``numeric``: keeps every digit, and the printed zeros at the end, as given."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options["max_digits"], options["decimal_places"] = 60, 30  # of forms only; the column has no limit
        super().__init__(*args, **options)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"
