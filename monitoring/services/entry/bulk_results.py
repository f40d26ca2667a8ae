"""Recording plain results by the thousand: what ``record_results`` does with reports that leave nothing to judge.

Plain rows (``monitoring.intake.plain``) are known to be readable cell by cell. Here the database compares them with
each other, with their patients and with what is stored, and takes two kinds of record: a result of a known patient
that is new, and one that is stored already, word for word. Every other record is left alone and named, for
``record_results`` to judge. A test feeds the same files to both ways and expects the same rows and verdicts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from psycopg import sql

from monitoring.domain.quality.factors import MOST_TIMES
from monitoring.domain.vocabulary.bounds import BOUNDS
from monitoring.models import BenchRun, RunState
from monitoring.selectors.laboratories import reporting_laboratories
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.entry.named_runs import name_runs
from monitoring.services.settings.laboratories import laboratory_twins, make_laboratories, report_for


@dataclass(frozen=True, slots=True)
class PlainOutcome:
    """What became of the plain rows: records by verdict, laboratories with new records, and records left to judge."""

    rows: int
    created: int
    unchanged: int
    laboratories: frozenset[str]
    left: tuple[int, ...]


def record_plain_results(
    rows: bytes, columns: Sequence[str], *, by: User, now: dt.datetime, dry_run: bool = False
) -> PlainOutcome:
    """Store those of these records that are new, and owe their patients a classification, in one transaction.

    ``rows`` are as COPY writes them: number of the record, position of the row in it, and the named columns of the
    file. With ``dry_run`` the answer is the same and nothing is stored.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _take_in(cursor, rows, columns)
        cursor.execute(
            _DECIDE,
            {"today": now.date(), "store": not dry_run, "twins": _twins(cursor), "rejected": _rejected(), **_bounds()},
        )
        cursor.execute("analyze plain_record")
        cursor.execute(_COMPARE_TUBES)
        outcome = _outcome(cursor)
        if outcome.created and not dry_run:
            known = reporting_laboratories(outcome.laboratories)
            make_laboratories(known, outcome.laboratories, dry_run=False)
            cursor.execute(_INSERT_RESULTS, {"by": by.pk, "now": now})
            cursor.execute(_INSERT_REPLICATES)
            cursor.execute("select distinct patient_id from plain_record where verdict = 'created'")
            request_classification((pk for (pk,) in cursor.fetchall()), bulk=True)
            cursor.execute(_NAMED_RUNS)
            name_runs(
                {(known[code].row.pk, run, centre_id) for code, run, centre_id in cursor.fetchall()}, by=by, now=now
            )
            cursor.execute(_REPORTED_FOR)
            report_for([(known[code].row.pk, centre_id) for code, centre_id in cursor.fetchall()])
        cursor.execute("drop table plain_row, plain_record")  # inside an outer transaction they would stay
    return outcome


def _take_in(cursor: Any, rows: bytes, columns: Sequence[str]) -> None:
    cursor.execute(_MAKE_ROWS)
    names = sql.SQL(", ").join(map(sql.Identifier, ("record", "position", *columns)))
    with cursor.cursor.copy(sql.SQL("copy plain_row ({}) from stdin").format(names)) as copy:
        copy.write(rows)
    cursor.execute("analyze plain_row")  # without it the planner guesses a few rows and compares each with each


def _rejected() -> list[str]:
    """Laboratory and name of each run that was rejected, as ``_DECIDE`` compares them."""
    rejected = BenchRun.objects.filter(state=RunState.REJECTED).values_list("laboratory__code", "name")
    return ["\x1f".join(one) for one in rejected]


def _bounds() -> dict[str, Decimal]:
    """The plausible bounds of each number, by parameter, and how far a factor may be from those registered."""
    least = {f"least_{column}": bounds.least for column, bounds in BOUNDS.items()}
    limits = {f"limit_{column}": bounds.limit for column, bounds in BOUNDS.items()}
    return least | limits | {"most_times": Decimal(MOST_TIMES)}


def _twins(cursor: Any) -> list[str]:
    """The new laboratories of these rows that look like another one: not plain, so left to be refused in words."""
    cursor.execute("select distinct laboratory from plain_row")
    codes = {code for (code,) in cursor.fetchall()}
    return list(laboratory_twins(sorted(codes - reporting_laboratories(codes).keys())))


def _outcome(cursor: Any) -> PlainOutcome:
    cursor.execute("""
        select coalesce(sum(tube_count) filter (where verdict <> 'left'), 0),
               count(*) filter (where verdict = 'created'),
               count(*) filter (where verdict = 'unchanged'),
               coalesce(array_agg(distinct laboratory) filter (where verdict = 'created'), '{}')
          from plain_record
    """)
    count, created, unchanged, laboratories = cursor.fetchone()
    cursor.execute("""
        select record from plain_row where position = 1
        except select record from plain_record where verdict <> 'left'
        order by record
    """)
    left = tuple(record for (record,) in cursor.fetchall())
    return PlainOutcome(count, created, unchanged, frozenset(laboratories), left)


# A column that the file does not have is empty, as an empty cell of it would be.
_MAKE_ROWS = """
create temporary table plain_row (
    record integer, position integer, laboratory text, accession_number text, patient_id text, centre text default '',
    collected_on text, collected_at text default '', control_gene text default '', replicate text default '',
    bcr_abl1_copies text default '', control_gene_copies text default '', is_percent text default '',
    mr_value text default '', reported_class text default '', detected text default '',
    limit_of_detection text default '', limit_of_quantification text default '', received_on text default '',
    received_at text default '', tested_on text default '', issued_at text default '', method text default '',
    assay text default '', kit_lot text default '', run text default '', specimen text default '',
    conversion_factor text default '', run_valid text default '', status text default '', version text default '',
    reason text default ''
) on commit drop
"""

# One row a record that can be stored as it stands: its patient is known and one person, its rows agree, its dates are
# in order and its values complete. Each condition is the plain case of a refusal in ``intake.reports`` or
# ``result_judging``.
_DECIDE = """
create temporary table plain_record on commit drop as
with known as materialized (
    select patient.id, patient.patient_id, centre.code as centre,
           patient.born_on, patient.born_precision,
           count(*) over (partition by patient.patient_id) as namesakes
      from monitoring_patient patient join monitoring_centre centre on centre.id = patient.centre_id
     where patient.patient_id in (select patient_id from plain_row)
), tubes as materialized (
    select record,
           count(*) as tube_count,
           count(*) = 1 or bool_and(replicate in ('', position::text)) as numbered_in_order,
           bool_and(bcr_abl1_copies <> '') as all_said,
           bool_or(bcr_abl1_copies <> '') as some_said,
           bool_or(bcr_abl1_copies not in ('', 'nd')) as detected,
           bool_and(control_gene_copies <> '') as all_controlled,
           bool_or(control_gene_copies <> '') as some_controlled,
           bool_or(run_valid in ('false', 'no')) as some_failed,
           bool_and(case when bcr_abl1_copies in ('', 'nd') then true
                         else bcr_abl1_copies::numeric >= %(least_bcr_abl1_copies)s
                          and bcr_abl1_copies::numeric < %(limit_bcr_abl1_copies)s end) as plausible_copies,
           bool_and(case when control_gene_copies = '' then true
                         else control_gene_copies::numeric < %(limit_control_gene_copies)s end) as plausible_control
      from plain_row group by record
), disagreeing as materialized (
    select other.record
      from plain_row one join plain_row other on other.record = one.record and other.position > 1
     where one.position = 1
       and (one.laboratory, one.accession_number, one.patient_id, one.centre, one.collected_on, one.control_gene,
            one.is_percent, one.mr_value, one.reported_class, one.limit_of_detection, one.limit_of_quantification,
            one.received_on, one.tested_on, one.method, one.assay, one.kit_lot, one.run, one.specimen,
            one.conversion_factor, one.status, one.version)
        <> (other.laboratory, other.accession_number, other.patient_id, other.centre, other.collected_on,
            other.control_gene, other.is_percent, other.mr_value, other.reported_class, other.limit_of_detection,
            other.limit_of_quantification, other.received_on, other.tested_on, other.method, other.assay,
            other.kit_lot, other.run, other.specimen, other.conversion_factor, other.status, other.version)
), sample as (
    select record, laboratory, accession_number, patient_id, centre,
           collected_on::date as collected_on,
           nullif(received_on, '')::date as received_on,
           nullif(tested_on, '')::date as tested_on,
           coalesce(nullif(control_gene, ''), 'ABL1') as control_gene,
           method, assay as assay_name, kit_lot, run,
           coalesce(nullif(specimen, ''), 'PB') as specimen,
           nullif(conversion_factor, '')::numeric as conversion_factor,
           nullif(ltrim(is_percent, '<> '), '')::numeric as is_percent,
           case when is_percent ~ '^[<>]' then left(is_percent, 1) else '=' end as is_comparator,
           nullif(mr_value, '')::numeric as mr_value,
           reported_class,
           nullif(limit_of_detection, '')::numeric as limit_of_detection,
           nullif(limit_of_quantification, '')::numeric as limit_of_quantification,
           nullif(version, '')::integer as stated_version
      from plain_row where position = 1
), joined as materialized (  -- before the many conditions: by them the planner expects one row, and would loop over all
    select sample.*, known.id as patient, known.born_on, known.born_precision,
           tube_count, numbered_in_order, all_said, some_said, detected, all_controlled, some_controlled, some_failed,
           plausible_copies, plausible_control
      from sample
      join tubes using (record)
      join known on known.patient_id = sample.patient_id
       and (known.centre = sample.centre or (sample.centre = '' and known.namesakes = 1))
), storable as (
    select joined.*,
           count(*) over (partition by laboratory, patient, collected_on) = 1 as alone,
           some_said or some_controlled or some_failed as has_tubes
      from joined
     where collected_on <= %(today)s
       and (born_on is null or born_precision <> 'day' or collected_on >= born_on)
       and (received_on is null or received_on >= collected_on)
       and (tested_on is null or tested_on >= collected_on)
       and coalesce(received_on, collected_on) <= %(today)s
       and coalesce(tested_on, collected_on) <= %(today)s
       and plausible_copies and plausible_control
       and __PLAUSIBLE__
       and numbered_in_order
       and case
           when detected then
               all_said and (is_percent is not null or mr_value is not null or all_controlled)
           when some_said then
               all_said and mr_value is null and (is_percent is null or is_comparator = '<')
               and (is_percent is not null or limit_of_detection is not null or all_controlled)
               -- What such a limit proves is compared with the copies, and told.
               and (limit_of_detection is null or not some_controlled)
           else is_percent is not null or mr_value is not null
           end
       and record not in (select record from disagreeing)
       and laboratory <> all(%(twins)s)
       and (run = '' or laboratory || chr(31) || run <> all(%(rejected)s))
)
select storable.record, storable.tube_count, storable.has_tubes, storable.laboratory, storable.accession_number,
       storable.patient as patient_id, storable.collected_on, storable.received_on, storable.tested_on,
       storable.control_gene, storable.method, storable.assay_name, storable.kit_lot, storable.run, storable.specimen,
       storable.conversion_factor, storable.is_percent, storable.is_comparator, storable.mr_value,
       storable.reported_class, storable.limit_of_detection, storable.limit_of_quantification,
       storable.stated_version,
       case when not coalesce(factor.is_usual, true) then 'left'
            when stored.id is null and not sibling.stands and alone then 'created'
            when stored.same then 'unchanged' else 'left' end as verdict,
       -- The sequence is looked up once, in a query of its own, and not for each row.
       coalesce(stored.id, case when %(store)s then nextval((
           select pg_get_serial_sequence('monitoring_pcrresult', 'id'))::regclass) end) as id
  from storable
  left join monitoring_laboratory laboratory on laboratory.code = storable.laboratory
  -- The newest version, by the unique key: whatever the statistics say, never by reading all results.
  left join lateral (
      select newest.id,
             newest.version = 1 and newest.status = 'final'
             and newest.patient_id = storable.patient
             and newest.collected_on = storable.collected_on and newest.collected_precision = 'day'
             and newest.control_gene = storable.control_gene and newest.specimen = storable.specimen
             and storable.method in ('', newest.method) and storable.assay_name in ('', newest.assay_name)
             and storable.kit_lot in ('', newest.kit_lot) and storable.run in ('', newest.run)
             and storable.reported_class in ('', newest.reported_class)
             and coalesce(storable.received_on = newest.received_on, storable.received_on is null)
             and coalesce(storable.tested_on = newest.tested_on, storable.tested_on is null)
             and coalesce(storable.conversion_factor = newest.conversion_factor, storable.conversion_factor is null)
             and coalesce(storable.is_percent = newest.is_percent and storable.is_comparator = newest.is_comparator,
                          storable.is_percent is null)
             and coalesce(storable.mr_value = newest.mr_value, storable.mr_value is null)
             and coalesce(storable.limit_of_detection = newest.limit_of_detection,
                          storable.limit_of_detection is null)
             and coalesce(storable.limit_of_quantification = newest.limit_of_quantification,
                          storable.limit_of_quantification is null) as same
        from monitoring_pcrresult newest
       where newest.laboratory_id = laboratory.id and newest.accession_number = storable.accession_number
       order by newest.version desc limit 1
  ) stored on true
  -- Another accession of the same patient, laboratory and day is noted; none is looked for where the result is stored.
  left join lateral (
      select exists (
          select 1 from monitoring_pcrresult other
           where stored.id is null and other.patient_id = storable.patient
             and other.collected_on = storable.collected_on
             and other.laboratory_id = laboratory.id
             and not exists (select 1 from monitoring_pcrresult later where later.supersedes_id = other.id)
             and other.status <> 'entered_in_error'
      ) as stands
  ) sibling on true
  left join lateral (
      select bool_or(known.factor / %(most_times)s < storable.conversion_factor
                     and storable.conversion_factor < known.factor * %(most_times)s) as is_usual
        from monitoring_conversionfactor known
       where known.laboratory_id = laboratory.id and storable.conversion_factor is not null
  ) factor on true
"""

_BOUNDED = ("conversion_factor", "is_percent", "mr_value", "limit_of_detection", "limit_of_quantification")
_DECIDE = _DECIDE.replace(
    "__PLAUSIBLE__",
    " and ".join(f"({n} is null or {n} >= %(least_{n})s and {n} < %(limit_{n})s)" for n in _BOUNDED),
)

# A stored result whose tubes are others than those of the file is not unchanged.
_COMPARE_TUBES = """
update plain_record set verdict = 'left'
 where record in (
    select record
      from (
        select record, coalesce(nullif(replicate, '')::integer, position) as number,
               (run_valid not in ('false', 'no'), bcr_abl1_copies <> '',
                nullif(nullif(bcr_abl1_copies, 'nd'), '')::numeric, nullif(control_gene_copies, '')::numeric) as tube
          from plain_record join plain_row using (record) where verdict = 'unchanged' and has_tubes
      ) given
      full join (
        select record, stored.number::integer as number,
               (stored.run_valid, stored.bcr_abl1_reported, stored.bcr_abl1_copies, stored.control_gene_copies) as tube
          from plain_record
          -- By the unique key of each result, whatever the statistics say:
          -- "offset 0" keeps this from being turned round.
          cross join lateral (select * from monitoring_replicate where result_id = plain_record.id offset 0) stored
         where verdict = 'unchanged' and has_tubes
      ) kept using (record, number)
     where given.tube is distinct from kept.tube
 )
"""

_REPORTED_FOR = """
select distinct laboratory, patient.centre_id
  from plain_record join monitoring_patient patient on patient.id = plain_record.patient_id
 where verdict = 'created'
"""

_NAMED_RUNS = """
select distinct laboratory, run, patient.centre_id
  from plain_record join monitoring_patient patient on patient.id = plain_record.patient_id
 where verdict = 'created' and run <> ''
"""

_INSERT_RESULTS = """
insert into monitoring_pcrresult (
    id, laboratory_id, patient_id, recorded_by_id, recorded_at, accession_number, version, status, reason,
    collected_on, collected_precision, received_on, tested_on, control_gene, method, assay_name, kit_lot, run, specimen,
    conversion_factor, is_percent, is_comparator, mr_value, reported_class, limit_of_detection,
    limit_of_quantification, stated_version
)
select plain_record.id, laboratory.id, patient_id, %(by)s, %(now)s, accession_number, 1, 'final', '',
       collected_on, 'day', received_on, tested_on, control_gene, method, assay_name, kit_lot, run, specimen,
       conversion_factor, is_percent, is_comparator, mr_value, reported_class, limit_of_detection,
       limit_of_quantification, stated_version
  from plain_record join monitoring_laboratory laboratory on laboratory.code = plain_record.laboratory
 where verdict = 'created'
 order by record
"""

_INSERT_REPLICATES = """
insert into monitoring_replicate (
    result_id, number, bcr_abl1_reported, bcr_abl1_copies, control_gene_copies, run_valid
)
select plain_record.id, coalesce(nullif(replicate, '')::integer, position), bcr_abl1_copies <> '',
       nullif(nullif(bcr_abl1_copies, 'nd'), '')::numeric, nullif(control_gene_copies, '')::numeric,
       run_valid not in ('false', 'no')
  from plain_record join plain_row using (record)
 where verdict = 'created' and has_tubes
 order by record, position
"""
