"""Protocols: which rule sets centres follow, and what another choice would change."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from monitoring import clock
from monitoring.domain.rules.rule_sets import (
    RuleSet,
    load_rule_sets,
    settled_disagreements,
    superseded_by,
    unconfirmed_parameters,
)
from monitoring.models import Centre, Protocol, Role
from monitoring.models.protocols import KIND_OF
from monitoring.permissions import administered_centres, check_administers_all, requires_role
from monitoring.selectors.what_if import Preview
from monitoring.services.settings.backtests import ask_following, ask_protocol
from monitoring.services.settings.protocols import change_protocol, follow, preview_change, preview_following
from monitoring.wording.previews import preview_words
from monitoring.wording.reasons import population_word


class ProtocolForm(forms.Form):
    """The rule sets of a protocol, and why they change."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, required=False)

    def __init__(self, data: object = None, *, protocol: Protocol) -> None:
        super().__init__(data, initial={name: getattr(protocol, name) for name in KIND_OF})  # type: ignore[arg-type]  # a QueryDict or nothing
        for name, kind in KIND_OF.items():
            known = [(rules.id, _choice(rules)) for rules in load_rule_sets().values() if rules.kind == kind]
            self.fields[name] = forms.ChoiceField(label=_label(name), choices=known)
        self.order_fields([*KIND_OF, "reason"])

    def named(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in KIND_OF}


def _choice(rules: RuleSet) -> str:
    """A rule set as a choice: for which patients it is written, and what to know before it is chosen."""
    newer = superseded_by(rules)
    parts = [f"{rules.title} ({rules.id})", population_word(rules.population.value)]
    parts += [_("not in our sources, or only in part")] if rules.not_in_our_sources else []
    parts += [_("a newer set of the same body is available: %(title)s") % {"title": newer.title}] if newer else []
    return "; ".join(parts)


def _label(name: str) -> str:
    """The name of a field of a protocol."""
    field = Protocol._meta.get_field(name)
    return str(getattr(field, "verbose_name", name))


@require_GET
@requires_role((Role.ADMINISTRATOR,))
def index(request: HttpRequest) -> HttpResponse:
    """Protocols, and the shipped rule sets with their unconfirmed parameters. For administrators."""
    administered = administered_centres(request.user)
    protocols = Protocol.objects.prefetch_related(Prefetch("centres", administered, to_attr="mine"))[:100]
    rule_sets = [
        (rules, unconfirmed_parameters(rules), settled_disagreements(rules), superseded_by(rules))
        for rules in load_rule_sets().values()
    ]
    return render(request, "protocols/index.html", {"protocols": protocols, "rule_sets": rule_sets})


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def detail(request: HttpRequest, code: str) -> HttpResponse:
    """Other rule sets for a protocol: previewed, then changed with a reason. For administrators of all its centres."""
    protocol = get_object_or_404(Protocol, code=code)
    _check_administrator_of_all(request, protocol)
    form = ProtocolForm(request.POST if request.method == "POST" else None, protocol=protocol)
    preview: Preview | None = None
    if request.method == "POST" and form.is_valid():
        if "change" in request.POST and not form.cleaned_data["reason"].strip():
            form.add_error("reason", _("say why the rules change"))
        elif "change" in request.POST:
            assert isinstance(request.user, User)
            change_protocol(protocol, form.named(), by=request.user, reason=form.cleaned_data["reason"].strip())
            messages.success(request, _("Changed. Its patients are planned anew."))
            return redirect("protocol", code=code)
        if "backtest" in request.POST:
            assert isinstance(request.user, User)
            return redirect("backtest", public_id=ask_protocol(protocol, form.named(), by=request.user).public_id)
        preview = preview_change(protocol, form.named(), as_of=clock.now().date())
    context = {"protocol": protocol, "form": form} | (preview_words(preview) if preview else {})
    return render(request, "protocols/detail.html", context, status=400 if form.errors else 200)


class FollowForm(forms.Form):
    """A centre that begins to follow a protocol, or goes back to the defaults, and why."""

    centre = forms.ModelChoiceField(Centre.objects.none(), label=gettext_lazy("Centre"), empty_label=None)
    follows = forms.ChoiceField(label=gettext_lazy("follows"))
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, required=False)

    def __init__(self, data: object = None, *, protocol: Protocol, centres: QuerySet[Centre]) -> None:
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or nothing
        self.fields["centre"].queryset = centres  # type: ignore[attr-defined]  # of the field that the form declares
        self.fields["follows"].choices = [("this", protocol.title), ("defaults", _("the defaults"))]  # type: ignore[attr-defined]  # of the field that the form declares


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def centres(request: HttpRequest, code: str) -> HttpResponse:
    """Which centre follows a protocol: previewed, then changed with a reason. For administrators of the centre."""
    protocol = get_object_or_404(Protocol, code=code)
    administered = administered_centres(request.user).select_related("protocol")
    form = FollowForm(request.POST if request.method == "POST" else None, protocol=protocol, centres=administered)
    preview: Preview | None = None
    if request.method == "POST" and form.is_valid():
        centre, reason = form.cleaned_data["centre"], form.cleaned_data["reason"].strip()
        followed = protocol if form.cleaned_data["follows"] == "this" else None
        if "change" in request.POST and not reason:
            form.add_error("reason", _("say why the rules change"))
        elif "change" in request.POST:
            assert isinstance(request.user, User)
            follow(centre, followed, by=request.user, reason=reason)
            messages.success(request, _("Changed. Its patients are planned anew."))
            return redirect("protocol-centres", code=code)
        if "backtest" in request.POST:
            assert isinstance(request.user, User)
            return redirect("backtest", public_id=ask_following(centre, followed, by=request.user).public_id)
        preview = preview_following(centre, followed, as_of=clock.now().date())
    following = administered.filter(protocol=protocol)
    context = {"protocol": protocol, "form": form, "following": following} | (preview_words(preview) if preview else {})
    return render(request, "protocols/centres.html", context, status=400 if form.errors else 200)


def _check_administrator_of_all(request: HttpRequest, protocol: Protocol) -> None:
    """A protocol of several centres is changed by somebody who administers each of them."""
    served = Centre.objects.filter(protocol=protocol).values_list("pk", flat=True)
    check_administers_all(request.user, served)
