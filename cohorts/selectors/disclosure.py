"""Who may see what of a cohort: rows of one's own centres, and of others only figures of at least five people."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models.functions import Now, TruncDate

from cohorts.models import Cohort, CohortPublication
from cohorts.selectors.snapshots import frozen_centres, frozen_members, is_published, kept, snapshot_json
from monitoring.models import Centre, Membership, Role

LEAST_MEMBERS = 5
# Below this many people of other centres only the landmarks of a curve are shown: each step would be one person.
LEAST_FOR_STEPS = 20
# What counts people by what became of them, often one by one.
_OF_FEW = ("moved", "maintenance", "sustained", "current_remission", "regained", "missing")
# What is shown of a factor with a group that is too small: its names, no counts.
_NAMES = ("label", "id", "name", "cut")


def member_rows(publication: CohortPublication, user: AbstractBaseUser | AnonymousUser) -> list[dict[str, str]]:
    """The member rows of the centres in which a person is analyst or administrator today."""
    own_centres = analysed_centres(user)
    return [row for row in frozen_members(publication.snapshot) if row["centre"] in own_centres]


def sees_all_rows(publication: CohortPublication, user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether a person is analyst or administrator of every centre that a snapshot holds people of."""
    own_centres = analysed_centres(user)
    return bool(own_centres) and all(
        centre in own_centres for centre, _is_member in frozen_centres(publication.snapshot)
    )


def readable(cohort: Cohort, digest: str, user: AbstractBaseUser | AnonymousUser) -> CohortPublication | None:
    """A kept snapshot by its whole digest: the published one, one that has a name, or what one may see all rows of.

    Two snapshots of neighbouring nights differ by one person: only who may see that person puts them side by side.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        return None
    found = kept(cohort, digest)
    if found is None or is_published(found) or found.snapshot.names.exists() or sees_all_rows(found, user):
        return found
    return None


def analysed_centres(user: AbstractBaseUser | AnonymousUser) -> set[str]:
    """The codes of the centres whose rows a person may read."""
    return _codes(user, (Role.ANALYST, Role.ADMINISTRATOR))


def disclosed(publication: CohortPublication, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """The snapshot as this person may see it; ``withheld`` says what is not shown and why."""
    figures = snapshot_json(publication)
    own_centres = _codes(user, tuple(Role))
    of_others = [is_member for centre, is_member in frozen_centres(publication.snapshot) if centre not in own_centres]
    if not of_others:
        return figures
    shown = without_small_groups(figures)
    if "counts" in shown:
        shown["by_centre"] = without_small_centres(figures.get("by_centre"), own_centres)
    return shown if sum(of_others) >= LEAST_FOR_STEPS else without_single_events(shown)


def without_small_groups(figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures with every group of fewer than five taken out."""
    if 0 < figures["counts"]["members"] < LEAST_MEMBERS:
        kept = (
            "cohort",
            "title",
            "data_cutoff",
            "computed_at",
            "confirmed_at",
            "rule_versions",
            "definition",
            "synthetic",
        )
        return {name: figures[name] for name in kept if name in figures} | {"withheld": [_few_members([])]}
    shown = copy.deepcopy(figures)
    hidden = []
    for factor in shown["univariate"]:
        if any(0 < group["members"] < LEAST_MEMBERS for group in factor["groups"]):
            # One small group could be computed from the total and the others: the whole factor is withheld.
            hidden.append(factor["id"])
            for name in [n for n in factor if n not in _NAMES]:
                factor[name] = [] if name == "groups" else None
    if isinstance(shown["cox"], dict) and any(t["id"] in hidden for t in shown["cox"].get("terms") or []):
        shown["cox"] = None
        hidden.append("cox")
    # Those who died or were transplanted, or were excluded by one criterion, are often one person.
    excluded = shown["counts"]["excluded"]
    shown["counts"]["excluded"] = {reason: n for reason, n in excluded.items() if n >= LEAST_MEMBERS}
    if shown["counts"]["excluded"] != excluded:
        hidden.append("counts.excluded")
    shown["flow"] = None
    shown["read_apart"] = None
    for group in (shown, *(g for factor in shown["univariate"] for g in factor["groups"])):
        group["crude"].pop("ended", None)
    shown["table1"] = None
    whole = ["flow", "read_apart", "crude.ended", "table1", "outcomes_after_loss"]
    for name in _OF_FEW:
        if shown.get(name):
            shown[name] = None
            whole.append(name)
    shown["outcomes_after_loss"] = None
    for model in (*shown["univariate"], *([shown["cox"]] if shown["cox"] else [])):
        model["odds_ratios"] = []
        model["left_censored_bounds"] = None
    hidden += [*whole, "odds_ratios", *_small_risks(shown)]
    shown["withheld"] = [_few_members(hidden)]
    return shown


def without_small_centres(found: dict[str, Any] | None, own_centres: Collection[str]) -> dict[str, Any] | None:
    """The funnel with the numbers of other centres that count fewer than five taken out.

    One alone could be computed from the total and the others, so the smallest of the others goes with it; where all
    that are hidden hold fewer than five together, nothing is shown.
    """
    if not found:
        return found
    centres = copy.deepcopy(found["centres"])
    elsewhere = sorted((c for c in centres if c["centre"] not in own_centres), key=lambda c: c["evaluable"])
    hidden = [c for c in elsewhere if c["evaluable"] < LEAST_MEMBERS]
    if len(hidden) == 1:
        hidden = elsewhere[:2]
    if hidden and sum(c["evaluable"] for c in hidden) < LEAST_MEMBERS:
        return None
    for centre in hidden:
        centre |= {"evaluable": None, "lost": None, "proportion": None, "limits": None}
    return {**found, "centres": centres}


def _small_risks(shown: dict[str, Any]) -> list[str]:
    """Take out the incidence where few ended by something else, and curves of few; returns what was taken out."""
    hidden = []
    if risks := shown.get("competing_risks"):
        if risks["competing_event"]["events"] < LEAST_MEMBERS or risks["event"]["events"] < LEAST_MEMBERS:
            shown["competing_risks"] = None
            for factor in shown["univariate"]:
                factor["gray"] = factor["fine_gray"] = None
            if shown["cox"]:
                shown["cox"]["fine_gray"] = None
            hidden.append("competing_risks")
        else:
            risks.pop("competing")
            risks["competing_event"]["points"] = []  # each would be the day on which somebody died
    # A mean of few people with one event gives away its day, a residual the day and the group of one.
    for model in (*shown["univariate"], *([shown["cox"]] if shown["cox"] else [])):
        model |= {"residuals": [], "spline": None, "logrank_stratified": None}
    for factor in shown["univariate"]:
        factor["restricted_mean_difference"] = None
        for group in factor.get("groups") or []:
            group |= {"restricted_mean": None, "points": []}
    hidden.append("univariate.restricted_mean")
    curves = shown["kaplan_meier"].get("conditional") or []
    large = [curve for curve in curves if curve["members"] >= LEAST_MEMBERS]
    if len(large) < len(curves):
        shown["kaplan_meier"]["conditional"] = large
        hidden.append("kaplan_meier.conditional")
    return hidden


def _few_members(figures: Sequence[str]) -> dict[str, Any]:
    """Why figures are withheld: too small a group with people of other centres. No figure named means all of them."""
    return {"code": "few_members", "least": LEAST_MEMBERS, "figures": list(figures)}


def without_single_events(figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures with the curve at its landmarks only: no step and no median, which would be one person's day."""
    if "kaplan_meier" not in figures:
        return figures
    shown = copy.deepcopy(figures)
    shown["kaplan_meier"] |= {"points": [], "median_months": None, "restricted_mean": None}
    if shown.get("dating_of_losses"):
        for dated in shown["dating_of_losses"].values():
            dated.pop("median_months", None)
    shown["follow_up"] |= {"median_months": None, "lower": None, "upper": None}
    named = ["kaplan_meier.points", "kaplan_meier.median_months", "kaplan_meier.restricted_mean", "follow_up"]
    if shown.get("competing_risks"):
        for kind in ("event", "competing_event"):
            shown["competing_risks"][kind]["points"] = []
        named.append("competing_risks.points")
    few = {"code": "few_elsewhere", "least": LEAST_FOR_STEPS, "figures": named}
    shown["withheld"] = [*shown.get("withheld", []), few]
    return shown


def _codes(user: AbstractBaseUser | AnonymousUser, roles: Sequence[Role]) -> set[str]:
    if not user.is_authenticated or not user.is_active:
        return set()
    memberships = Membership.objects.valid_on(TruncDate(Now())).filter(
        user_id=user.pk, role__in=[r.value for r in roles]
    )
    return set(Centre.objects.filter(pk__in=memberships.values("centre_id")).values_list("code", flat=True))
