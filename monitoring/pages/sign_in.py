"""Signing in, here and under /admin/: a form that counts the attempt before it checks the password."""

from __future__ import annotations

import datetime as dt
import math
from http import HTTPStatus
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils.translation import ngettext

from monitoring import clock
from monitoring.services.foundation.sign_in import count_try, forgive


class SignInForm(AuthenticationForm):
    """Name and password; after too many tries it asks to wait and computes no hash."""

    wait: dt.timedelta | None = None

    def clean(self) -> dict[str, Any]:
        name, address = self.cleaned_data.get("username"), _address(self)
        if name is not None and self.cleaned_data.get("password"):
            self.wait = count_try(name=name, address=address, now=clock.now())
            if self.wait is not None:
                raise ValidationError(wait_words(self.wait), code="too_many_tries")
        cleaned = super().clean()
        if name is not None and self.get_user() is not None:
            forgive(name=name, address=address)
        return cleaned


class SignIn(LoginView):
    """The page on which people sign in."""

    template_name = "sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """The page again with its errors; status 429 after too many attempts."""
        return held_back(super().form_invalid(form), form)


def held_back(response: HttpResponse, form: object) -> HttpResponse:
    """The answer to a form; after too many attempts with status 429 and ``Retry-After``, for programs."""
    wait = form.wait if isinstance(form, SignInForm) else None
    if wait is not None:
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return response


def wait_words(wait: dt.timedelta) -> str:
    """What happened, for how long, and the way out."""
    minutes = math.ceil(wait.total_seconds() / 60)
    return ngettext(
        "Too many tries to sign in under this name or from this address; the password was not looked at."
        " Wait %(minutes)d minute and try again, or ask an administrator of your centre for a new link.",
        "Too many tries to sign in under this name or from this address; the password was not looked at."
        " Wait %(minutes)d minutes and try again, or ask an administrator of your centre for a new link.",
        minutes,
    ) % {"minutes": minutes}


def _address(form: AuthenticationForm) -> str:
    return str(form.request.META.get("REMOTE_ADDR", "")) if form.request is not None else ""
