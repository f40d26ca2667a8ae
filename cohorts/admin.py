"""Cohort definitions under /admin/, checked like those of the command."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest

from cohorts.domain.definition import DefinitionProblem, as_json, parse_definition
from cohorts.models import Cohort
from cohorts.services.definitions import define_cohort


class CohortForm(forms.ModelForm):
    """The definition as JSON; slug and title are part of it."""

    class Meta:
        model = Cohort
        fields = ("definition", "is_active")

    def clean_definition(self) -> dict[str, Any]:
        try:
            definition = parse_definition(self.cleaned_data["definition"])
        except DefinitionProblem as problem:
            raise ValidationError(problem.problems) from None
        if self.instance.pk and definition.slug != self.instance.slug:
            raise ValidationError(f"the slug of this cohort is {self.instance.slug}; a new slug is a new cohort")
        return as_json(definition)


@admin.register(Cohort)
class CohortAdmin(admin.ModelAdmin):
    form = CohortForm
    list_display = ("slug", "title", "is_active")
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Cohort, form: forms.ModelForm[Cohort], change: bool) -> None:
        cohort, _ = define_cohort(form.cleaned_data["definition"], by=request.user.get_username())
        cohort.is_active = form.cleaned_data["is_active"]
        cohort.save(update_fields=["is_active"])
        obj.pk, obj.slug, obj.title = cohort.pk, cohort.slug, cohort.title
