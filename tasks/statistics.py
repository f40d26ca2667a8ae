"""The night: one row per cohort and slot, each claimed once, all by one task that reads the readings once."""

from __future__ import annotations

import datetime as dt

from celery import shared_task
from django.conf import settings

from cohorts.services.night_queue import NIGHT_LEASE_SECONDS, owe_night
from monitoring import clock
from monitoring.services.settings.backtests import run_backtest
from tasks.hints import BUILD_READINGS, COUNT_MEMBERS, MAKE_OUTPUT, RECOMPUTE_NIGHT, RUN_BACKTEST, publish
from tasks.schedule import latest_nightly_slot

STATS_TIME_LIMIT_SECONDS = 3600
BUILD_SECONDS = 30
BACKTEST_SECONDS = 20
OUTPUT_TIME_LIMIT_SECONDS = 240
COUNT_TIME_LIMIT_SECONDS = 60


@shared_task(name="tasks.recompute_all_cohorts")
def recompute_all_cohorts() -> int:
    """Write the night's slot for every active cohort and hint to a worker."""
    slot = latest_nightly_slot(clock.now(), settings.NIGHTLY_HOUR, settings.NIGHTLY_MINUTE)
    slugs = owe_night(slot)
    publish(RECOMPUTE_NIGHT, slot.isoformat())
    return len(slugs)


@shared_task(name=RECOMPUTE_NIGHT, time_limit=STATS_TIME_LIMIT_SECONDS + 60, soft_time_limit=STATS_TIME_LIMIT_SECONDS)
def recompute_night(slot: str) -> int:
    """Recompute the cohorts of one slot that nobody else has; returns how many this call did."""
    # Every worker imports this module, and only the process that computes needs lifelines, which takes seconds to load.
    from cohorts.services.nightly import run_whole_night

    return run_whole_night(dt.datetime.fromisoformat(slot), lease_seconds=NIGHT_LEASE_SECONDS)


@shared_task(name=BUILD_READINGS, time_limit=STATS_TIME_LIMIT_SECONDS + 60, soft_time_limit=STATS_TIME_LIMIT_SECONDS)
def build_readings() -> bool:
    """Read everybody by the rules of new cohorts, so that their first night has only to compute.

    A short while at a time: uploads, sweeps and the night stand in the same queue.
    """
    from cohorts.services.kept_readings import build_some  # it loads pandas, which takes a second

    more = build_some(seconds=BUILD_SECONDS)
    if more:
        publish(BUILD_READINGS)
    return more


@shared_task(name=RUN_BACKTEST)
def back_test(pk: int) -> bool:
    """Run a change of rules against more of history, a short while at a time; returns whether some is left."""
    more = run_backtest(pk, seconds=BACKTEST_SECONDS)
    if more:
        publish(RUN_BACKTEST, pk)
    return more


@shared_task(name=MAKE_OUTPUT, time_limit=OUTPUT_TIME_LIMIT_SECONDS + 30, soft_time_limit=OUTPUT_TIME_LIMIT_SECONDS)
def make_output(pk: int) -> bool:
    """Make a file that somebody asked for on a page; returns whether this call did it."""
    from cohorts.services.making import make  # it loads the statistics, matplotlib and Typst

    return make(pk)


@shared_task(name=COUNT_MEMBERS, time_limit=COUNT_TIME_LIMIT_SECONDS + 30, soft_time_limit=COUNT_TIME_LIMIT_SECONDS)
def count_members(pk: int) -> bool:
    """Count who would be a member by a definition that is being written; False while its readings are not built."""
    from cohorts.services.counting import count  # it loads pandas

    done = count(pk)
    if not done:
        publish(COUNT_MEMBERS, pk)
    return done
