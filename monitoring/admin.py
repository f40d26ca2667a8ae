"""Configuration under /admin/, each centre's for those who administer it. None of it is deleted here.

What decides classes or plans is shown here only: it is changed on the pages that show first what would change.
"""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import models
from django.http import HttpRequest
from django.shortcuts import redirect

from monitoring.models import Assay, Centre, ConversionFactor, Laboratory, Membership, Protocol
from monitoring.permissions import administered_centres, may_configure

# People are managed on the page of people, permissions follow from roles.
for unused in (User, Group):
    admin.site.unregister(unused)


class CentreFilter(admin.RelatedFieldListFilter):
    """Offers only what the person may see under /admin/."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[Any]:
        seen = seen_of(field.related_model, request)
        ordering = self.field_admin_ordering(field, request, model_admin)
        return list(field.get_choices(include_blank=False, ordering=ordering, limit_choices_to={"pk__in": seen}))


def seen_of(model: type[models.Model], request: HttpRequest) -> models.QuerySet[Any]:
    """The rows of a model that a person sees under /admin/; none of a model that is not shown here."""
    theirs = admin.site._registry.get(model)
    return theirs.get_queryset(request) if theirs else model._default_manager.none()


class ScopedAdmin(admin.ModelAdmin):
    """Rows of the centres that a person administers; ``centre_path`` leads from a row to its centres."""

    list_per_page = 50
    centre_path = "centre"
    may_add = may_change = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows = super().get_queryset(request)
        theirs = self.model._default_manager.filter(**{f"{self.centre_path}__in": administered_centres(request.user)})
        return rows.filter(pk__in=theirs.values("pk"))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(
            db_field, request, **{**kwargs, "queryset": seen_of(db_field.related_model, request)}
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_configure(request.user)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return may_configure(request.user) and (obj is None or self.get_queryset(request).filter(pk=obj.pk).exists())

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.may_change and self.has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_add and may_configure(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class CentreForm(forms.ModelForm):
    """A centre's name, and its time zone by the list of those there are."""

    time_zone = forms.ChoiceField(label=Centre._meta.get_field("time_zone").verbose_name, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "time_zone" in self.fields:  # absent where it is only shown
            known = [("", "–"), *((name, name) for name in sorted(zoneinfo.available_timezones()))]
            self.fields["time_zone"].choices = known  # type: ignore[attr-defined]  # of the field that the form declares


@admin.register(Centre)
class CentreAdmin(ScopedAdmin):
    """Commands make centres; the protocol is chosen on the page of the protocol."""

    form = CentreForm
    centre_path = "pk"
    may_change = True
    fields = ("code", "name", "time_zone", "protocol", "is_synthetic")
    readonly_fields = ("code", "protocol", "is_synthetic")
    list_display = ("code", "name", "time_zone")


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    list_display = ("user", "centre", "role", "valid_from", "valid_to", "waits")
    list_filter = (("centre", CentreFilter), "role")
    list_select_related = ("user", "centre")


@admin.register(Laboratory)
class LaboratoryAdmin(ScopedAdmin):
    centre_path = "centres"
    list_display = ("code", "name", "bcr_minimum_copies")


@admin.register(Assay)
class AssayAdmin(ScopedAdmin):
    centre_path = "laboratory__centres"
    list_display = ("laboratory", "name", "method", "control_gene")
    list_select_related = ("laboratory",)


@admin.register(ConversionFactor)
class ConversionFactorAdmin(ScopedAdmin):
    centre_path = "laboratory__centres"
    list_display = ("laboratory", "assay_name", "control_gene", "factor", "valid_from", "valid_to")
    list_filter = (("laboratory", CentreFilter),)
    list_select_related = ("laboratory",)


@admin.register(Protocol)
class ProtocolAdmin(ScopedAdmin):
    """A new protocol changes nothing until a centre follows it; that, and every change, is shown first on its page."""

    centre_path = "centres"
    may_add = True
    list_display = ("code", "title", "schedule", "milestones", "loss")

    def response_post_save_add(self, request: HttpRequest, obj: Protocol) -> Any:
        return redirect("protocols")  # no centre follows it yet, so it is not in the list here
