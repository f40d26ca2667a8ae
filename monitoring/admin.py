"""Configuration under /admin/: centres, people, laboratories. Clinical rows are not edited here, and none is deleted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from monitoring.models import Assay, Centre, ConversionFactor, EscalationPolicy, Laboratory, Membership, Protocol
from monitoring.services.laboratories import save_setting


class KeptAdmin(admin.ModelAdmin):
    """Rows that other rows point at are kept: nothing is deleted."""

    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class SettingAdmin(KeptAdmin):
    """Laboratory settings go through the service, which replays the patients they touch."""

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool) -> None:
        save_setting(obj, by=request.user.get_username())


@admin.register(Centre)
class CentreAdmin(KeptAdmin):
    list_display = ("code", "name", "time_zone")


@admin.register(Membership)
class MembershipAdmin(KeptAdmin):
    list_display = ("user", "centre", "role", "valid_from", "valid_to")
    list_filter = ("centre", "role")
    list_select_related = ("user", "centre")


@admin.register(Laboratory)
class LaboratoryAdmin(SettingAdmin):
    list_display = ("code", "name", "bcr_minimum_copies")


@admin.register(Assay)
class AssayAdmin(SettingAdmin):
    list_display = ("laboratory", "name", "method", "control_gene")
    list_select_related = ("laboratory",)


@admin.register(ConversionFactor)
class ConversionFactorAdmin(SettingAdmin):
    list_display = ("laboratory", "assay_name", "control_gene", "factor", "valid_from", "valid_to")
    list_filter = ("laboratory",)
    list_select_related = ("laboratory",)


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(KeptAdmin):
    list_display = ("centre", "signed_by", "acknowledged_comes_back_days")
    list_select_related = ("centre",)


@admin.register(Protocol)
class ProtocolAdmin(KeptAdmin):
    list_display = ("code", "title", "schedule", "milestones", "loss")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return obj is None  # a change shows its consequences first, on the page of the protocol
