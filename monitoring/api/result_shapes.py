"""What a result looks like in answers and bodies of the API; the addresses stand in ``results``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers

from monitoring.api.explained import ReasonOut
from monitoring.api.fields import NumberIn, NumberOut, PartialDateField
from monitoring.api.parsing import cells_of
from monitoring.api.refusals import field_refusal
from monitoring.domain.vocabulary.reasons import Reason
from monitoring.intake.columns import RESULT_COLUMNS
from monitoring.intake.tables import TableRow
from monitoring.models import (
    ClassificationRequest,
    Patient,
    PcrResult,
    Replicate,
    ResponseAssessment,
    ResultStatus,
)
from monitoring.models.choices import RESPONSE_CLASS
from monitoring.selectors.as_of import standing_results
from monitoring.selectors.why import class_reason

REPLICATE_FIELDS = ("replicate", "bcr_abl1_copies", "control_gene_copies", "run_valid")


# --- answers -----------------------------------------------------------------------------------------------------


def _class_reason(assessment: ResponseAssessment) -> Reason:
    return class_reason(assessment, assessment.result)


class AssessmentOut(serializers.Serializer[ResponseAssessment]):
    """What the rules made of a result."""

    response_class = serializers.ChoiceField(choices=RESPONSE_CLASS)
    flags = serializers.ListField(source="flag_codes", child=serializers.CharField())
    is_percent = NumberOut()
    mr_value = NumberOut()
    sensitivity = serializers.ChoiceField(choices=["NONE", "MR4", "MR4_5", "MR5"])
    detected = serializers.BooleanField()
    upper_bound_percent = NumberOut()
    conversion_factor = NumberOut()
    factor_state = serializers.CharField()
    rule_version = serializers.CharField()
    assessed_at = serializers.DateTimeField()
    reason = ReasonOut(of=_class_reason)


class ReplicateOut(serializers.Serializer[Any]):
    """One tube; ``bcr_abl1_copies`` null is not detected where ``bcr_abl1_reported``, else not counted."""

    replicate = serializers.IntegerField(source="number")
    bcr_abl1_reported = serializers.BooleanField()
    bcr_abl1_copies = NumberOut()
    control_gene_copies = NumberOut()
    run_valid = serializers.BooleanField()


class PendingOrDone(serializers.ChoiceField):
    """Whether a class waits to be computed."""

    def to_representation(self, value: Any) -> str:
        return "pending" if value else "done"


class ResultOut(serializers.Serializer[PcrResult]):
    """The current version of a result."""

    id = serializers.UUIDField(source="public_id")
    version = serializers.IntegerField()
    laboratory = serializers.CharField(source="laboratory.code")
    accession_number = serializers.CharField()
    patient = serializers.UUIDField(source="patient.public_id")
    patient_id = serializers.CharField(source="patient.patient_id")
    centre = serializers.CharField(source="patient.centre.code")
    collected_on = PartialDateField()
    collected_at = serializers.DateTimeField(allow_null=True)
    received_on = serializers.DateField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)
    tested_on = serializers.DateField(allow_null=True)
    issued_at = serializers.DateTimeField(allow_null=True)
    control_gene = serializers.CharField()
    method = serializers.CharField()
    assay = serializers.CharField(source="assay_name")
    kit_lot = serializers.CharField()
    run = serializers.CharField()
    specimen = serializers.CharField()
    conversion_factor = NumberOut()
    is_percent = NumberOut()
    is_comparator = serializers.CharField()
    mr_value = NumberOut()
    reported_class = serializers.CharField()
    detected = serializers.BooleanField(allow_null=True)
    limit_of_detection = NumberOut()
    limit_of_quantification = NumberOut()
    status = serializers.ChoiceField(choices=ResultStatus.values)
    reason = serializers.CharField()
    replicates = ReplicateOut(many=True)
    recorded_at = serializers.DateTimeField()
    recorded_by = serializers.CharField(source="recorded_by.username")
    classification = PendingOrDone(choices=["pending", "done"], source="is_owed")
    assessment = AssessmentOut(allow_null=True)
    notes = serializers.ListField(
        child=serializers.CharField(),
        help_text="what was read otherwise than written, where the result was sent",
    )

    def to_representation(self, instance: PcrResult) -> dict[str, Any]:
        standing = instance.standing_assessments  # type: ignore[attr-defined]  # prefetched
        instance.assessment = standing[0] if standing else None  # type: ignore[attr-defined]  # for the answer
        instance.notes = getattr(instance, "notes", ())  # type: ignore[attr-defined]  # set where the result was sent
        return super().to_representation(instance)


def as_answered(results: QuerySet[PcrResult]) -> QuerySet[PcrResult]:
    """Results with all that an answer shows, in a fixed number of queries."""
    return (
        results.select_related("patient__centre", "laboratory", "recorded_by")
        .annotate(is_owed=Exists(ClassificationRequest.objects.filter(patient=OuterRef("patient"))))
        .prefetch_related(
            Prefetch("replicates", Replicate.objects.order_by("number")),
            Prefetch(
                "assessments",
                ResponseAssessment.objects.filter(superseded_at__isnull=True),
                to_attr="standing_assessments",
            ),
        )
    )


def visible_results(user: Any) -> QuerySet[PcrResult]:
    """Current versions of results of patients this person may see."""
    return standing_results(None).filter(patient__in=Patient.objects.visible_to(user))


# --- what is sent ------------------------------------------------------------------------------------------------


class ReplicateIn(serializers.Serializer[Any]):
    """One tube; ``bcr_abl1_copies`` null is not detected."""

    replicate = serializers.IntegerField(required=False, min_value=1, max_value=99)
    bcr_abl1_copies = NumberIn(required=False)
    control_gene_copies = NumberIn(required=False)
    run_valid = serializers.BooleanField(required=False, allow_null=True)


class ResultChangeIn(serializers.Serializer[Any]):
    """The columns of a results file; what is left out or null is not known."""

    centre = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=60)
    collected_on = PartialDateField(required=False)
    collected_at = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    received_on = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    received_at = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    tested_on = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    issued_at = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    control_gene = serializers.CharField(required=False, allow_null=True, help_text="ABL1, GUSB or BCR")
    replicate = NumberIn(required=False)
    bcr_abl1_copies = NumberIn(required=False, help_text="for one tube without `replicates`; `nd` is not detected")
    control_gene_copies = NumberIn(required=False)
    run_valid = serializers.BooleanField(required=False, allow_null=True)
    is_percent = NumberIn(required=False, help_text="also `<0.0032` or `>55`")
    mr_value = NumberIn(required=False)
    reported_class = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    detected = serializers.CharField(required=False, allow_null=True, help_text="yes or no")
    limit_of_detection = NumberIn(required=False)
    limit_of_quantification = NumberIn(required=False)
    method = serializers.CharField(required=False, allow_null=True, help_text="rt-qpcr, dpcr or cartridge")
    assay = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=100)
    kit_lot = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=60)
    run = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, max_length=60, help_text="the run of the laboratory's bench"
    )
    specimen = serializers.CharField(required=False, allow_null=True, help_text="PB or BM")
    conversion_factor = NumberIn(required=False)
    replicates = ReplicateIn(many=True, required=False)


class ResultIn(ResultChangeIn):
    """A new result, or one that is known already."""

    laboratory = serializers.CharField(max_length=60)
    accession_number = serializers.CharField(max_length=60)
    patient_id = serializers.CharField(max_length=60)
    status = serializers.ChoiceField(choices=ResultStatus.values, required=False)
    version = NumberIn(required=False)
    reason = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=500)


class AmendIn(ResultChangeIn):
    """The fields that change, and why; what is left out stays, null empties."""

    reason = serializers.CharField(max_length=500)
    patient_id = serializers.CharField(max_length=60, required=False)


class ReasonIn(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=500)


AMENDABLE = tuple(c for c in RESULT_COLUMNS if c not in ("laboratory", "accession_number", "status", "version"))


def rows_of(body: Mapping[str, Any], cells: Mapping[str, str]) -> list[TableRow]:
    """The rows of a results file that say the same as a body: one a replicate."""
    tubes = body.get("replicates")
    if tubes is None:
        return [TableRow(1, {**cells, **_said_by_null(body, cells)})]
    doubled = next((name for name in REPLICATE_FIELDS if cells.get(name)), None)
    if doubled:
        raise field_refusal(doubled, cells[doubled], _("is given beside replicates; write it inside them"))
    if not isinstance(tubes, list) or not 1 <= len(tubes) <= 100:
        raise field_refusal("replicates", "", _("write a list of 1 to 100 replicates"))
    return [TableRow(1, {**cells, **_tube_cells(number, tube)}) for number, tube in enumerate(tubes, start=1)]


def _tube_cells(position: int, tube: object) -> dict[str, str]:
    if not isinstance(tube, dict):
        raise field_refusal("replicates", "", _("replicate %(position)s must be an object") % {"position": position})
    own = {"replicate": str(position), **cells_of(tube, REPLICATE_FIELDS)}
    return own | _said_by_null(tube, own)


def _said_by_null(tube: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, str]:
    """Null copies beside a number of control copies are not detected; an empty text is no way to say it."""
    for name in ("bcr_abl1_copies", "control_gene_copies"):
        if tube.get(name) is not None and own[name] == "":
            reason = _(
                "an empty text says nothing; write a number, null beside the control copies for not detected, or "
                "leave the field out"
            )
            raise field_refusal(name, "", reason)  # fmt: skip
    is_undetected = "bcr_abl1_copies" in tube and tube["bcr_abl1_copies"] is None and own.get("control_gene_copies")
    return {"bcr_abl1_copies": "nd"} if is_undetected else {}
