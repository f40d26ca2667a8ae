"""The columns of the member file, in the order of the contract. Apart, because the pages name them and load nothing."""

CSV_COLUMNS = (
    "patient_id", "attempt", "included", "exclusion_reason", "stopped_on", "end_on", "days", "months", "event",
    "end_reason", "first_dmr_on", "dmr_months", "tki_months", "time_to_dmr_months", "age_at_diagnosis", "age_at_stop",
    "sex", "transcript", "drug_at_stop", "risk_group", "centre", "groups", "dmr_run_from",
)  # fmt: skip
