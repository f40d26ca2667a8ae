"""The columns of the four kinds of file, and of the file to score."""

PATIENT_COLUMNS = (
    "patient_id", "centre", "sex", "birth_date", "birth_year", "diagnosed_on", "transcript", "risk_score",
    "risk_group", "phase", "first_mmr_on", "first_dmr_on", "hospital_number", "family_name", "given_name",
)  # fmt: skip
TREATMENT_COLUMNS = (
    "patient_id", "centre", "drug", "drug_text", "started_on", "stopped_on", "stop_reason", "dose_mg_per_day",
)  # fmt: skip
OBSERVATION_COLUMNS = ("patient_id", "centre", "observed_on", "kind", "detail", "grade")
RESULT_COLUMNS = (
    "laboratory", "accession_number", "patient_id", "centre", "collected_on", "collected_at", "control_gene",
    "replicate", "bcr_abl1_copies", "control_gene_copies", "is_percent", "mr_value", "reported_class", "detected",
    "limit_of_detection", "limit_of_quantification", "received_on", "received_at", "tested_on", "issued_at", "method",
    "assay", "kit_lot", "run", "specimen", "conversion_factor", "run_valid", "status", "version", "reason",
)  # fmt: skip
SCORE_COLUMNS = (*RESULT_COLUMNS, "transcript")

# These may differ between the rows of one accession; all other columns describe the whole sample.
REPLICATE_COLUMNS = ("replicate", "bcr_abl1_copies", "control_gene_copies", "run_valid")
# Names and texts: a spreadsheet that takes them for numbers or dates destroys them.
TEXT_COLUMNS = (
    "laboratory", "accession_number", "patient_id", "centre", "hospital_number", "family_name", "given_name",
    "kit_lot", "run", "assay",
)  # fmt: skip
NUMBER_COLUMNS = (
    "bcr_abl1_copies", "control_gene_copies", "is_percent", "mr_value", "conversion_factor", "limit_of_detection",
    "limit_of_quantification", "dose_mg_per_day",
)  # fmt: skip

REQUIRED_COLUMNS = {
    "patients": ("patient_id", "centre"),
    "treatments": ("patient_id", "drug", "started_on"),
    "observations": ("patient_id", "observed_on", "kind"),
    "results": ("laboratory", "accession_number", "patient_id"),
    "score": ("accession_number",),
}
COLUMNS = {
    "patients": PATIENT_COLUMNS,
    "treatments": TREATMENT_COLUMNS,
    "observations": OBSERVATION_COLUMNS,
    "results": RESULT_COLUMNS,
    "score": SCORE_COLUMNS,
}
# Why a row was refused, beside the row in the file of refused rows: read past when that file is given again.
REFUSED_BECAUSE = "refused_because"
# The columns that name a record: rows with the same values are one record.
KEY_COLUMNS = {
    "patients": ("centre", "patient_id", ""),
    "treatments": ("patient_id", "drug", "started_on"),
    "observations": ("patient_id", "kind", "observed_on"),
    "results": ("laboratory", "accession_number", ""),
}
