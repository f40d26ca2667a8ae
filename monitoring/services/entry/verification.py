"""The second person: verifying preliminary results, and an alert where one waits for longer than four hours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.models import Alert, PcrResult, ResponseAssessment, ResultStatus, SetAsideKind
from monitoring.selectors.foresight import is_doubtful_loss
from monitoring.selectors.series import result_key
from monitoring.services.alerts.lifecycle import HISTORY_AFTER_DAYS, open_by_the_clock
from monitoring.services.entry.result_judging import content_of
from monitoring.services.entry.result_versions import StoredResult, versions_of
from monitoring.services.foundation import set_aside

UNVERIFIED_AFTER = dt.timedelta(hours=4)
SUSPICIOUS_AFTER = dt.timedelta(hours=1)
RULE_VERSION = "verification.1"


def raise_unverified(*, now: dt.datetime, limit: int = 200) -> int:
    """Open an alert for each preliminary result that has waited for four hours; returns how many.

    History that a file brought as preliminary waits in the list without an alert each.
    """
    overdue = (
        PcrResult.objects.filter(
            status=ResultStatus.PRELIMINARY,
            superseded_by__isnull=True,
            recorded_at__lte=now - UNVERIFIED_AFTER,
            collected_on__gt=now.date() - dt.timedelta(days=HISTORY_AFTER_DAYS),
        )
        .exclude(pk__in=Alert.objects.filter(kind=AlertKind.UNVERIFIED, evidence__isnull=False).values("evidence_id"))
        .order_by("recorded_at")
    )

    def work(pks: Sequence[int]) -> int:
        results = PcrResult.objects.filter(pk__in=pks).select_related("patient", "laboratory").order_by("recorded_at")
        return sum(_open(AlertKind.UNVERIFIED, result, now) for result in results)

    return set_aside.work_off(
        SetAsideKind.UNVERIFIED, overdue, work, key="public_id", centre="patient__centre_id", limit=limit, now=now
    )


def raise_suspicious(*, now: dt.datetime, limit: int = 50) -> int:
    """Open an alert for each preliminary value above 0.1 % that would lose MMR, looks like a slip, and has waited an
    hour.

    The clinicians know of the possible loss already; this asks the laboratory whether the value is what was measured.
    """
    told = Alert.objects.filter(kind=AlertKind.SUSPICIOUS_VALUE, evidence__isnull=False).values("evidence_id")
    above = Q(response_class=ResponseClass.NO_MMR) | Q(may_exceed_mmr=True)
    doubted = (
        PcrResult.objects.filter(
            Exists(ResponseAssessment.objects.filter(above, result=OuterRef("pk"), superseded_at__isnull=True)),
            status=ResultStatus.PRELIMINARY,
            superseded_by__isnull=True,
            recorded_at__lte=now - SUSPICIOUS_AFTER,
            recorded_at__gt=now - UNVERIFIED_AFTER,
            collected_on__gt=now.date() - dt.timedelta(days=HISTORY_AFTER_DAYS),
        )
        .exclude(pk__in=told)
        .order_by("recorded_at")
    )

    def work(pks: Sequence[int]) -> int:
        results = PcrResult.objects.filter(pk__in=pks).select_related("patient__centre__protocol", "laboratory")
        doubtful = (one for one in results.order_by("recorded_at") if is_doubtful_loss(one))
        return sum(_open(AlertKind.SUSPICIOUS_VALUE, one, now) for one in doubtful)

    return set_aside.work_off(
        SetAsideKind.SUSPICIOUS, doubted, work, key="public_id", centre="patient__centre_id", limit=limit, now=now
    )


def _open(kind: AlertKind, result: PcrResult, now: dt.datetime) -> bool:
    key = result_key(result.laboratory.code, result.accession_number, result.version)
    return open_by_the_clock(
        kind, patient=result.patient, subject_key=f"result/{result.public_id}", evidence_key=key,
        evidence_on=result.collected_on, rule_version=RULE_VERSION, now=now, evidence=result, opening_key=key,
    )  # fmt: skip


class VerificationRefused(Exception):
    """Why this person cannot verify this result now."""


def check_may_verify(result: PcrResult, by: User) -> None:
    """Raise ``VerificationRefused`` unless the result is preliminary and was entered by somebody else."""
    if result.status != ResultStatus.PRELIMINARY:
        said = {"status": result.get_status_display()}
        raise VerificationRefused(_("only a preliminary result is verified; this one is %(status)s") % said)
    if by.pk in _who_wrote(result):
        raise VerificationRefused(own_words())


def own_words() -> str:
    """Why whoever entered or changed a result does not verify it."""
    return _("a second person verifies: you have entered or changed this result yourself")


def _who_wrote(result: PcrResult) -> set[int]:
    """Who has entered or changed a result (by id). To have verified it, which changes nothing it says, is neither."""
    return writers_of(versions_of(result))


def writers_of(versions: Sequence[StoredResult]) -> set[int]:
    """Who has entered or changed the result of which these are all versions (by id)."""
    wrote: set[int] = set()
    said: dict[str, object] | None = None
    for version in versions:
        now_said = content_of(version.report, version.patient_id)
        if said != now_said or version.report.status == ResultStatus.ENTERED_IN_ERROR:
            wrote.add(version.recorded_by_id)
        said = now_said
    return wrote
