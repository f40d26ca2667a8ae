"""What a change of facts does to the alerts of one patient: the difference between what stood and what would stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.domain.alerting.intention import Intention


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """The alerts that would be opened, told again because they are graver, or ended."""

    opened: tuple[Intention, ...] = ()
    told_again: tuple[Intention, ...] = ()
    ended: tuple[Intention, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.told_again or self.ended)


def alert_changes(before: Iterable[Intention], after: Iterable[Intention]) -> AlertChanges:
    """The difference between the intentions of two replays; those that close an alert stand for none."""
    standing, coming = _standing(before), _standing(after)
    return AlertChanges(
        opened=tuple(one for key, one in coming.items() if key not in standing),
        told_again=tuple(
            one
            for key, one in coming.items()
            if key in standing and one.is_told_again(standing[key].certainty, standing[key].level_percent)
        ),
        ended=tuple(one for key, one in standing.items() if key not in coming),
    )


def _standing(intentions: Iterable[Intention]) -> dict[tuple[str, str], Intention]:
    return {(one.kind.value, one.subject_key): one for one in intentions if not one.closing}
