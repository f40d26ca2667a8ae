"""Numbers as people read them."""

from django import template

from monitoring.wording.numbers import (
    one_decimal,
    percent,
    plain,
    significant,
)

register = template.Library()
for words in (
    percent,
    one_decimal,
    significant,
    plain,
):
    register.filter(words.__name__, words)
