"""Stored reports written back as the cells of a results file, so that a correction starts from the current values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from monitoring.domain.scoring.laboratory_report import LaboratoryReport, ReplicateReport
from monitoring.intake.numbers import unmistakable


def cells_of_report(report: LaboratoryReport) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The cells of the whole sample, and those of each replicate."""
    whole = {
        "laboratory": report.laboratory,
        "accession_number": report.accession_number,
        "patient_id": report.patient_id,
        "collected_on": str(report.collected),
        "collected_at": _instant(report.collected_at),
        "received_on": report.received_on.isoformat() if report.received_on else "",
        "received_at": _instant(report.received_at),
        "tested_on": report.tested_on.isoformat() if report.tested_on else "",
        "issued_at": _instant(report.issued_at),
        "control_gene": report.control_gene,
        "method": report.method,
        "assay": report.assay_name,
        "kit_lot": report.kit_lot,
        "run": report.run,
        "specimen": report.specimen,
        "conversion_factor": _digits(report.conversion_factor),
        "is_percent": "" if report.is_percent is None else report.is_comparator.strip("=") + _digits(report.is_percent),
        "mr_value": _digits(report.mr_value),
        "reported_class": report.reported_class,
        "detected": "" if report.detected is None else "yes" if report.detected else "no",
        "limit_of_detection": _digits(report.limit_of_detection),
        "limit_of_quantification": _digits(report.limit_of_quantification),
        "reason": report.reason,
    }
    return whole, [_tube(tube) for tube in report.replicates]


def _tube(tube: ReplicateReport) -> dict[str, str]:
    not_counted = "nd" if tube.reported else ""
    return {
        "replicate": str(tube.number),
        "bcr_abl1_copies": not_counted if tube.bcr_abl1_copies is None else _digits(tube.bcr_abl1_copies),
        "control_gene_copies": _digits(tube.control_gene_copies),
        "run_valid": "true" if tube.run_valid else "false",
    }


def _digits(number: Decimal | None) -> str:
    return "" if number is None else unmistakable(number)


def _instant(at: dt.datetime | None) -> str:
    return "" if at is None else at.isoformat()
