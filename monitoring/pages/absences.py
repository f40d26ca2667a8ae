"""Absences: who is away, until when, and who is told of alerts meanwhile."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from monitoring import clock
from monitoring.models import Absence, Membership
from monitoring.permissions import ANY_ROLE, administered_centres, may_configure, requires_role, signed_in
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.settings.ladders import end_absence, note_absence

PAGE_SIZE = 25
_DAY = {"type": "date"}


class AbsenceForm(forms.Form):
    """Days away, and who stands in."""

    person = forms.ModelChoiceField(User.objects.none(), label=gettext_lazy("Who is away"), empty_label=None)
    first_on = forms.DateField(label=gettext_lazy("First day"), widget=forms.DateInput(attrs=_DAY, format="%Y-%m-%d"))
    last_on = forms.DateField(label=gettext_lazy("Last day"), widget=forms.DateInput(attrs=_DAY, format="%Y-%m-%d"))
    deputy = forms.ModelChoiceField(
        User.objects.none(), label=gettext_lazy("Who is told instead"), required=False,
        empty_label=gettext_lazy("nobody: the others of the step"),
    )  # fmt: skip

    def __init__(self, *args: Any, people: QuerySet[User], colleagues: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["person"].queryset = people  # type: ignore[attr-defined]  # of the field that the form declares
        self.fields["deputy"].queryset = colleagues  # type: ignore[attr-defined]  # of the field that the form declares


@require_http_methods(["GET", "POST"])
@requires_role(ANY_ROLE)
def index(request: HttpRequest) -> HttpResponse:
    """One's own absences, and for administrators those of their centres' people. For everybody with a role."""
    me = signed_in(request)
    mine, colleagues = _people_of(request, me)
    posted = request.POST if request.method == "POST" else None
    form = AbsenceForm(posted, people=mine, colleagues=colleagues, initial={"person": me.pk})
    if posted is not None and form.is_valid():
        try:
            note_absence(**form.cleaned_data, by=me, today=clock.now().date())
        except FieldProblem as problem:
            form.add_error(problem.field, problem.words)
        else:
            messages.success(request, _("Noted. Alerts of these days go to whoever stands in."))
            return redirect("absences")
    page = Paginator(_seen(request, mine), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "absences/index.html", {"page": page, "form": form}, status=400 if form.errors else 200)


@require_POST
@requires_role(ANY_ROLE)
def end(request: HttpRequest, absence_id: int) -> HttpResponse:
    """End an absence: one's own, or that of somebody in a centre one administers."""
    mine, _colleagues = _people_of(request, signed_in(request))
    # What somebody has said of themselves is theirs to end: it holds in other centres too.
    of_others = _seen(request, mine).exclude(~Q(person=request.user.pk), noted_by=F("person"))
    absence = of_others.filter(pk=absence_id).first()
    if absence is None:
        if may_configure(request.user):
            raise Http404
        raise PermissionDenied  # whoever administers nothing ends their own alone
    end_absence(absence, by=signed_in(request))
    messages.success(request, _("Ended. Alerts go to %(name)s again.") % {"name": absence.person.get_username()})
    return redirect("absences")


def _people_of(request: HttpRequest, me: User) -> tuple[QuerySet[User], QuerySet[User]]:
    """Whose absence one may note, and who may stand in: people of the same centres."""
    today = clock.now().date()
    here = Membership.objects.valid_on(today)
    administered = here.filter(centre__in=administered_centres(request.user)).values("user")
    beside = here.filter(centre__in=Membership.objects.centres_of(me)).values("user")
    people = User.objects.filter(is_active=True).order_by("username")
    return (
        people.filter(Q(pk=me.pk) | Q(pk__in=administered)),
        people.filter(Q(pk__in=administered) | Q(pk__in=beside)),
    )


def _seen(request: HttpRequest, mine: QuerySet[User]) -> QuerySet[Absence]:
    standing = Absence.objects.filter(is_over=False, last_on__gte=clock.now().date(), person__in=mine)
    return standing.select_related("person", "deputy").order_by("first_on", "pk")
