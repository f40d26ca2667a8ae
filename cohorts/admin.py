"""Cohort definitions under /admin/, checked like those of the command, each for those who may analyse its centres."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from cohorts.domain.definition_file import DefinitionProblem, as_json
from cohorts.models import Cohort
from cohorts.services.definitions import analysable_cohorts, centres_of_author, check_definition, define_cohort
from monitoring.permissions import may_configure


class CohortForm(forms.ModelForm):
    """The definition as JSON; slug and title are part of it."""

    centres: frozenset[int] | None = frozenset()

    class Meta:
        model = Cohort
        fields = ("definition", "is_active")

    def clean_definition(self) -> dict[str, Any]:
        try:
            definition = check_definition(self.cleaned_data["definition"], self.centres)
        except DefinitionProblem as problem:
            raise ValidationError(problem.problems) from None
        if self.instance.pk and definition.slug != self.instance.slug:
            raise ValidationError(f"the slug of this cohort is {self.instance.slug}; a new slug is a new cohort")
        if not self.instance.pk and Cohort.objects.filter(slug=definition.slug).exists():
            raise ValidationError(
                _("slug %(slug)s: a cohort of yours has it; change that one") % {"slug": definition.slug}
            )
        return as_json(definition)


@admin.register(Cohort)
class CohortAdmin(admin.ModelAdmin):
    form = CohortForm
    list_display = ("slug", "title", "is_active")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cohort]:
        return super().get_queryset(request).filter(pk__in=analysable_cohorts(centres_of_author(request.user)))

    def get_form(self, request: HttpRequest, obj: Cohort | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type("CohortForm", (form,), {"centres": centres_of_author(request.user)})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_configure(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_configure(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_configure(request.user) and (obj is None or self.get_queryset(request).filter(pk=obj.pk).exists())

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Cohort, form: forms.ModelForm[Cohort], change: bool) -> None:
        cohort, _what = define_cohort(
            form.cleaned_data["definition"], by=request.user.get_username(), centres=centres_of_author(request.user)
        )
        cohort.is_active = form.cleaned_data["is_active"]
        cohort.save(update_fields=["is_active"])
        obj.pk, obj.slug, obj.title = cohort.pk, cohort.slug, cohort.title
