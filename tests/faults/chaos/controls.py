"""What the service under fire has that the real one has not: short leases, a patient who breaks the replay, and, for
the controls of the harness itself, a guarantee that is taken away.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig

NIGHTLY_GRACE = dt.timedelta(seconds=10)
NIGHT_LEASE_SECONDS = 30
LEASE_SECONDS = float(os.environ.get("CHAOS_LEASE_SECONDS", "6"))


class Controls(AppConfig):
    name = "tests.faults.chaos"
    label = "chaos"

    def ready(self) -> None:
        from cohorts.management.commands import run_night
        from config.management.commands import alertd
        from monitoring.intake import uploads
        from monitoring.selectors.series import LoadedSeries, load_series
        from monitoring.services.classification import classify
        from monitoring.services.foundation.lead import Lead
        from tasks import statistics
        from tests.faults.chaos.world import POISON

        def load_or_break(patient_ids: Sequence[int]) -> dict[int, LoadedSeries]:
            loaded = load_series(patient_ids)
            if any(one.patient.patient_id == POISON for one in loaded.values()):
                raise ArithmeticError("a series that nobody had thought of")
            return loaded

        Lead.__init__.__defaults__ = (LEASE_SECONDS,)
        alertd.KEEP_LEAD_SECONDS = LEASE_SECONDS / 6
        alertd.NIGHTLY_GRACE = NIGHTLY_GRACE
        uploads.LEASE_SECONDS = int(LEASE_SECONDS)
        run_night.NIGHT_LEASE_SECONDS = statistics.NIGHT_LEASE_SECONDS = NIGHT_LEASE_SECONDS
        classify.load_series = load_or_break
        without = os.environ.get("CHAOS_WITHOUT", "")
        {"lease": _no_lease, "urgency": _no_urgency, "containment": _no_containment}.get(without, lambda: None)()


def _no_lease() -> None:
    """Everybody leads, and what one sends another may send as well."""
    from monitoring.services.alerts import deliveries
    from monitoring.services.foundation.lead import Lead

    Lead.take = Lead.keep = lambda _self: True  # type: ignore[method-assign]  # that is the control
    Lead.is_held = property(lambda _self: True)  # type: ignore[assignment, misc]  # the same
    deliveries.LEASE_SECONDS = -1


def _no_urgency() -> None:
    """First in, first out, and no lists."""
    from monitoring.domain.alerting.kinds import Urgency
    from monitoring.services.alerts.ladders import Ladders

    Ladders.urgency = lambda _self, _alert: Urgency.CONFIRMED  # type: ignore[method-assign]  # that is the control


def _no_containment() -> None:
    """Whatever one patient raises is everybody's."""
    from monitoring.services.classification import classify

    def all_at_once(patient_ids: Sequence[int], now: Any) -> int:
        return classify.reclassify(patient_ids, now=now)

    classify._one_by_one = all_at_once
