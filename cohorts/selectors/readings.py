"""The kept readings of a rule as columns, in one read."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from django.db import connection
from psycopg.sql import SQL, Composable, Identifier, Literal

from cohorts.domain.readings import DATES, FLAGS, NUMBER, NUMBERS, PATIENT_TEXTS, TEXTS, Column, Columns
from monitoring.models import Centre, Patient, ReadingRule, StoredReading

NO_DAY = np.datetime64("NaT", "D").astype(np.int64)


def load_readings(rule: ReadingRule) -> Columns:
    """Every time off treatment as read by this rule. Numbers are NaN and dates NaT where there is none."""
    frame = _frame(rule)
    columns: dict[str, Column] = {}
    for name in TEXTS:
        texts = frame[name].cat
        columns[name] = texts.categories.to_numpy(dtype=object)[texts.codes.to_numpy()]
    for name in FLAGS:
        columns[name] = (frame[name] == "t").to_numpy(dtype=bool)
    for name in DATES:
        days = frame[name].to_numpy()
        none = np.isnan(days)
        whole = np.where(none, 0, days).astype(np.int64)
        whole[none] = NO_DAY
        columns[name] = whole.view("datetime64[D]")
    for name in NUMBERS:
        columns[name] = frame[name].to_numpy()
    return columns


def _frame(rule: ReadingRule) -> pd.DataFrame:
    """The rows as the database copies them: days since 1970, flags as t and f."""
    of_patient = {"patient_id": SQL("patient.patient_id"), "centre": SQL("centre.code")}
    selected = [
        *(of_patient.get(name, SQL("patient.{}").format(Identifier(name))) for name in PATIENT_TEXTS),
        *(_column(name) for name in TEXTS if name not in PATIENT_TEXTS),
        *(_column(name) for name in FLAGS),
        *(SQL("{} - date '1970-01-01'").format(_column(name)) for name in DATES),
        *(_column(name) for name in NUMBERS),
    ]
    statement = SQL(
        "copy (select {} from {} reading join {} patient on patient.id = reading.patient_id"
        " join {} centre on centre.id = patient.centre_id where reading.rule_id = {}"
        # in the order of ``in_order``, which then copies nothing
        ' order by centre.code collate "C", patient.patient_id collate "C", reading.stopped_on'
        ") to stdout (format csv)"
    ).format(
        SQL(", ").join(selected),
        *(Identifier(model._meta.db_table) for model in (StoredReading, Patient, Centre)),
        Literal(rule.pk),
    )
    buffer = io.BytesIO()
    with connection.cursor() as cursor, cursor.cursor.copy(statement) as copy:
        for block in copy:
            buffer.write(block)
    buffer.seek(0)
    types: dict[str, str | type[np.float32]] = {
        **dict.fromkeys((*TEXTS, *FLAGS), "category"),
        **dict.fromkeys((*DATES, *NUMBERS), NUMBER),
    }
    return pd.read_csv(
        buffer,
        names=[*TEXTS, *FLAGS, *DATES, *NUMBERS],
        dtype=types,
        keep_default_na=False,
        na_values={name: [""] for name in (*DATES, *NUMBERS)},
    )


def _column(name: str) -> Composable:
    return SQL("reading.{}").format(Identifier(name))
