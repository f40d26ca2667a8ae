"""The people of one's centres: invite, give and end roles, confirm what another has given, close accounts."""

from __future__ import annotations

import smtplib
from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from monitoring import clock
from monitoring.models import Centre, Membership, Role
from monitoring.notify.links import send_password_link
from monitoring.permissions import administered_centres, requires_role, signed_in
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.foundation.sign_in import forget_tries
from monitoring.services.settings.people import close_account, confirm_role, end_role, give_role, invite

PAGE_SIZE = 50
MOST_ROLES = 200  # of one person in one's centres, ended ones included


class RoleForm(forms.Form):
    """A role in one of the centres that are administered."""

    centre = forms.ModelChoiceField(Centre.objects.none(), label=gettext_lazy("Centre"), empty_label=None)
    role = forms.ChoiceField(choices=Role.choices, label=gettext_lazy("Role"))

    def __init__(self, data: object = None, *, centres: QuerySet[Centre]) -> None:
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or nothing
        self.fields["centre"].queryset = centres  # type: ignore[attr-defined]  # of the field that the form declares


class InviteForm(RoleForm):
    """A new person with a first role."""

    username = forms.CharField(label=gettext_lazy("User name"), max_length=150)
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=254)

    field_order = ("username", "email", "centre", "role")


class OnlyThePassword(SetPasswordForm):  # type: ignore[type-arg]  # generic to the type checker only
    """Saves the password of the account only: the service may write no other column of it."""

    def save(self, commit: bool = True) -> User:
        self.user.set_password(self.cleaned_data["new_password1"])
        if commit:
            self.user.save(update_fields=["password"])
        user: User = self.user
        return user


class PasswordChange(OnlyThePassword, PasswordChangeForm):
    """A new password in the place of the old one."""


class ChangePassword(PasswordChangeView):
    """Somebody's own password."""

    template_name = "people/change_password.html"
    form_class = PasswordChange
    success_url = reverse_lazy("home")

    def form_valid(self, form: PasswordChange) -> HttpResponse:
        answer = super().form_valid(form)
        messages.success(self.request, _("The password is changed."))
        return answer


class SetPassword(PasswordResetConfirmView):
    """The page behind the link of an invitation. The link of a closed account opens nothing."""

    template_name = "people/set_password.html"
    form_class = OnlyThePassword
    success_url = reverse_lazy("sign-in")

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active else None

    def form_valid(self, form: OnlyThePassword) -> HttpResponse:
        answer = super().form_valid(form)
        messages.success(self.request, _("The password is set. Sign in with it."))
        return answer


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def index(request: HttpRequest) -> HttpResponse:
    """The people of the centres one administers, what waits to be confirmed, and an invitation."""
    centres = administered_centres(request.user)
    form = InviteForm(request.POST if request.method == "POST" else None, centres=centres)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            person = invite(
                username=values["username"], email=values["email"], centre=values["centre"],
                role=Role(values["role"]), by=signed_in(request), now=clock.now(),
            )  # fmt: skip
        except FieldProblem as problem:
            form.add_error(problem.field if problem.field in form.fields else None, problem.words)
        else:
            _send_link(request, person)
            _say_what_waits(request, Role(values["role"]), person, values["centre"])
            return redirect("person", person_id=person.pk)
    open_rows = Membership.objects.open_on(clock.now().date()).filter(centre__in=centres).select_related("centre")
    people = _people(centres).prefetch_related(
        Prefetch("memberships", open_rows.order_by("centre__code", "role"), to_attr="roles")
    )
    page = Paginator(people, PAGE_SIZE).get_page(request.GET.get("page"))
    waiting = open_rows.filter(waits=True).select_related("user", "centre", "given_by").order_by("pk")[:PAGE_SIZE]
    context = {"page": page, "form": form, "waiting": waiting}
    return render(request, "people/index.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def detail(request: HttpRequest, person_id: int) -> HttpResponse:
    """One person: the roles in one's centres, now and before. A POST gives another role."""
    centres = administered_centres(request.user)
    person = get_object_or_404(_people(centres), pk=person_id)
    form = RoleForm(request.POST if request.method == "POST" else None, centres=centres)
    if request.method == "POST" and form.is_valid():
        centre, role = form.cleaned_data["centre"], Role(form.cleaned_data["role"])
        try:
            give_role(person=person, centre=centre, role=role, by=signed_in(request), now=clock.now())
        except FieldProblem as problem:
            form.add_error(problem.field if problem.field in form.fields else None, problem.words)
        else:
            _say_what_waits(request, role, person, centre)
            return redirect("person", person_id=person.pk)
    today = clock.now().date()
    rows = person.memberships.filter(centre__in=centres).select_related("centre", "given_by", "confirmed_by")
    open_ids = set(rows.open_on(today).values_list("pk", flat=True))
    roles = [(row, row.pk in open_ids) for row in rows.order_by("centre__code", "role", "-valid_from")[:MOST_ROLES]]
    context = {"person": person, "roles": roles, "form": form, "is_me": person.pk == request.user.pk}
    return render(request, "people/detail.html", context, status=400 if form.errors else 200)


@require_POST
@requires_role((Role.ADMINISTRATOR,))
def send_link(request: HttpRequest, person_id: int) -> HttpResponse:
    """Send the link that sets the password again."""
    person = get_object_or_404(_people(administered_centres(request.user)), pk=person_id)
    _send_link(request, person)
    return redirect("person", person_id=person.pk)


@require_POST
@requires_role((Role.ADMINISTRATOR,))
def close(request: HttpRequest, person_id: int) -> HttpResponse:
    """Close an account, or end the roles in one's centres where others are left."""
    centres = administered_centres(request.user)
    person = get_object_or_404(_people(centres), pk=person_id)

    def deed() -> str:
        within = frozenset(centres.values_list("pk", flat=True))
        if close_account(person=person, by=signed_in(request), within=within, now=clock.now()):
            return _("The account is closed, its roles have ended, its tokens open nothing any more.")
        return _("The roles in your centres have ended. The account stays open: it has roles elsewhere.")

    _try(request, deed)
    return redirect("person", person_id=person.pk)


@require_POST
@requires_role((Role.ADMINISTRATOR,))
def confirm(request: HttpRequest, membership_id: int) -> HttpResponse:
    """Confirm a role that another administrator has given."""
    membership = _membership(request, membership_id)

    def deed() -> str:
        confirm_role(membership=membership, by=signed_in(request), now=clock.now())
        return _("Confirmed: the role is in force.")

    _try(request, deed)
    return redirect("person", person_id=membership.user_id)


@require_POST
@requires_role((Role.ADMINISTRATOR,))
def end(request: HttpRequest, membership_id: int) -> HttpResponse:
    """End a role at once."""
    membership = _membership(request, membership_id)

    def deed() -> str:
        end_role(membership=membership, by=signed_in(request), now=clock.now())
        return _("The role has ended.")

    _try(request, deed)
    return redirect("person", person_id=membership.user_id)


def _people(centres: QuerySet[Centre]) -> QuerySet[User]:
    """Who works or has worked in these centres."""
    theirs = Membership.objects.filter(centre__in=centres)
    return User.objects.filter(pk__in=theirs.values("user_id")).order_by("-is_active", "username")


def _membership(request: HttpRequest, membership_id: int) -> Membership:
    rows = Membership.objects.select_related("user", "centre")
    return get_object_or_404(rows.filter(centre__in=administered_centres(request.user)), pk=membership_id)


def _try(request: HttpRequest, deed: Callable[[], str]) -> None:
    """Do something and say how it went."""
    try:
        messages.success(request, deed())
    except FieldProblem as problem:
        messages.error(request, problem.words)


def _say_what_waits(request: HttpRequest, role: Role, person: User, centre: Centre) -> None:
    waits = Membership.objects.filter(user=person, centre=centre, role=role, waits=True).exists()
    if waits:
        messages.info(request, _("The role waits until another administrator of the centre confirms it."))
    else:
        messages.success(request, _("The role is in force."))


def _send_link(request: HttpRequest, person: User) -> None:
    """Send the link after everything is stored. Where the mail fails, the page says so and it can be sent again."""
    if not person.is_active or not person.email:
        messages.error(request, _("No link is sent: the account is closed or has no e-mail address."))
        return
    forget_tries(name=person.get_username())
    try:
        send_password_link(person)
    except (OSError, smtplib.SMTPException):
        words = _("The mail to %(email)s could not be sent. The account stands; send the link again later.")
        messages.error(request, words % {"email": person.email})
    else:
        messages.success(request, _("A link to set the password was sent to %(email)s.") % {"email": person.email})
