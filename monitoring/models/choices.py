"""Words of the field for stored values, in both languages."""

from collections.abc import Iterable
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from monitoring.domain.alerting.kinds import KINDS
from monitoring.domain.course.ledger import EventKind
from monitoring.domain.course.off_treatment import StateCode
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.course.series import Drug, FactKind, StopReason
from monitoring.domain.vocabulary.dates import Precision
from monitoring.domain.vocabulary.measurement import FactorState, Flag, Method, Transcript
from monitoring.domain.vocabulary.scale import ControlGene, ResponseClass, Sensitivity

type_choices = list[tuple[str, str | Promise]]

RESPONSE_CLASS: type_choices = [
    (ResponseClass.NO_MMR, _("no MMR")),
    (ResponseClass.MMR, _("MMR")),
    (ResponseClass.MR4, _("MR4")),
    (ResponseClass.MR4_5, _("MR4.5")),
    (ResponseClass.MR5, _("MR5")),
    (ResponseClass.INEVALUABLE_MR4, _("inevaluable for MR4")),
    (ResponseClass.NOT_ON_IS, _("not on the International Scale")),
    (ResponseClass.INVALID, _("invalid")),
]
STOP_REASON: type_choices = [
    (StopReason.TFR_ATTEMPT, _("TFR attempt")),
    (StopReason.INTOLERANCE, _("intolerance")),
    (StopReason.RESISTANCE, _("resistance")),
    (StopReason.PREGNANCY, _("pregnancy")),
    (StopReason.SWITCH, _("switch")),
    (StopReason.DOSE_CHANGE, _("dose change")),
    (StopReason.TRANSPLANT, _("transplant")),
    (StopReason.PATIENT_CHOICE, _("patient's choice")),
    (StopReason.OTHER, _("other")),
    (StopReason.UNKNOWN, _("unknown")),
]
FACT_KIND: type_choices = [
    (FactKind.LAST_CONTACT, _("last contact")),
    (FactKind.DEATH, _("death")),
    (FactKind.PROGRESSION, _("progression")),
    (FactKind.WITHDRAWAL_SYNDROME, _("withdrawal syndrome")),
    (FactKind.PREGNANCY, _("pregnancy")),
    (FactKind.PREGNANCY_END, _("end of pregnancy")),
    (FactKind.MUTATION, _("mutation")),
    (FactKind.ALLOGENEIC_TRANSPLANT, _("allogeneic transplant")),
    (FactKind.SECOND_PRIMARY, _("second primary")),
    (FactKind.LOST_TO_FOLLOW_UP, _("lost to follow-up")),
    (FactKind.CONSENT_WITHDRAWN, _("consent withdrawn")),
    (FactKind.TRANSFER, _("transfer")),
    (FactKind.SAMPLE_TAKEN, _("sample taken")),
]
ALERT_KIND: type_choices = [(row.kind, _(row.words)) for row in KINDS.values()]
CERTAINTY: type_choices = [
    (Certainty.PROVISIONAL, _("provisional")),
    (Certainty.SUSPECTED, _("suspected")),
    (Certainty.CONFIRMED, _("confirmed")),
]
EPISODE_STATE: type_choices = [
    (StateCode.HELD, _("MMR held")),
    (StateCode.NOT_KNOWN, _("response not known")),
    (StateCode.IN_DOUBT, _("provisional loss")),
    (StateCode.NOT_IN_MMR, _("not in MMR")),
    (StateCode.OFF_SCALE, _("off the International Scale")),
    (StateCode.NOT_CONFIRMED, _("loss not confirmed")),
    (StateCode.LOST, _("MMR lost")),
    (StateCode.RESTARTED, _("restarted")),
    (StateCode.DEATH, _("death")),
    (StateCode.TRANSPLANT, _("allogeneic transplant")),
]
FLAG: type_choices = [
    (Flag.LOW_CONTROL, _("too few control gene copies")),
    (Flag.REPLICATES_DISCORDANT, _("replicates contradict each other")),
    (Flag.CAPPED_BY_CONTROL, _("class limited by the control gene copies")),
    (Flag.SENSITIVITY_UNKNOWN, _("sensitivity not known")),
    (Flag.TRANSCRIPT_UNKNOWN, _("transcript not known, never detected by this assay")),
    (Flag.BELOW_LOQ, _("below the limit of quantification")),
    (Flag.CF_EXPIRED, _("conversion factor has expired")),
    (Flag.CF_MISSING, _("no conversion factor")),
    (Flag.CF_MISMATCH, _("another conversion factor is registered")),
    (Flag.IS_MISMATCH, _("reported value and copies disagree")),
    (Flag.NEAR_THRESHOLD, _("rounding could change the class")),
    (Flag.OLD_SAMPLE, _("sample was old when it arrived")),
    (Flag.LAB_CHANGED, _("other laboratory or method than before")),
    (Flag.IMPUTED_DATE, _("date not known to the day")),
]
EVENT_WORD: type_choices = [
    (EventKind.MMR_GAINED, _("MMR reached")),
    (EventKind.MMR_LOST, _("above 0.1 %")),
    (EventKind.DMR_GAINED, _("deep response reached")),
    (EventKind.DMR_LOST, _("deep response lost")),
    (EventKind.TREATMENT_STOPPED, _("treatment stopped")),
    (EventKind.LOSS_OF_MMR, _("loss of MMR off treatment")),
    (EventKind.TREATMENT_RESTARTED, _("treatment restarted")),
    (EventKind.MMR_REGAINED, _("MMR regained after restart")),
    (EventKind.DMR_REGAINED, _("deep response regained after restart")),
]
PHASE: type_choices = [("CP", _("CP")), ("AP", _("AP")), ("BP", _("BP"))]
RISK_GROUP: type_choices = [("low", _("low")), ("intermediate", _("intermediate")), ("high", _("high"))]
ANSWER: type_choices = [("yes", _("yes")), ("no", _("no"))]
SEX: type_choices = [("F", _("female")), ("M", _("male")), ("X", _("other or not stated"))]


def codes(values: type[StrEnum] | Iterable[str]) -> type_choices:
    """Choices whose stored code is also the word that is shown: gene and drug names, internal states."""
    return [(str(value), str(value)) for value in values]


CONTROL_GENE = codes(ControlGene)
METHOD = codes(Method)
DRUG = codes(Drug)
# What people read; the code itself is the international name.
DRUG_WORD: type_choices = [
    (Drug.IMATINIB, _("imatinib")), (Drug.DASATINIB, _("dasatinib")), (Drug.NILOTINIB, _("nilotinib")),
    (Drug.BOSUTINIB, _("bosutinib")), (Drug.PONATINIB, _("ponatinib")), (Drug.ASCIMINIB, _("asciminib")),
    (Drug.FLUMATINIB, _("flumatinib")), (Drug.OLVEREMBATINIB, _("olverembatinib")),
    (Drug.RADOTINIB, _("radotinib")), (Drug.INTERFERON, _("interferon")), (Drug.OTHER, _("other")),
]  # fmt: skip
_TRANSCRIPT_WORD = {Transcript.OTHER: _("other"), Transcript.UNKNOWN: _("not known")}
TRANSCRIPT: type_choices = [(t.value, _TRANSCRIPT_WORD.get(t, t.value)) for t in Transcript]
PRECISION = codes(Precision)
SENSITIVITY = codes(Sensitivity)
FACTOR_STATE = codes(FactorState)
EVENT_KIND = codes(EventKind)
