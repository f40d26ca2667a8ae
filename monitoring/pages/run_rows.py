"""The rows of a run as the grid shows them: what each would say if it were stored, and what stands against that."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from monitoring import clock
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.intake.bench_rows import RowReading, TypedProblem, read_rows
from monitoring.models import BenchRun, Patient, PcrResult, ResultStatus
from monitoring.pages.bench import ENTERING, entering_reach
from monitoring.permissions import ANY_ROLE, centres_with_role, signed_in
from monitoring.selectors.foresight import Foresight, foresee_each
from monitoring.selectors.runs import runs_of
from monitoring.services.entry.reach import Reach
from monitoring.services.entry.results import record_results
from monitoring.services.entry.runs import MOST_ROWS, TUBE, WHOLE_ROW
from monitoring.services.entry.verdicts import RowOutcome

LEAST_ROWS_SHOWN = 8
LEAST_FRAGMENT = 2  # characters that may stand for the end of a pseudonym


class RowState(StrEnum):
    """How a row stands."""

    EMPTY = "empty"
    INVALID = "invalid"
    LOOK = "look"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of the grid with all that stands beside it."""

    place: int
    cells: Mapping[str, str] = field(default_factory=dict)
    version: int = 0
    reading: RowReading = field(default_factory=RowReading)
    foresight: Foresight | None = None
    standing: UUID | None = None  # the result that its accession names already
    tubes: int = 1
    given: Mapping[str, str] = field(default_factory=dict)  # what the header says where a cell is empty

    @property
    def state(self) -> RowState:
        if not self.cells:
            return RowState.EMPTY
        if self.reading.problems or self.foresight is None:
            return RowState.INVALID
        seen = self.foresight
        off_without_mmr = seen.off_treatment_since and seen.score.response_class is ResponseClass.NO_MMR
        report = self.reading.report
        failed = report is not None and any(not tube.run_valid for tube in report.replicates)
        alerts = seen.opened or seen.told_again or seen.ended
        asks = seen.questions or alerts or self.reading.notes or off_without_mmr or failed
        return RowState.LOOK if asks else RowState.CLEAR

    @property
    def fields(self) -> list[tuple[str, str, str, str]]:
        """Name, value, what the header says, and problem of each cell, in their order."""
        found = {problem.cell: problem.reason for problem in reversed(self.reading.problems)}
        return [
            (name, self.cells.get(name, ""), self.given.get(name, ""), found.get(name, ""))
            for name in cell_names(self.tubes)
        ]

    @property
    def ratio(self) -> Decimal | None:
        """BCR::ABL1 in % of the control gene before any conversion, None where it was not detected or not counted."""
        if self.foresight is None or not self.foresight.score.detected:
            return None
        tubes = [t for t in self.reading.report.replicates if t.run_valid and t.reported] if self.reading.report else []
        control = sum((t.control_gene_copies or Decimal(0) for t in tubes), Decimal(0))
        return 100 * sum((t.bcr_abl1_copies or Decimal(0) for t in tubes), Decimal(0)) / control if control else None

    @property
    def opens(self) -> bool:
        """Whether storing it tells somebody something."""
        return self.foresight is not None and bool(self.foresight.opened or self.foresight.told_again)


def given_by_header(run: BenchRun) -> dict[str, str]:
    """The cells that the header fills where a row says nothing."""
    days = {"collected_on": run.collected_on, "received_on": run.received_on}
    return {name: on.isoformat() for name, on in days.items() if on is not None}


def cell_names(tubes: int) -> list[str]:
    """The cells of a row in their order."""
    return [*WHOLE_ROW, *(f"{name}_{n}" for n in range(1, tubes + 1) for name in TUBE)]


def reach_in(run: BenchRun, reach: Reach) -> Reach:
    """How far the rows of a run reach: the centres it was started for, as far as they are the writer's."""
    centres = frozenset(centre.pk for centre in run.centres.all())
    return Reach(centres & (reach.centres or frozenset()), reach.treating)


def status_of(run: BenchRun) -> ResultStatus:
    """What a row becomes: final at once only where the laboratory has switched verification off."""
    return ResultStatus.PRELIMINARY if run.laboratory.verification_required else ResultStatus.FINAL


def look_at(
    run: BenchRun,
    rows: Mapping[int, tuple[Mapping[str, str], int]],
    *,
    by: User,
    reach: Reach,
    now: dt.datetime,
    taken: Mapping[str, int] | None = None,
) -> dict[int, RowView]:
    """What each row (cells and version by place) would be if it were stored now; ``taken`` are the accessions of the
    run's other rows. Stores nothing.
    """
    typed = {place: cells for place, (cells, _version) in rows.items() if cells}
    readings = read_rows(run, typed, reach, status=status_of(run), taken=taken or {})
    readable = {
        place: (one.patient, one.report)
        for place, one in readings.items()
        if one.patient is not None and one.report is not None and not one.problems
    }
    standing: dict[int, UUID] = {}
    if readable:
        verdicts = record_results(
            [report for _patient, report in readable.values()],
            patients=[patient for patient, _report in readable.values()],
            by=by, reach=reach, now=now, dry_run=True,
        )  # fmt: skip
        for place, verdict in zip(list(readable), verdicts, strict=True):
            refused = [TypedProblem(_cell(p.column), p.value, p.reason) for p in verdict.problems]
            if verdict.action is not RowOutcome.CREATED and not refused:
                accession = readable[place][1].accession_number
                refused = [TypedProblem("accession_number", accession, _("is stored already"))]
            if refused:
                readings[place] = readings[place].refused(refused)
                del readable[place]
            elif verdict.notes:
                notes = tuple(note for note in verdict.notes if not verdict.waits or note != verdict.notes[-1])
                readings[place] = _noted(readings[place], notes)
        standing = _standing(run, readings, reach)
    foresights = dict(zip(readable, foresee_each(list(readable.values())), strict=True)) if readable else {}
    return {
        place: RowView(
            place, cells, version, readings.get(place, RowReading()), foresights.get(place), standing.get(place),
            run.tubes, given_by_header(run),
        )
        for place, (cells, version) in rows.items()
    }  # fmt: skip


def _noted(reading: RowReading, notes: tuple[str, ...]) -> RowReading:
    return RowReading(reading.report, reading.patient, reading.problems, (*reading.notes, *notes))


def _cell(column: str) -> str:
    return f"{column}_1" if column in TUBE else column


def _standing(run: BenchRun, readings: Mapping[int, RowReading], reach: Reach) -> dict[int, UUID]:
    """The stored results that refused rows name, where the writer may see them."""
    refused = {
        one.report.accession_number: place for place, one in readings.items() if one.problems and one.report is not None
    }
    known = PcrResult.objects.filter(
        laboratory=run.laboratory_id, accession_number__in=refused, superseded_by__isnull=True,
        patient__centre__in=reach.centres or (),
    )  # fmt: skip
    return {
        refused[accession]: public_id for accession, public_id in known.values_list("accession_number", "public_id")
    }


MOST_FITTING = 4


def fitting(typed: Mapping[int, Mapping[str, str]], reach: Reach) -> dict[int, list[str]]:
    """The pseudonyms that end as what was typed, by place, where none is just that; some of them where many do."""
    ends = {place: cells.get("patient_id", "") for place, cells in typed.items()}
    ends = {place: end for place, end in ends.items() if len(end) >= LEAST_FRAGMENT}
    patients = Patient.objects.filter(centre__in=reach.centres or (), merged_into__isnull=True)
    whole = set(patients.filter(patient_id__in=ends.values()).values_list("patient_id", flat=True))
    ends = {place: end for place, end in ends.items() if end not in whole}
    if not ends:
        return {}
    any_of_them = reduce(or_, (Q(patient_id__endswith=end) for end in set(ends.values())))
    names = sorted(patients.filter(any_of_them).values_list("patient_id", flat=True))
    return {place: [name for name in names if name.endswith(end)][:MOST_FITTING] for place, end in ends.items()}


def places_to_show(taken: set[int]) -> range:
    """The rows of the grid: those that hold something and some more."""
    last = max(taken, default=0)
    return range(1, min(MOST_ROWS, max(LEAST_ROWS_SHOWN, last + 4)) + 1)


# --- of a request --------------------------------------------------------------------------------------------------


def run_of(request: HttpRequest, public_id: UUID) -> BenchRun:
    """A run whose rows this person may see; 403 where one only reads, 404 elsewhere."""
    found = runs_of(centres_with_role(request.user, ENTERING)).filter(public_id=public_id).first()
    if found is not None:
        return found
    if BenchRun.objects.of_centres(centres_with_role(request.user, ANY_ROLE)).filter(public_id=public_id).exists():
        raise PermissionDenied
    raise Http404


def rows_of(request: HttpRequest, one: BenchRun) -> dict[int, RowView]:
    rows = {row.place: (row.cells, row.version) for row in one.rows.order_by("place")}
    me = signed_in(request)
    return look_at(one, rows, by=me, reach=reach_in(one, entering_reach(me)), now=clock.now())


def tally_of(views: dict[int, RowView]) -> dict[str, Any]:
    """How many rows stand how."""
    counted = Counter(view.state for view in views.values())
    return {
        "count": len(views) - counted[RowState.EMPTY], "invalid": counted[RowState.INVALID],
        "look": counted[RowState.LOOK], "clear": counted[RowState.CLEAR],
        "opening": sum(view.opens for view in views.values()),
    }  # fmt: skip
