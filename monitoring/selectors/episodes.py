"""Times off treatment as lists and pages read them."""

from __future__ import annotations

from django.db.models import QuerySet

from monitoring.models import Patient, TfrEpisode

VOID = "void"  # a stop that turned out not to open an episode


def standing_episodes(patients: QuerySet[Patient]) -> QuerySet[TfrEpisode]:
    """The episodes that stand, of these patients."""
    return TfrEpisode.objects.filter(patient__in=patients).exclude(state=VOID).select_related("patient__centre")
