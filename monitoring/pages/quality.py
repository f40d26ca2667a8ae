"""The quality of a laboratory: results and tubes by month, turnaround, controls over time, age of the factors."""

from __future__ import annotations

import datetime as dt

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from monitoring import clock
from monitoring.domain.vocabulary.dates import add_months
from monitoring.models import Laboratory
from monitoring.pages.plots import band, columns
from monitoring.pages.strips import strip_of
from monitoring.permissions import ANY_ROLE, centres_with_role, requires_role
from monitoring.selectors.laboratories import standing_factors
from monitoring.selectors.quality import LOADED_LATER_DAYS, Month, controls_of, genes_of, months_of

SPANS = (3, 6, 12, 24, 60)
USUAL_SPAN = 12
MOST_FACTORS = 200


@require_GET
@requires_role(ANY_ROLE)
def quality(request: HttpRequest, pk: int) -> HttpResponse:
    """One laboratory's work of the last months, of the patients of one's centres. For everybody with a role in a
    centre that it reports for.
    """
    laboratory, today = get_object_or_404(Laboratory, pk=pk), clock.now().date()
    mine = centres_with_role(request.user, ANY_ROLE)
    centres = sorted(laboratory.centres.filter(pk__in=mine).values_list("pk", flat=True))
    if not centres:
        raise Http404
    asked_span = request.GET.get("months", "")
    span = int(asked_span) if asked_span in map(str, SPANS) else USUAL_SPAN
    since = add_months(today.replace(day=1), 1 - span)
    genes = genes_of(laboratory, centres)
    gene = asked if (asked := request.GET.get("gene", "")) in genes else next(iter(genes), "")
    months = months_of(laboratory, centres, gene=gene, since=since, until=today)
    if not asked_span and not any(month.results for month in months):  # a laboratory that was loaded, not at work
        span, since = SPANS[-1], add_months(today.replace(day=1), 1 - SPANS[-1])
        months = months_of(laboratory, centres, gene=gene, since=since, until=today)
    labels = [f"{month.first_on:%Y-%m}" for month in months]
    factors = laboratory.conversion_factors.order_by("control_gene", "assay_name", "-valid_from")[:MOST_FACTORS]
    context = {
        "laboratory": laboratory, "span": span, "spans": SPANS, "gene": gene, "genes": genes, "since": since,
        "today": today, "months": months[::-1], "total": _total(months), "later_days": LOADED_LATER_DAYS,
        "results_plot": columns(labels, [month.results for month in months]),
        "copies_plot": band(labels, [_spread(month) for month in months]),
        "controls": [(one, strip_of(one.points, one.limits)) for one in controls_of(laboratory, mine, since=since)],
        "factors": [(one, _months_old(one.factor.valid_from, today)) for one in standing_factors(factors, today)],
    }  # fmt: skip
    return render(request, "laboratories/quality.html", context)


def _total(months: list[Month]) -> dict[str, int]:
    names = ("results", "not_evaluable", "tubes", "failed_tubes", "timed", "loaded_later")
    return {name: sum(getattr(month, name) for month in months) for name in names}


def _spread(month: Month) -> tuple[float, float, float] | None:
    low, middle, high = month.copies_tenth, month.copies_median, month.copies_ninetieth
    return None if low is None or middle is None or high is None else (low, middle, high)


def _months_old(valid_from: dt.date, today: dt.date) -> int:
    """Whole months since a factor came into force, 0 before."""
    months = (today.year - valid_from.year) * 12 + today.month - valid_from.month - (today.day < valid_from.day)
    return max(0, months)
