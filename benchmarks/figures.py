"""One measured figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Figure:
    """A value with its unit, and what stands beside it."""

    name: str
    value: float
    unit: str
    beside: str = ""
