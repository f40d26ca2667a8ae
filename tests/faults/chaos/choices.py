"""What a run is made of, chosen by variables of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

KINDS_OF_FAULT = (
    "web", "web child", "worker classify", "worker classify child", "worker bulk", "worker bulk child", "reader",
    "alertd", "standby", "alertd frozen",
    "beat", "watchdog", "broker", "flush", "backend", "postmaster", "importer",
)  # fmt: skip
# Chosen by name only: each stands for a run of its own.
MORE_FAULTS = (
    "web frozen", "worker classify frozen", "beat frozen", "standby frozen", "backend frozen", "broker frozen",
    "broker full", "broker locked", "connections", "disk", "clock", "second beat",
    "upload by alertd", "night by alertd",
)  # fmt: skip
# Guarantees that a control takes away: such a run must fail, but without a broker or a beat: those must pass.
CONTROLS = ("alertd", "index", "lease", "urgency", "containment", "broker", "beat")


def _number(name: str, default: int) -> int:
    return int(os.environ.get(f"CHAOS_{name}", str(default)))


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in os.environ.get(f"CHAOS_{name}", "").split(",") if word.strip())


@dataclass(frozen=True, slots=True)
class Choices:
    """One run. Seconds are of this machine's steady clock."""

    kills: int = field(default_factory=lambda: _number("KILLS", 20))
    seed: int = field(default_factory=lambda: _number("SEED", 1))
    patients: int = field(default_factory=lambda: _number("PATIENTS", max(40, 2 * _number("KILLS", 20))))
    losses: int = field(default_factory=lambda: _number("LOSSES", 0))  # 0: every third patient
    faults: tuple[str, ...] = field(default_factory=lambda: _words("FAULTS") or KINDS_OF_FAULT)
    without: str = field(default_factory=lambda: os.environ.get("CHAOS_WITHOUT", ""))
    crowd: int = field(default_factory=lambda: _number("CROWD", 0))  # people who are owed lesser messages first
    mail_down_seconds: int = field(default_factory=lambda: _number("MAIL_DOWN_SECONDS", 0))
    beats: int = field(default_factory=lambda: _number("BEATS", 1))  # 2: as if another host had one too
    pause_seconds: int = field(default_factory=lambda: _number("PAUSE_SECONDS", 4))
    disk_mib: int = field(default_factory=lambda: _number("DISK_MIB", 0))  # the data on a disk of this size
    history: str = field(default_factory=lambda: os.environ.get("CHAOS_HISTORY", ""))

    def __post_init__(self) -> None:
        unknown = {*self.faults} - {*KINDS_OF_FAULT, *MORE_FAULTS}
        if unknown:
            raise SystemExit(f"CHAOS_FAULTS: {', '.join(sorted(unknown))} is none of {KINDS_OF_FAULT + MORE_FAULTS}")
        if self.without and self.without not in CONTROLS:
            raise SystemExit(f"CHAOS_WITHOUT: {self.without} is none of {', '.join(CONTROLS)}")
        if "disk" in self.faults and not self.disk_mib:
            raise SystemExit("CHAOS_FAULTS=disk needs CHAOS_DISK_MIB, the size of the disk that is filled")

    @property
    def lost_every(self) -> int:
        """Every so manieth patient loses MMR."""
        return max(1, self.patients // self.losses) if self.losses else 3
