"""Programs sign in with a token; only its hash is stored, so the database cannot sign in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from monitoring.models import ApiToken
from monitoring.services.settings.tokens import token_hash


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Token …``; a revoked token or a closed account opens nothing."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _space, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "token":
            return None
        stored = (
            ApiToken.objects.filter(token_hash=token_hash(token.strip()), revoked_at__isnull=True, user__is_active=True)
            .select_related("user")
            .first()
        )
        if stored is None:
            raise AuthenticationFailed(_("The token is not valid."))
        assert isinstance(stored.user, User)
        return stored.user, stored

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's registry
    """How the OpenAPI file names the token."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Authorization: Token <token>`; tokens are made with `manage.py create_token USER`.",
        }
