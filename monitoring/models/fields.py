"""Numbers as a laboratory prints them."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from monitoring.domain.text.lookalike import look_of


class NumberField(models.DecimalField):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """PostgreSQL's unconstrained ``numeric``: keeps every digit, and the printed zeros at the end, as given."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options["max_digits"], options["decimal_places"] = 60, 30  # of forms only; the column has no limit
        super().__init__(*args, **options)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"


class LookField(models.CharField):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """What a reader sees of another field's identifier, by which two that look alike are told apart; kept by the
    field itself.
    """

    def __init__(self, *args: Any, of: str, **options: Any) -> None:
        self.of = of
        options |= {"max_length": 250, "editable": False, "default": ""}
        super().__init__(*args, **options)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, options = super().deconstruct()
        for fixed in ("max_length", "editable", "default"):
            options.pop(fixed, None)
        return name, path, args, options | {"of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """Made of the identifier when the row is new; the identifier never changes after that."""
        if add and not getattr(model_instance, self.attname):
            setattr(model_instance, self.attname, look_of(getattr(model_instance, self.of)))
        return str(getattr(model_instance, self.attname))
