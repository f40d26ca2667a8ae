"""Laboratories with the state of their conversion factors: in force, running out, to be re-validated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet

from monitoring.models import ConversionFactor, Laboratory

WARNED_DAYS_BEFORE = 60


@dataclass(frozen=True, slots=True)
class ReportingLaboratory:
    """A laboratory, the centres (by id) that it reports for, and the conversion factors it has registered."""

    row: Laboratory
    centres: frozenset[int]
    factors: frozenset[Decimal]


def reporting_laboratories(codes: Collection[str]) -> dict[str, ReportingLaboratory]:
    """Laboratories by code with the centres they report for, in one query."""
    factors = ConversionFactor.objects.filter(laboratory=OuterRef("pk")).values("factor")
    rows = Laboratory.objects.filter(code__in=codes).annotate(
        centre_ids=ArrayAgg("reports_for__centre_id", filter=Q(reports_for__isnull=False), default=[]),
        factors=ArraySubquery(factors),
    )
    return {row.code: ReportingLaboratory(row, frozenset(row.centre_ids), frozenset(row.factors)) for row in rows}


class FactorStanding(StrEnum):
    """How a factor stands on a day."""

    IN_FORCE = "in_force"
    NOT_YET = "not_yet"
    REVALIDATION_NEAR = "revalidation_near"
    REVALIDATION_DUE = "revalidation_due"
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class StandingFactor:
    """A factor and how it stands."""

    factor: ConversionFactor
    standing: FactorStanding

    @property
    def asks_for_work(self) -> bool:
        """Whether somebody must look after it: it runs out, has run out unreplaced, or is to be re-validated."""
        quiet = (FactorStanding.IN_FORCE, FactorStanding.NOT_YET, FactorStanding.REPLACED)
        return self.standing not in quiet


def standing_factors(factors: Iterable[ConversionFactor], today: dt.date) -> list[StandingFactor]:
    """Each factor with its standing on a day; one that another has followed asks for nothing any more."""
    rows = list(factors)
    newest: dict[tuple[int, str, str], dt.date] = {}
    for f in rows:
        if f.valid_from <= today:
            key = (f.laboratory_id, f.assay_name, f.control_gene)
            newest[key] = max(newest.get(key, f.valid_from), f.valid_from)
    return [StandingFactor(f, _standing(f, newest, today)) for f in rows]


def _standing(f: ConversionFactor, newest: dict[tuple[int, str, str], dt.date], today: dt.date) -> FactorStanding:
    soon = today + dt.timedelta(days=WARNED_DAYS_BEFORE)
    if f.valid_from > today:
        return FactorStanding.NOT_YET
    if newest[f.laboratory_id, f.assay_name, f.control_gene] > f.valid_from:
        return FactorStanding.REPLACED
    if f.valid_to is not None and f.valid_to < today:
        return FactorStanding.EXPIRED
    if f.valid_to is not None and f.valid_to <= soon:
        return FactorStanding.EXPIRES_SOON
    if f.revalidate_by is not None and f.revalidate_by <= soon:
        return FactorStanding.REVALIDATION_DUE if f.revalidate_by < today else FactorStanding.REVALIDATION_NEAR
    return FactorStanding.IN_FORCE


def factors_to_look_after(today: dt.date) -> list[StandingFactor]:
    """The factors of all laboratories that run out, have run out, or are to be re-validated."""
    soon = today + dt.timedelta(days=WARNED_DAYS_BEFORE)
    dated = ConversionFactor.objects.filter(Q(valid_to__lte=soon) | Q(revalidate_by__lte=soon)).values("laboratory_id")
    rows: QuerySet[ConversionFactor] = ConversionFactor.objects.filter(laboratory__in=dated)
    found = standing_factors(rows.select_related("laboratory").order_by("laboratory__code", "valid_from"), today)
    return [standing for standing in found if standing.asks_for_work]
