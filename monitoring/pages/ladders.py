"""Who is told of a centre's alerts, in which order, how soon: signed on these pages, with every earlier version."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from monitoring import clock
from monitoring.domain.alerting.kinds import KINDS, AlertKind, LadderName, Severity
from monitoring.models import AlertKindSetting, Centre, DutyHours, EscalationPolicy, Membership, Role
from monitoring.models.choices import ALERT_KIND
from monitoring.models.escalation import LADDER_NAME, MOST_STEPS, SEVERITY
from monitoring.permissions import administered_centres, requires_role, signed_in
from monitoring.selectors.settings_history import changes_of
from monitoring.services.alerts.audience import audience, operators
from monitoring.services.alerts.ladders import Step, duty_of, treated
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.settings.ladders import (
    WrittenStep,
    configurable,
    follow_built_in,
    ladders_for,
    set_duty_hours,
    severities_for,
    sign_kind,
    sign_ladder,
    standing_ladder,
    written,
)
from monitoring.wording.ladders import policy_words, step_words

PAGE_SIZE = 50
DAYS = [
    ("1", gettext_lazy("Monday")), ("2", gettext_lazy("Tuesday")), ("3", gettext_lazy("Wednesday")),
    ("4", gettext_lazy("Thursday")), ("5", gettext_lazy("Friday")), ("6", gettext_lazy("Saturday")),
    ("7", gettext_lazy("Sunday")),
]  # fmt: skip
_TIME = {"type": "time"}


class StepForm(forms.Form):
    """One step: who is told and how long silence is waited for. Roles and people may be chosen together."""

    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Roles"), choices=Role.choices, required=False, widget=forms.CheckboxSelectMultiple
    )
    people = forms.ModelMultipleChoiceField(
        User.objects.none(), label=gettext_lazy("People"), required=False, widget=forms.CheckboxSelectMultiple
    )
    wait_hours = forms.FloatField(label=gettext_lazy("Next step after, hours"), min_value=0.1, required=False)
    working_hours = forms.FloatField(
        label=gettext_lazy("or after, working hours (where sooner)"), min_value=0.1, required=False
    )

    def __init__(self, *args: Any, members: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["people"].queryset = members  # type: ignore[attr-defined]  # of the field that the form declares

    @property
    def is_blank(self) -> bool:
        """Whether nothing was written: the empty step at the end of the form."""
        values = self.cleaned_data
        return not any((values.get("roles"), values.get("people"), values.get("wait_hours")))

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        tells = bool(values.get("roles") or values.get("people"))
        if tells and "wait_hours" in values and not values["wait_hours"]:
            self.add_error("wait_hours", _("write after how many hours the next step comes"))
        if values.get("wait_hours") and not tells:
            self.add_error("roles", _("choose who is told"))
        return values

    def step(self) -> WrittenStep:
        values = self.cleaned_data
        return WrittenStep(
            tuple(Role(role) for role in values["roles"]), tuple(one.pk for one in values["people"]),
            values["wait_hours"], values["working_hours"],
        )  # fmt: skip


class SignForm(forms.Form):
    """What belongs to the ladder as a whole, who signs it, and why."""

    comes_back_days = forms.IntegerField(
        label=gettext_lazy("Acknowledged without action comes back after, days"), min_value=1
    )
    signed_by = forms.CharField(label=gettext_lazy("Signed by (clinical owner)"), max_length=200)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)


class KindForm(forms.Form):
    """How a centre treats one kind of alert."""

    severity = forms.ChoiceField(label=gettext_lazy("Severity"))
    ladder = forms.ChoiceField(label=gettext_lazy("Ladder"))
    owner_role = forms.ChoiceField(
        label=gettext_lazy("Told first"),
        required=False,
        choices=[("", gettext_lazy("as the ladder says")), *Role.choices],
    )
    signed_by = forms.CharField(label=gettext_lazy("Signed by (clinical owner)"), max_length=200)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)

    def __init__(self, *args: Any, kind: AlertKind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        severities, names = severities_for(kind), ladders_for(kind)
        self.fields["severity"].choices = [pair for pair in SEVERITY if pair[0] in severities]  # type: ignore[attr-defined]  # of a choice field
        self.fields["ladder"].choices = [pair for pair in LADDER_NAME if pair[0] in names]  # type: ignore[attr-defined]  # of a choice field


class DutyForm(forms.Form):
    """When a centre works."""

    days = forms.MultipleChoiceField(
        label=gettext_lazy("Working days"), choices=DAYS, widget=forms.CheckboxSelectMultiple
    )
    opens_at = forms.TimeField(label=gettext_lazy("from"), widget=forms.TimeInput(attrs=_TIME, format="%H:%M"))
    closes_at = forms.TimeField(label=gettext_lazy("to"), widget=forms.TimeInput(attrs=_TIME, format="%H:%M"))
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)


@require_GET
@requires_role((Role.ADMINISTRATOR,))
def index(request: HttpRequest) -> HttpResponse:
    """The centres whose ladders one signs. For administrators."""
    page = Paginator(administered_centres(request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "ladders/index.html", {"page": page})


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def centre(request: HttpRequest, centre_id: int) -> HttpResponse:
    """The ladders, kinds and hours of a centre. A POST says when it works. For its administrators."""
    where = _centre(request, centre_id)
    hours = DutyHours.objects.filter(centre=where).first()
    initial = (
        {"days": list(hours.days), "opens_at": hours.opens_at, "closes_at": hours.closes_at}
        if hours
        else {"days": ["1", "2", "3", "4", "5"]}
    )
    form = DutyForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        if _done(form, lambda: set_duty_hours(
            where, days="".join(values["days"]), opens_at=values["opens_at"], closes_at=values["closes_at"],
            by=signed_in(request), reason=values["reason"],
        )):  # fmt: skip
            messages.success(request, _("Signed. It holds from the next step of every alert on."))
            return redirect("centre-ladders", centre_id=centre_id)
    names, settings = _names(where), {row.kind: row for row in AlertKindSetting.objects.filter(centre=where)}
    ladders = []
    for name, words in LADDER_NAME:
        ladder, policy = standing_ladder(where, LadderName(name))
        ladders.append((name, words, policy, [step_words(step, names) for step in ladder.steps]))
    kinds = [
        (kind, words, treated(KINDS[AlertKind(kind)], settings.get(kind)), settings.get(kind))
        for kind, words in ALERT_KIND
        if configurable(AlertKind(kind))
    ]
    context = {
        "centre": where, "ladders": ladders, "form": form, "kinds": kinds,
        "changes": changes_of(DutyHours, centre=where),
    }  # fmt: skip
    return render(request, "ladders/centre.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def ladder(request: HttpRequest, centre_id: int, name: str) -> HttpResponse:
    """One ladder: shown whom it would tell today, then signed with a reason. For administrators of the centre."""
    where, ladder_name = _centre(request, centre_id), _one_of(LadderName, name)
    standing, policy = standing_ladder(where, ladder_name)
    members = User.objects.filter(
        pk__in=Membership.objects.valid_on(clock.now().date()).filter(centre=where).values("user")
    ).order_by("username")
    formset = forms.formset_factory(StepForm, extra=1, max_num=MOST_STEPS, validate_max=True)
    posted = request.POST if request.method == "POST" else None
    initial = [
        {
            "roles": list(s.roles), "people": list(s.people), "wait_hours": _plain(s.wait_hours),
            "working_hours": _plain(s.working_hours),
        }
        for s in written(standing)
    ]  # fmt: skip
    steps = formset(posted, initial=initial, form_kwargs={"members": members}, prefix="steps")
    signing = {"comes_back_days": standing.comes_back.days, "signed_by": policy.signed_by if policy else ""}
    is_signed = posted is not None and ("sign" in posted or "built_in" in posted)
    if posted is not None and not is_signed:  # only shown: what was written so far stays, and nothing is missing yet
        signing |= {name: posted.get(name, "") for name in SignForm.base_fields}
    sign = SignForm(posted if is_signed else None, initial=signing)
    preview: list[dict[str, Any]] = []
    if posted is not None and "built_in" in posted:
        if not posted.get("reason", "").strip():
            sign.errors.clear()
            sign.add_error("reason", _("say why the ladder changes"))
        else:
            follow_built_in(where, ladder_name, by=signed_in(request), reason=posted["reason"].strip()[:500])
            messages.success(request, _("The built-in ladder holds again, from the next step of every alert on."))
            return redirect("ladder", centre_id=centre_id, name=name)
    elif posted is not None and steps.is_valid():
        wanted = [form.step() for form in steps if not form.is_blank]
        preview = _told(where, [_step(one) for one in wanted])
        if "sign" in posted and sign.is_valid() and _signed(request, where, ladder_name, wanted, sign):
            messages.success(request, _("Signed. It holds from the next step of every alert on."))
            return redirect("ladder", centre_id=centre_id, name=name)
    names = _names(where)
    changes = changes_of(EscalationPolicy, centre=where, ladder=name)
    context = {
        "centre": where, "name": dict(LADDER_NAME)[ladder_name], "policy": policy, "steps": steps, "form": sign,
        "preview": preview, "changes": [(change, policy_words(change.row, names)) for change in changes],
        "built_in_tells": policy is None and any(step.operators for step in standing.steps),
    }  # fmt: skip
    wrong = is_signed or (posted is not None and not steps.is_valid())
    return render(request, "ladders/ladder.html", context, status=400 if wrong else 200)


def _signed(
    request: HttpRequest, where: Centre, name: LadderName, wanted: Sequence[WrittenStep], sign: SignForm
) -> bool:
    values = sign.cleaned_data
    return _done(sign, lambda: sign_ladder(
        where, name, wanted, comes_back_days=values["comes_back_days"], signed_by=values["signed_by"],
        by=signed_in(request), reason=values["reason"], now=clock.now(),
    ))  # fmt: skip


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def kind(request: HttpRequest, centre_id: int, name: str) -> HttpResponse:
    """How a centre treats a kind of alert. For administrators of the centre."""
    where, alert_kind = _centre(request, centre_id), _one_of(AlertKind, name)
    if not configurable(alert_kind):
        raise Http404
    standing = AlertKindSetting.objects.filter(centre=where, kind=alert_kind).first()
    row = treated(KINDS[alert_kind], standing)
    initial = {"severity": row.severity, "ladder": row.ladder} | (
        {"owner_role": standing.owner_role, "signed_by": standing.signed_by} if standing else {}
    )
    form = KindForm(request.POST if request.method == "POST" else None, initial=initial, kind=alert_kind)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        if _done(form, lambda: sign_kind(
            where, alert_kind, severity=Severity(values["severity"]), ladder=LadderName(values["ladder"]),
            owner_role=Role(values["owner_role"]) if values["owner_role"] else None,
            signed_by=values["signed_by"], by=signed_in(request), reason=values["reason"],
        )):  # fmt: skip
            messages.success(request, _("Signed. It holds from the next step of every alert on."))
            return redirect("centre-ladders", centre_id=centre_id)
    context = {
        "centre": where, "words": dict(ALERT_KIND)[alert_kind], "form": form, "row": KINDS[alert_kind],
        "changes": changes_of(AlertKindSetting, centre=where, kind=name),
    }  # fmt: skip
    return render(request, "ladders/kind.html", context, status=400 if form.errors else 200)


def _told(where: Centre, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Whom each step would tell, and when, if an alert were opened now and nobody acted."""
    now = clock.now()
    hours = DutyHours.objects.filter(centre=where).select_related("centre").first()
    duty, at, found = duty_of(hours) if hours else None, now, []
    for step in steps:
        people = audience([where.pk], step, at.date())[where.pk]
        found.append({"at": at, "people": [*people, *(operators() if step.operators else [])]})
        at = step.over_at(at, duty)
    return found


def _plain(hours: float | None) -> str:
    return "" if hours is None else f"{hours:g}"


def _step(one: WrittenStep) -> Step:
    return Step(
        one.roles, dt.timedelta(hours=one.wait_hours), people=one.people, working_hours=one.working_hours
    )  # fmt: skip


def _names(where: Centre) -> Mapping[int, str]:
    """The names of everybody who has or had a role in a centre."""
    rows = User.objects.filter(pk__in=Membership.objects.filter(centre=where).values("user"))
    return dict(rows.values_list("pk", "username"))


def _centre(request: HttpRequest, centre_id: int) -> Centre:
    return get_object_or_404(administered_centres(request.user), pk=centre_id)


def _one_of(kinds: Any, name: str) -> Any:
    try:
        return kinds(name)
    except ValueError:
        raise Http404 from None


def _done(form: forms.Form, deed: Callable[[], object]) -> bool:
    """Do it; what stands against it is said at its field."""
    try:
        deed()
    except FieldProblem as problem:
        form.add_error(problem.field if problem.field in form.fields else None, problem.words)
        return False
    except ValidationError as problem:
        form.add_error(None, ValidationError(problem.messages))
        return False
    return True
