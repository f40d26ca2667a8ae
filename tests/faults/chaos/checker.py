"""What must be there in the end, read from the rows and the mail server's log alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.faults.chaos.choices import Choices
from tests.faults.chaos.service import Service
from tests.faults.chaos.world import POISON, Sample
from tests.smtp_stub import SmtpStub

LIVE = ("open", "acknowledged")
MOST_ATTEMPTS = 3  # at reading a file; the one after it says so on its page
REPEATS_PER_KILL = 1 / 50


def differences(service: Service, sent: Sequence[Sample], stub: SmtpStub) -> list[str]:
    """Everything that is not as it must be."""
    with service.database() as session:
        stored = session.execute(
            "select r.accession_number, a.response_class from monitoring_pcrresult r left join"
            " monitoring_responseassessment a on a.result_id = r.id and a.superseded_at is null"
            " where not exists (select 1 from monitoring_pcrresult n where n.supersedes_id = r.id)"
        ).fetchall()
        alerts = session.execute(
            "select p.patient_id, a.public_id::text, a.state from monitoring_alert a join monitoring_patient p"
            " on p.id = a.patient_id where a.kind = 'loss_of_mmr'"
        ).fetchall()
    truth = {sample.accession: sample for sample in sent}
    wanted = {sample.patient for sample in sent if sample.is_loss}
    live = Counter(patient for patient, _id, state in alerts if state in LIVE)
    reached = _told(stub)
    untold = [patient for patient, alert, state in alerts if state in LIVE and alert not in reached]
    return [
        *_results(truth, stored),
        *(f"the loss of {patient} has no alert" for patient in wanted if not live[patient]),
        *(f"{patient} has {n} alerts" for patient, n in live.items() if n > 1 or patient not in wanted),
        *(f"nobody was told of the loss of {patient}" for patient in untold),
    ]


def _results(truth: dict[str, Sample], stored: Iterable[tuple[str, str | None]]) -> list[str]:
    found = []
    times: Counter[str] = Counter()
    for accession, stored_class in stored:
        times[accession] += 1
        if accession not in truth:
            found.append(f"result {accession} was refused and is stored")
        elif truth[accession].patient != POISON and stored_class != truth[accession].response_class:
            found.append(f"result {accession} has the class {stored_class}")
    found += [f"result {accession} is lost" for accession in truth if not times[accession]]
    return found + [f"result {accession} stands {n} times" for accession, n in times.items() if n > 1]


def _told(stub: SmtpStub) -> set[str]:
    """The ids of the alerts of which an urgent message was taken."""
    texts = (text for _at, _to, text in list(stub.taken) if "URGENT" in text)
    return {found for text in texts for found in re.findall(r"/alerts/([0-9a-f-]{36})/", text)}


def owed_once(service: Service) -> list[str]:
    """Whatever of the night and of the files given on the page was not worked off exactly once."""
    with service.database() as session:
        nights = session.execute(
            "select j.job, j.attempts, j.ok, (select count(*) from cohorts_cohortrun r where r.ok and"
            " r.started_at >= j.slot_at), (select count(*) from cohorts_cohortsnapshot) from monitoring_jobrun j"
            " where j.job like 'recompute_cohort:%'"
        ).fetchall()
        uploads = session.execute(
            "select i.file_name, i.finished_at, j.attempts, j.ok, i.content is null from monitoring_importrun i"
            " left join monitoring_jobrun j on j.job = 'import:' || i.id where i.file_name like 'page-%'"
        ).fetchall()
    found = [f"the night was worked off {len(nights)} times"] if len(nights) != 1 else []
    for job, attempts, ok, runs, snapshots in nights:
        # Between publishing and saying so it may have been killed: the next try finds it unchanged, or newer data.
        if not ok or not 1 <= runs <= attempts or not 1 <= snapshots <= attempts:
            found.append(f"{job}: ok {ok}, {attempts} tries, {runs} runs, {snapshots} snapshots")
    for name, finished_at, attempts, ok, is_let_go in uploads:
        if not finished_at or ok is None or not is_let_go or not 1 <= attempts <= MOST_ATTEMPTS + 1:
            found.append(f"the file {name}: finished {finished_at}, ok {ok}, {attempts} tries")
    return found or ([] if uploads else ["no file was given on the page"])


def repeats(stub: SmtpStub, choices: Choices, dropped: int) -> list[str]:
    """Messages that came again, where they are more than the killed and the dropped ones explain."""
    again = len(stub.keys()) - len(set(stub.keys()))
    allowed = 1 + choices.kills * REPEATS_PER_KILL + dropped
    return [f"{again} messages were repeated, {allowed:.0f} are allowed"] if again > allowed else []
