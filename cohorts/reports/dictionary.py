"""What each column of the bundle means, with its unit."""

from __future__ import annotations

from cohorts.domain.definition import Definition

MEANINGS = {
    "included": "true for members; false for excluded episodes, whose reason stands in exclusion_reason",
    "patient_id": "pseudonym of the patient at the centre",
    "centre": "code of the centre",
    "sex": "F, M or X",
    "transcript": "transcript of the fusion gene",
    "risk_group": "risk group at diagnosis, by the score of the centre",
    "drug_at_stop": "the TKI that was stopped",
    "attempt": "number of the TFR attempt of the patient, or of the episode among those asked for",
    "exclusion_reason": "why the episode is no member; empty for members",
    "stopped_on": "last day of the drug, time zero",
    "end_on": "end of observation: the event, what else ended it, or the last evaluable PCR off treatment",
    "days": "days from stopped_on to end_on; -1 without an observation",
    "event": "true where the end is the event of the endpoint",
    "end_reason": "what ended the observation",
    "first_dmr_on": "first deep response ever",
    "dmr_run_from": "first result of the run of deep response that ends at the stop",
    "left_censored": "true where deep response began before the first result here: its lengths are lower bounds",
    "restarted_on": "first day of the next TKI",
    "restart_drug": "the next TKI",
    "mmr_regained_on": "first MMR after the restart for a loss",
    "dmr_regained_on": "first deep response after the restart for a loss",
    "last_contact_on": "last recorded contact",
    "withdrawal_syndrome_on": "first day of a withdrawal syndrome after the stop",
    "last_negative_on": "last evaluable sample in MMR before the loss",
    "loss_on": "day of the loss of MMR by the rule of the definition",
    "last_seen_on": "last evaluable sample, on treatment or off it",
    "remission_path": "states since the stop by day: L not in remission, T in it again, D dead, E last seen",
    "TRANSCRIPT_NEVER_SEEN": "true where the assay never detected this patient's transcript",
    "OTHER_DRUG_AFTER_STOP": "true where a drug that is no TKI was taken after the stop",
    "DMR_ACROSS_GAP": "true where the run of deep response spans more than 213 days without a sample",
    "dmr_months": "length of the run of deep response at the stop, months of 30.4375 days; empty where left-censored",
    "tki_months": "days on any TKI up to the stop, in months of 30.4375 days",
    "time_to_dmr_months": "first TKI to first deep response, months of 30.4375 days; empty where left-censored",
    "age_at_diagnosis": "completed years",
    "age_at_stop": "completed years",
    "stop_year": "calendar year of the stop",
    "synthetic": "says that no person stands behind the row",
    "status": "of members: 0 censored, 1 the event, 2 ended by something after which the event cannot come",
}


def meaning_of(column: str, definition: Definition) -> str:
    """The meaning of a column, of a group and of a column of a model by the factor it comes from."""
    kind, _dot, name = column.partition(".")
    if column in MEANINGS:
        return MEANINGS[column]
    if kind == "group":
        factor = definition.factor(name)
        return f"group by {factor.name}" + (f", cut at {factor.cut}" if factor.cut is not None else "")
    if kind == "score":
        return f"published score, {definition.factor(name).source}"
    return f"column of a model: {name}; 1 for the level named, 0 for the reference, or the number itself"
