"""Results that wait for a second person, in the lanes in which they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import QuerySet

from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.models import Patient, PcrResult, ResultStatus, ReviewNote
from monitoring.selectors.foresight import Release, foresee_release


class Look(StrEnum):
    """Why a result needs a look before it is verified."""

    NO_MMR_OFF_TREATMENT = "no_mmr_off_treatment"
    ALERT = "alert"
    QUESTION = "question"
    FAILED_TUBE = "failed_tube"
    FIRST = "first"
    FACTOR = "factor"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A result that waits, what verifying it would do, why it needs a look, and what a second person has said of it."""

    result: PcrResult
    release: Release | None
    looks: tuple[Look, ...]
    said: ReviewNote | None

    @property
    def is_clear(self) -> bool:
        """Whether it may be verified together with others."""
        return self.release is not None and not self.looks and self.said is None


def waiting_results(patients: QuerySet[Patient]) -> QuerySet[PcrResult]:
    """Preliminary results of these patients, the oldest first."""
    return (
        PcrResult.objects.filter(
            status=ResultStatus.PRELIMINARY, superseded_by__isnull=True, patient__in=patients
        )
        .select_related("patient__centre", "laboratory", "recorded_by")
        .prefetch_related("replicates")
        .order_by("recorded_at", "pk")
    )  # fmt: skip


def in_lanes(results: Sequence[PcrResult]) -> list[Waiting]:
    """Each of these results with its lane, in their order."""
    releases = foresee_release(results)
    notes: dict[tuple[object, int], ReviewNote] = {}
    said = ReviewNote.objects.filter(result__in={result.public_id for result in results})
    for note in said.select_related("by").order_by("pk"):
        notes[note.result, note.version] = note
    return [
        Waiting(
            result, releases.get(result.pk), _looks(result, releases.get(result.pk)),
            notes.get((result.public_id, result.version)),
        )
        for result in results
    ]  # fmt: skip


def _looks(result: PcrResult, release: Release | None) -> tuple[Look, ...]:
    if release is None:
        return ()
    seen = release.foresight
    shallow = seen.score.response_class is ResponseClass.NO_MMR or seen.score.may_exceed_mmr
    asked = {
        Look.NO_MMR_OFF_TREATMENT: bool(seen.off_treatment_since) and shallow,
        Look.ALERT: bool(seen.opened or seen.told_again or seen.ended),
        Look.QUESTION: bool(seen.questions),
        Look.FAILED_TUBE: any(not tube.run_valid for tube in result.replicates.all()),
        Look.FIRST: seen.is_first,
        Look.FACTOR: release.factor_before is not None or seen.factor.mismatch,
    }
    return tuple(look for look, holds in asked.items() if holds)
