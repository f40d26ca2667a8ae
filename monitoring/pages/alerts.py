"""The alert inbox: open alerts, why they were opened, who was told, and what was done about them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from monitoring import clock
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.series import Drug
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import Alert, AlertDelivery, Centre, DeliveryAttempt, Membership
from monitoring.models.choices import DRUG_WORD
from monitoring.permissions import ANY_ROLE, has_role_in, memberships_of, requires_role
from monitoring.selectors.deeds import deeds_of
from monitoring.selectors.episodes import with_doses, with_mutations, with_states
from monitoring.selectors.home import open_alerts_of, worklist_rows
from monitoring.selectors.open_alerts import counts_of
from monitoring.selectors.why import alert_reason
from monitoring.services.alerts import deliveries
from monitoring.services.alerts.audience import MAY_ACT
from monitoring.services.alerts.digest import printed
from monitoring.services.alerts.escalation import (
    ActionTaken,
    AlertConflictError,
    NotReadBack,
    acknowledge,
    act,
    must_read_back,
)  # fmt: skip
from monitoring.services.entry.reach import reach_of
from monitoring.services.entry.restarts import record_restart
from monitoring.services.foundation.access import record_access
from monitoring.services.foundation.stale_version import StaleVersionError

PAGE_SIZE = 25


class ReadForm(forms.Form):
    """Which state of the alert its reader has seen: an alert that became surer or higher since is shown again first."""

    version = forms.CharField(widget=forms.HiddenInput, max_length=16)


class ReadBackForm(ReadForm):
    """The value of a confirmed loss, as whoever acknowledges it has read it."""

    is_percent = forms.CharField(
        label=gettext_lazy("The value you have read, % IS"), max_length=40, required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )  # fmt: skip

    def clean_is_percent(self) -> Decimal | None:
        """The value as people write numbers."""
        cells = Cells({"is_percent": self.cleaned_data["is_percent"]})
        try:
            return cells.percentage("is_percent")[0]
        except CellProblem as problem:
            raise forms.ValidationError(str(problem)) from None


class AcknowledgeForm(ReadBackForm):
    """The note with which a person acknowledges an alert."""

    note = forms.CharField(label=gettext_lazy("Note"), max_length=500, required=False)


class ActForm(ReadBackForm):
    """What was done, with the day and the drug where they belong to it."""

    action = forms.ChoiceField(
        label=gettext_lazy("What was done"),
        choices=[
            (ActionTaken.RESTART, gettext_lazy("drug restarted")),
            (ActionTaken.REPEAT, gettext_lazy("repeat sample ordered")),
            (ActionTaken.WATCH, gettext_lazy("decided to watch")),
            (ActionTaken.ENTERED_IN_ERROR, gettext_lazy("result entered in error, to be corrected")),
            (ActionTaken.OTHER, gettext_lazy("other, closes the alert")),
        ],
    )
    drug = forms.ChoiceField(
        label=gettext_lazy("Drug, if restarted"),
        choices=[("", "–"), *((code, word) for code, word in DRUG_WORD if Drug(code).is_tki and code != Drug.OTHER)],
        required=False,
    )
    day = forms.DateField(
        label=gettext_lazy("Restarted on, or comes back on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    note = forms.CharField(label=gettext_lazy("Note"), max_length=500, required=False)


@require_GET
@requires_role(ANY_ROLE)
def inbox(request: HttpRequest) -> HttpResponse:
    """Open alerts of the person's centres, newest first. For everybody with a role."""
    page = Paginator(open_alerts_of(request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    with_states(page, clock.now().date())
    return render(request, "alerts/inbox.html", {"page": page})


@require_GET
@requires_role(ANY_ROLE)
def count(request: HttpRequest) -> JsonResponse:
    """How many alerts are open in one's centres, for the number beside the menu. For everybody with a role."""
    counts = counts_of(request.user)
    words = _("%(open)s open alerts, %(urgent)s of them urgent") % {"open": counts.open, "urgent": counts.urgent}
    return JsonResponse({"open": counts.open, "urgent": counts.urgent, "words": words})


@require_GET
@requires_role(ANY_ROLE)
def printed_list(request: HttpRequest) -> HttpResponse:
    """The open alerts of one's centres on paper; who took it is written down. For everybody with a role."""
    assert isinstance(request.user, User)
    centres = Centre.objects.filter(pk__in=Membership.objects.centres_of(request.user))
    record_access(request.user, action="print open alerts")
    context = printed(list(centres), clock.now()) | {"stylesheet": static("css/paper.css")}
    return render(request, "alerts/list.html", context)


@require_GET
@requires_role(ANY_ROLE)
def detail(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One alert with its facts, its rule and who was told. Opening it acknowledges nothing."""
    return _detail(request, _alert(request, public_id))


@require_POST
@requires_role(MAY_ACT)
def acknowledge_alert(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Acknowledge. For clinicians and administrators of the alert's centre."""
    alert, by = _alert_to_act_on(request, public_id)
    form = AcknowledgeForm(request.POST)
    if not form.is_valid():
        return _detail(request, alert, acknowledge_form=form, status=400)
    values = form.cleaned_data
    try:
        acknowledged = acknowledge(
            alert, by=by, note=values["note"], now=clock.now(), version=values["version"],
            read_back=values["is_percent"],
        )  # fmt: skip
    except NotReadBack as problem:
        form.add_error("is_percent", str(problem))
        return _detail(request, alert, acknowledge_form=form, status=400)
    except (AlertConflictError, StaleVersionError) as problem:
        return _read_again(request, public_id, problem)
    back = {"day": f"{acknowledged.next_action_at:%Y-%m-%d %H:%M}"}
    messages.success(request, _("Acknowledged. Record what was done, or it comes back on %(day)s UTC.") % back)
    return redirect("alert", public_id=public_id)


@require_POST
@requires_role(MAY_ACT)
def act_on_alert(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Record what was done. For clinicians and administrators of the alert's centre."""
    alert, by = _alert_to_act_on(request, public_id)
    form = _act_form(request.POST)
    if not form.is_valid():
        return _detail(request, alert, act_form=form, status=400)
    try:
        _act(alert, by, form.cleaned_data, clock.now())
    except NotReadBack as problem:
        form.add_error("is_percent", str(problem))
        return _detail(request, alert, act_form=form, status=400)
    except AlertConflictError as problem:
        form.add_error(None, str(problem))
        return _detail(request, alert, act_form=form, status=409)
    except StaleVersionError as problem:
        return _read_again(request, public_id, problem)
    messages.success(request, _("Recorded."))
    return redirect("alert", public_id=public_id)


def _read_again(request: HttpRequest, public_id: UUID, problem: Exception) -> HttpResponse:
    """The alert as it stands now, to be read before anything is done about it."""
    return _detail(request, _alert(request, public_id), problem=str(problem), status=409)


def _act_form(data: QueryDict | None = None, *, version: str = "") -> ActForm:
    return ActForm(data, auto_id="act_%s", initial={"version": version})


def _act(alert: Alert, by: User, values: dict[str, Any], now: dt.datetime) -> None:
    action, note, day = ActionTaken(str(values["action"])), str(values["note"] or ""), values["day"]
    on = day if isinstance(day, dt.date) else None
    if action is not ActionTaken.RESTART:
        act(
            alert, by=by, action=action, note=note, until=on, now=now, version=str(values["version"]),
            read_back=values["is_percent"],
        )  # fmt: skip
        return
    if not values["drug"] or on is None:
        raise AlertConflictError(_("a restart needs the drug and its first day"))
    record_restart(
        alert,
        by=by,
        reach=reach_of(memberships_of(by), MAY_ACT),
        drug=str(values["drug"]),
        started_on=on,
        note=note,
        now=now,
        version=str(values["version"]),
    )


@require_POST
@requires_role(MAY_ACT)
def send_again(request: HttpRequest, public_id: UUID, delivery: int) -> HttpResponse:
    """Send a message once more. For clinicians and administrators of the alert's centre."""
    alert, by = _alert_to_act_on(request, public_id)
    message = get_object_or_404(AlertDelivery, pk=delivery, alert=alert)
    try:
        deliveries.send_again(message, by=by, now=clock.now())
    except deliveries.OnItsWay:
        return _detail(request, alert, problem=_("a message to this person is on its way already"), status=409)
    messages.success(request, _("The message is sent once more."))
    return redirect("alert", public_id=public_id)


def _alert(request: HttpRequest, public_id: UUID) -> Alert:
    visible = Alert.objects.visible_to(request.user).select_related("patient", "centre", "acknowledged_by", "evidence")
    return get_object_or_404(visible, public_id=public_id)


def _alert_to_act_on(request: HttpRequest, public_id: UUID) -> tuple[Alert, User]:
    alert = _alert(request, public_id)
    assert isinstance(request.user, User)
    if not has_role_in(request.user, alert.centre_id, MAY_ACT):
        raise PermissionDenied
    return alert, request.user


def _detail(
    request: HttpRequest,
    alert: Alert,
    *,
    acknowledge_form: AcknowledgeForm | None = None,
    act_form: ActForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    read = alert.version_tag
    return render(
        request,
        "alerts/detail.html",
        {
            "alert": with_doses(with_mutations(with_states([alert], clock.now().date())))[0],
            "reason": alert_reason(alert),
            "deeds": deeds_of([alert])[alert.pk],
            "deliveries": alert.deliveries.select_related("recipient", "endpoint", "asked_by")
            .prefetch_related(Prefetch("tries", DeliveryAttempt.objects.order_by("-pk")))
            .order_by("-owed_at", "-pk")[:PAGE_SIZE],
            "worklist": Paginator(worklist_rows(alert), PAGE_SIZE).get_page(request.GET.get("page"))
            if alert.kind == AlertKind.HAND_OVER
            else None,
            "acknowledge_form": acknowledge_form
            or AcknowledgeForm(initial={"version": read}, auto_id="acknowledge_%s"),
            "act_form": act_form or _act_form(version=read),
            "problem": problem,
            "read_back": must_read_back(alert) and alert.acknowledged_at is None,
            "may_act": alert.closed_at is None and has_role_in(request.user, alert.centre_id, MAY_ACT),
        },
        status=status,
    )
