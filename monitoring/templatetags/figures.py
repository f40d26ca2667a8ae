"""Numbers as people read them."""

from django import template

from monitoring.wording import numbers

register = template.Library()
for name in (
    "one_decimal",
    "percent",
    "plain",
    "significant",
):
    register.filter(name, getattr(numbers, name))
