"""/admin/: entered by whoever administers a centre today, and by the operator."""

from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from monitoring.pages.sign_in import SignInForm, held_back
from monitoring.permissions import may_configure


class ConfigurationSite(AdminSite):
    """The role decides; the account's own marks for staff decide nothing."""

    login_form = SignInForm  # Django's own form for this site asks for the mark of staff, and counts no tries

    @method_decorator([never_cache, login_not_required])
    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """As /sign-in/: too many tries ask to wait."""
        response = super().login(request, extra_context)
        form = (
            response.context_data.get("form")
            if isinstance(response, TemplateResponse) and response.context_data
            else None
        )
        return held_back(response, form)

    def has_permission(self, request: HttpRequest) -> bool:
        return may_configure(request.user)

    def password_change(  # type: ignore[override]  # the stubs promise a template; a redirect is an answer too
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """A password is changed on our page, which writes nothing but the password."""
        return redirect("change-password")

    def password_change_done(  # type: ignore[override]  # as above
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        return redirect("change-password")
