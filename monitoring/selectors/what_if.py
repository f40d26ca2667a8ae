"""What a change of settings would do: the same results read with both, and the difference told. Nothing is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from monitoring.domain.course.series import TimePoint
from monitoring.domain.replay import Replay, replay
from monitoring.models import ConversionFactor, Laboratory, LaboratorySetting, Patient, PcrResult
from monitoring.selectors.series import load_profile_with, load_series

BATCH_PATIENTS = 500
SHOWN_PATIENTS = 50
MOST_PATIENTS = 5000  # of one preview; more are counted and said to be left out
SHOWN_CLASSES = 6


@dataclass(frozen=True, slots=True)
class Consequence:
    """What would change for one patient, by topic: before and after in codes and dates."""

    patient: Patient
    changes: Mapping[str, tuple[str, str]]


@dataclass
class Preview:
    """Who would be touched, how often by topic, and the first of them in detail.

    ``points`` are the time points that the statistics would read of each patient whose points change.
    """

    patients: int = 0
    left_out: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    shown: list[Consequence] = field(default_factory=list)
    points: dict[int, tuple[TimePoint, ...]] = field(default_factory=dict)

    def take(self, patient: Patient, changes: Mapping[str, tuple[str, str]]) -> None:
        """Count a patient, and keep the first ones that change."""
        self.patients += 1
        self.counts.update(changes)
        if changes and len(self.shown) < SHOWN_PATIENTS:
            self.shown.append(Consequence(patient, changes))


def patients_of_setting(row: LaboratorySetting) -> list[int]:
    """The patients with a result of the laboratory; of a factor, those with a result that names none of its own."""
    results = PcrResult.objects.filter(laboratory_id=_laboratory_of(row))
    if isinstance(row, ConversionFactor):
        results = results.filter(control_gene=row.control_gene, conversion_factor__isnull=True)
        if row.assay_name:
            results = results.filter(assay_name=row.assay_name)
    return sorted(results.values_list("patient_id", flat=True).distinct())


def preview_setting(row: LaboratorySetting) -> Preview:
    """What would change if this setting stood as it is given, saved or not: classes, episodes, alerts, time points."""
    ids = patients_of_setting(row)
    preview = Preview(left_out=max(len(ids) - MOST_PATIENTS, 0))
    wanted = {_laboratory_of(row): load_profile_with(row)}
    for batch in _batches(ids[:MOST_PATIENTS]):
        now, then = load_series(batch), load_series(batch, profiles=wanted)
        for pk, loaded_series in now.items():
            before, after = replay(loaded_series.series), replay(then[pk].series)
            preview.take(loaded_series.patient, _differences(before, after))
            if before.points != after.points:
                preview.points[pk] = after.points
    return preview


def _laboratory_of(row: LaboratorySetting) -> int:
    return row.pk if isinstance(row, Laboratory) else row.laboratory_id


def _batches(ids: list[int]) -> Iterator[Collection[int]]:
    for start in range(0, len(ids), BATCH_PATIENTS):
        yield ids[start : start + BATCH_PATIENTS]


def _differences(before: Replay, after: Replay) -> dict[str, tuple[str, str]]:
    return {
        topic: (old, new) for topic, (old, new) in _told(before, after).items() if old != new
    }  # fmt: skip


def _told(before: Replay, after: Replay) -> dict[str, tuple[str, str]]:
    """Each topic before and after, as comparable words; of the classes only those that differ."""
    classes = [
        (f"{a.result.collected_on} {a.score.response_class}", f"{b.result.collected_on} {b.score.response_class}")
        for a, b in zip(before.assessed, after.assessed, strict=True)
        if a.score.response_class != b.score.response_class
    ]
    more = f" … {len(classes)}" if len(classes) > SHOWN_CLASSES else ""
    old, new = ([pair[side] for pair in classes[:SHOWN_CLASSES]] for side in (0, 1))
    return {
        "classes": (", ".join(old) + more, ", ".join(new) + more),
        "episodes": (_episodes(before), _episodes(after)),
        "alerts": (_alerts(before), _alerts(after)),
    }


def _episodes(replayed: Replay) -> str:
    return ", ".join(
        f"{s.episode.stopped_on} {s.episode.state}" + (f" {s.episode.loss.first.on}" if s.episode.loss else "")
        for s in replayed.episodes
    )


def _alerts(replayed: Replay) -> str:
    return ", ".join(sorted(f"{i.evidence_on} {i.kind}" for i in replayed.intentions if not i.closing))
