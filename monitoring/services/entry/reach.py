"""How far a writer reaches: every deed that finds a standing row by a key asks here whose row it is.

A key that stands in a centre out of reach gets one neutral refusal. It says neither a value nor an id, and no more than
that the key cannot be used, so that nobody learns what another hospital has stored.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from monitoring.models import Laboratory, Role
from monitoring.services.entry.verdicts import Problem

NAMES_SHOWN = 5
RECORDING = (Role.TECHNICIAN, Role.VERIFIER, Role.CLINICIAN, Role.ADMINISTRATOR)  # who may record facts
TREATING = (Role.CLINICIAN, Role.ADMINISTRATOR)  # who may act on alerts


@dataclass(frozen=True, slots=True)
class Reach:
    """The centres (by id) whose rows a writer may touch; ``centres`` None is the operator, who reaches all.

    Only the operator's commands make centres and laboratories. ``system_of`` is the laboratory (by id) whose own
    system writes: what it sends may be final, what a person enters waits for a second person. ``by_file``: a person
    gives a file, which a laboratory may trust as it trusts its system.
    """

    centres: frozenset[int] | None
    treating: frozenset[int] = frozenset()  # the centres of these in which the writer may act on alerts
    system_of: int | None = None
    by_file: bool = False

    @property
    def is_operator(self) -> bool:
        """Whether the operator writes, who also makes what is named for the first time."""
        return self.centres is None

    def covers(self, centre_id: int) -> bool:
        """Whether rows of this centre may be touched."""
        return self.centres is None or centre_id in self.centres

    def treats(self, centre_id: int) -> bool:
        """Whether what the writer records of a treatment there may end an alert."""
        return self.is_operator or centre_id in self.treating

    def may_be_final(self, laboratory: Laboratory) -> bool:
        """Whether a result may be final at once: from commands, the laboratory's system, or where nobody verifies."""
        if self.is_operator or self.system_of == laboratory.pk or not laboratory.verification_required:
            return True
        return self.by_file and laboratory.files_are_final


EVERYWHERE = Reach(None)


def reach_of(
    memberships: Iterable[tuple[int, str]],
    roles: Iterable[Role],
    *,
    system_of: int | None = None,
    by_file: bool = False,
) -> Reach:
    """The reach of a person or program by its memberships (centre id and role), where these roles write."""
    mine = frozenset(memberships)
    return Reach(_centres(mine, roles), _centres(mine, TREATING), system_of, by_file)


def _centres(memberships: Iterable[tuple[int, str]], roles: Iterable[Role]) -> frozenset[int]:
    wanted = {role.value for role in roles}
    return frozenset(centre for centre, role in memberships if role in wanted)


def out_of_reach(accession_number: str) -> Problem:
    """The one refusal of an accession number that stands elsewhere, or nowhere where one must stand."""
    reason = _("cannot be used here; check the accession number and the laboratory")
    return Problem("accession_number", accession_number, reason)


def patient_out_of_reach(patient_id: str) -> Problem:
    """The one refusal of a patient who is of another centre, or not known at all."""
    return Problem("patient_id", patient_id, _("is not known among the patients you may write about"))


def laboratory_refusal(code: str, reach: Reach) -> Problem:
    """The one refusal of a laboratory that does not report for a writer's centres, or does not exist."""
    mine = Laboratory.objects.filter(centres__in=reach.centres or ()).values_list("code", flat=True).distinct()
    known = sorted(mine)
    near = difflib.get_close_matches(code, known, n=NAMES_SHOWN, cutoff=0.3) or known[:NAMES_SHOWN]
    if near:
        reason = _("no laboratory of this name reports for the patient's centre; those of your centres are %(near)s")
        return Problem("laboratory", code, reason % {"near": ", ".join(near)})
    reason = _("no laboratory of this name reports for the patient's centre; an administrator names it, or a command")
    return Problem("laboratory", code, reason)


def centre_out_of_reach(code: str) -> Problem:
    """The one refusal of a centre that is not the writer's, or not known."""
    return Problem("centre", code, _("is not one of your centres"))


def not_treating(column: str, value: str) -> Problem:
    """The refusal of a change to what stands of a treatment by somebody who does not treat."""
    return Problem(column, value, _("is changed by a clinician or an administrator of the centre"))


def alike(column: str, given: str, known: str) -> Problem:
    """The refusal of a new identifier that a reader would take for a known one."""
    reason = _(
        "looks like %(known)s, which is known: they differ only by case, width, blanks or look-alike letters; write "
        "it as it is known"
    )
    return Problem(column, given, reason % {"known": known})
