"""Every component of the pages in every state, to look at while building and to photograph in tests."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from monitoring.pages.days import day_field
from monitoring.permissions import ANY_ROLE, requires_role


class SampleForm(forms.Form):
    """A field of each kind."""

    name = forms.CharField(label=gettext_lazy("A text"), help_text=gettext_lazy("What the reader should know first."))
    day = day_field(gettext_lazy("A day"))
    number = forms.IntegerField(label=gettext_lazy("A number"))
    kind = forms.ChoiceField(
        label=gettext_lazy("A choice"), choices=[("a", gettext_lazy("first")), ("b", gettext_lazy("second"))]
    )


@require_GET
@requires_role(ANY_ROLE)
def design(request: HttpRequest) -> HttpResponse:
    """The components; no data of anybody. For everybody with a role."""
    wrong = SampleForm({"name": "", "day": "2025-13-40", "number": "12a", "kind": "a"})
    wrong.add_error("day", gettext_lazy("“2025-13-40” is no day; write 2025-03-10."))
    return render(request, "design.html", {"form": SampleForm(auto_id="plain_%s"), "wrong": wrong})
