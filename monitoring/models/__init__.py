"""What is kept. Facts are never edited; opinions say which rule they come from."""

from monitoring.models.alerts import Alert, AlertDelivery, DeliveryAttempt
from monitoring.models.backtests import BackTest
from monitoring.models.centres import Centre, Membership, Role
from monitoring.models.channels import AlertEndpoint, EndpointKind
from monitoring.models.episodes import ResponseEvent, TfrEpisode
from monitoring.models.escalation import Absence, AlertKindSetting, DutyHours, EscalationPolicy
from monitoring.models.laboratories import Assay, ConversionFactor, Laboratory, LaboratoryCentre, LaboratorySetting
from monitoring.models.operations import (
    AccessEvent,
    ApiToken,
    ClassificationRequest,
    Heartbeat,
    IdempotentRequest,
    ImportRun,
    JobRun,
    Lead,
    SetAside,
    SetAsideKind,
    SignInTries,
)
from monitoring.models.patients import Patient, PatientIdentity
from monitoring.models.plans import MonitoringPlan
from monitoring.models.protocols import Protocol
from monitoring.models.readings import ReadingRule, StoredReading
from monitoring.models.record_changes import RecordChange, RecordChangeKind
from monitoring.models.results import LateReport, PcrResult, Replicate, ResponseAssessment, ResultStatus
from monitoring.models.reviews import ReviewNote
from monitoring.models.runs import BenchRun, RunControl, RunRow, RunState
from monitoring.models.treatments import Observation, TkiCourse

__all__ = [
    "Absence",
    "AccessEvent",
    "Alert",
    "AlertDelivery",
    "AlertEndpoint",
    "AlertKindSetting",
    "ApiToken",
    "Assay",
    "BackTest",
    "BenchRun",
    "Centre",
    "ClassificationRequest",
    "ConversionFactor",
    "DeliveryAttempt",
    "DutyHours",
    "EndpointKind",
    "EscalationPolicy",
    "Heartbeat",
    "IdempotentRequest",
    "ImportRun",
    "JobRun",
    "Laboratory",
    "LaboratoryCentre",
    "LaboratorySetting",
    "LateReport",
    "Lead",
    "Membership",
    "MonitoringPlan",
    "Observation",
    "Patient",
    "PatientIdentity",
    "PcrResult",
    "Protocol",
    "ReadingRule",
    "RecordChange",
    "RecordChangeKind",
    "Replicate",
    "ResponseAssessment",
    "ResponseEvent",
    "ResultStatus",
    "ReviewNote",
    "Role",
    "RunControl",
    "RunRow",
    "RunState",
    "SetAside",
    "SetAsideKind",
    "SignInTries",
    "StoredReading",
    "TfrEpisode",
    "TkiCourse",
]
