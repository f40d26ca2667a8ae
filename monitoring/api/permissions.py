"""Who may call an address: it names the roles that read and those that write; without a name nobody may."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from monitoring.permissions import memberships_of

READING = ("GET", "HEAD", "OPTIONS")


class RolesAllow(BasePermission):
    """The roles that an address names, in some centre today; which centre is asked where the object is known."""

    def has_permission(self, request: Request, view: Any) -> bool:
        name = "read_roles" if request.method in READING else "write_roles"
        wanted = getattr(view, name, ())
        view.memberships = memberships_of(request.user)  # asked once in a request
        return not {role.value for role in wanted}.isdisjoint(role for _centre, role in view.memberships)
