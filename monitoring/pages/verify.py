"""The second person's page: what waits, in lanes, with what verifying each result would do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from monitoring import clock
from monitoring.models import Patient, PcrResult, Role
from monitoring.models.reviews import ReviewKind
from monitoring.pages.results import standing_to_change
from monitoring.pages.strips import trend_of
from monitoring.permissions import centres_with_role, memberships_of, requires_role, signed_in
from monitoring.selectors.waiting import Look, Waiting, in_lanes, waiting_results
from monitoring.services.entry.reach import reach_of
from monitoring.services.entry.result_versions import versions_of_each
from monitoring.services.entry.reviews import changed_words, say, verify_each
from monitoring.services.entry.verification import VerificationRefused, own_words, writers_of
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.foundation.stale_version import StaleVersionError

PAGE_SIZE = 50
LOOK_WORDS = {
    Look.NO_MMR_OFF_TREATMENT: gettext_lazy("no MMR off treatment"),
    Look.ALERT: gettext_lazy("verifying changes an alert"),
    Look.QUESTION: gettext_lazy("a question"),
    Look.FAILED_TUBE: gettext_lazy("a failed tube"),
    Look.FIRST: gettext_lazy("first result of the patient"),
    Look.FACTOR: gettext_lazy("another conversion factor than before"),
}


class ReviewForm(forms.Form):
    """What a second person says of a result, and which version was read."""

    version = forms.IntegerField()
    kind = forms.ChoiceField(choices=ReviewKind.choices)
    note = forms.CharField(max_length=500)


@require_GET
@requires_role((Role.VERIFIER, Role.TECHNICIAN, Role.ADMINISTRATOR))
def waiting(request: HttpRequest) -> HttpResponse:
    """Preliminary results of the person's centres, the oldest first. For the laboratory and administrators."""
    page = Paginator(_mine(request), PAGE_SIZE).get_page(request.GET.get("page"))
    rows = _rows(request, list(page))
    lanes = {
        "look": [row for row in rows if row["waiting"].said is None and not row["waiting"].is_clear],
        "clear": [row for row in rows if row["waiting"].is_clear],
        "said": [row for row in rows if row["waiting"].said is not None],
    }
    may = [row for row in lanes["clear"] if not row["why_not"]]
    last = PcrResult.objects.filter(
        patient__in=Patient.objects.visible_to(request.user), status="final", version__gt=1
    ).select_related("recorded_by").order_by("-recorded_at")[:1]  # fmt: skip
    context = {"page": page, **lanes, "may": may, "now": clock.now(), "last": None if rows else last.first()}
    return render(request, "results/waiting.html", context)


def _mine(request: HttpRequest) -> Any:
    return waiting_results(Patient.objects.visible_to(request.user))


def _rows(request: HttpRequest, results: list[PcrResult]) -> list[dict[str, Any]]:
    """Each waiting result with its words, its trend, and why this person cannot verify it."""
    verifying = set(centres_with_role(request.user, (Role.VERIFIER,)))
    versions = versions_of_each(results)
    me = signed_in(request).pk
    found = []
    for one in in_lanes(results):
        result = one.result
        why_not = ""
        if result.patient.centre_id not in verifying:
            why_not = _("verifiers of this centre verify")
        elif me in writers_of(versions[result.public_id]):
            why_not = own_words()
        found.append(
            {
                "waiting": one, "result": result, "why_not": why_not, "looks": [LOOK_WORDS[look] for look in one.looks],
                "seen": one.release.foresight if one.release else None, "trend": _trend(one),
            }
        )  # fmt: skip
    return found


def _trend(one: Waiting) -> Any:
    if one.release is None:
        return None
    seen = one.release.foresight
    return trend_of(seen.last_values, seen.score, one.result.collected_on) if seen.last_values else None


@require_POST
@requires_role((Role.VERIFIER,))
def verify_clear(request: HttpRequest) -> HttpResponse:
    """Verify what is clear, as it was read. What needs a look by now, or has changed, stays."""
    me = signed_in(request)
    read = dict(_read(word) for word in request.POST.getlist("clear")[:PAGE_SIZE] if _read(word))
    standing = list(_mine(request).filter(public_id__in=read))
    clear = {one.result.public_id for one in in_lanes(standing) if one.is_clear}
    chosen = {public_id: version for public_id, version in read.items() if public_id in clear}
    reach = reach_of(memberships_of(request.user), (Role.VERIFIER,))
    done, left = verify_each(chosen, by=me, reach=reach, now=clock.now())
    if done:
        said = ngettext("%(n)s result verified.", "%(n)s results verified.", len(done)) % {"n": len(done)}
        messages.success(request, said)
    for words in left.values():
        messages.error(request, words)
    passed = [one for one in standing if one.public_id not in clear]
    if passed:
        names = ", ".join(one.accession_number for one in passed)
        messages.warning(request, _("Not verified, because it needs a look by now: %(names)s.") % {"names": names})
    gone = len(read) - len(standing)
    if gone:
        said = ngettext(
            "%(n)s result does not wait any more.", "%(n)s results do not wait any more.", gone
        )  # fmt: skip
        messages.warning(request, said % {"n": gone})
    return redirect("waiting")


def _read(word: str) -> Any:
    """Public id and version as the page wrote them; empty for anything else."""
    public_id, _colon, version = word.partition(":")
    try:
        return UUID(public_id), int(version)
    except ValueError:
        return ()


@require_POST
@requires_role((Role.VERIFIER,))
def review(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Send a result back with a note, or ask for a repeat. For verifiers of the centre."""
    standing = standing_to_change(request, public_id, (Role.VERIFIER,))
    form = ReviewForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say in a note what is to be done."))
        return redirect("waiting")
    values = form.cleaned_data
    try:
        say(
            standing, ReviewKind(values["kind"]), values["note"], by=signed_in(request), version=values["version"],
            now=clock.now(),
        )  # fmt: skip
    except StaleVersionError:
        messages.error(request, changed_words(standing.row))
    except (FieldProblem, VerificationRefused) as problem:
        messages.error(request, str(problem))
    else:
        accession = standing.row.accession_number
        messages.success(request, _("%(accession)s waits for whoever entered it.") % {"accession": accession})
    return redirect("waiting")
