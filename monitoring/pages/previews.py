"""Previews of a form while it is filled in: posted to the form's own address by the page's script."""

from __future__ import annotations

from django.http import HttpRequest


def is_preview(request: HttpRequest) -> bool:
    """Whether only the consequence is asked for, as a fragment; nothing is stored then."""
    return request.headers.get("HX-Request") == "true"
