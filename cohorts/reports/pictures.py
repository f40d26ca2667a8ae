"""Pictures of a snapshot for papers: SVG and PNG, legible in grey, with the risk table on the axis of the curve.

Loads matplotlib, which takes a second: commands and tasks only.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib as mpl
from django.conf import settings
from django.utils.translation import gettext as _
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cohorts.wording.figures import factor_name, level_word, p_value, two_decimals
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

FONT = settings.BASE_DIR / "static" / "vendor" / "noto-sans-sc" / "NotoSansCJKsc-Regular-subset.otf"
WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 6.6, 4.4, 300
# Told apart without colour: the line, the weight and the mark differ.
STYLES = (("-", 1.8), ("--", 1.6), (":", 2.0), ("-.", 1.6), ((0, (5, 1, 1, 1, 1, 1)), 1.4))
MOST_LINES = len(STYLES)
TICKS = 9
Points = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawing under a name that is a file name too."""

    name: str
    title: str
    figure: Figure

    def svg(self) -> bytes:
        """The drawing as SVG; letters are outlines, and the same figures give the same bytes."""
        return self._saved("svg", {"Date": None, "Creator": None})

    def png(self) -> bytes:
        """The drawing with 300 dots an inch."""
        return self._saved("png", {"Software": None})

    def _saved(self, kind: str, metadata: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": self.name, "svg.fonttype": "path"}):
            self.figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        return buffer.getvalue()


def pictures_of(shown: Mapping[str, Any]) -> list[Picture]:
    """Every picture that a snapshot, as somebody may see it, has the figures for. Words in the language in force."""
    # A centre called A$x$ is no formula.
    with mpl.rc_context({"font.family": _family(), "font.size": 9, "text.parse_math": False}):
        pictures = [picture for picture in _drawn(shown) if picture is not None]
        for picture in pictures:
            if "synthetic" in shown:
                picture.figure.text(0.995, 0.005, shown["synthetic"], ha="right", va="bottom", fontsize=6, color="0.3")
        return pictures


@cache
def _family() -> str:
    """The name of our font, made known once."""
    font_manager.fontManager.addfont(str(FONT))
    return str(font_manager.FontProperties(fname=str(FONT)).get_name())


def _drawn(shown: Mapping[str, Any]) -> list[Picture | None]:
    curve = shown.get("kaplan_meier") or {}
    factors = list(enumerate(shown.get("univariate") or [], start=1))
    return [
        _survival("kaplan-meier", curve),
        _incidence(shown.get("competing_risks")),
        # Numbered: an id is a text of people, and no file name.
        *(_by_group(factor, f"factor-{number}") for number, factor in factors),
        *(_spline(factor, f"spline-{number}") for number, factor in factors if factor.get("spline")),
        _centres(shown.get("by_centre")),
    ]


# --- curves ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A curve with its name and its steps."""

    label: str
    points: Points


def _months(point: Mapping[str, Any]) -> float:
    return float(point["days"]) / DAYS_PER_MONTH


def _survival(name: str, curve: Mapping[str, Any]) -> Picture | None:
    if not curve.get("points"):
        return None
    title = _("Remaining in remission after the stop (Kaplan-Meier)")
    return _curves(name, title, [Line(_("all members"), curve["points"])], band=True)


def _by_group(factor: Mapping[str, Any], name: str) -> Picture | None:
    groups = [g for g in factor.get("groups") or [] if g.get("points")]
    if not 2 <= len(groups) <= MOST_LINES:
        return None
    test = factor.get("logrank")
    p = "" if not test else f" · {_('log-rank')} P {p_value(test['p'])}"
    lines = [Line(level_word(group["label"]), group["points"]) for group in groups]
    return _curves(name, f"{factor_name(factor['name'])}{p}", lines, band=False)


def _curves(name: str, title: str, lines: Sequence[Line], *, band: bool) -> Picture:
    """Steps with censorings, and under each tick of the axis how many are at risk, had the event, were censored."""
    rows = 3 * len(lines)
    height = HEIGHT_INCHES + 0.17 * (rows + len(lines))
    figure = Figure(figsize=(WIDTH_INCHES, height))
    table_share = (0.17 * (rows + len(lines)) + 0.75) / height
    axes = figure.add_axes((0.15, table_share, 0.82, 0.94 - table_share))
    longest = max(_months(line.points[-1]) for line in lines)
    ticks = _ticks(longest)
    for line, (style, width) in zip(lines, STYLES, strict=False):
        _draw(axes, line, style, width, band=band)
    axes.set_xlim(0, max(ticks[-1], longest))
    axes.set_ylim(0, 1.02)
    axes.set_xticks(ticks)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axes.set_ylabel(_("in remission, %"))
    axes.set_xlabel(_("months since the stop"))
    axes.set_title(title, fontsize=10, loc="left")
    if len(lines) > 1:
        axes.legend(frameon=False, loc="best")
    _tidy(axes)
    _risk_table(figure, axes, lines, ticks, height)
    return Picture(name, title, figure)


def _ticks(longest: float) -> list[int]:
    step = next((s for s in (1, 2, 3, 6, 12, 24, 36, 60) if longest / s <= TICKS), 120)
    return list(range(0, int(longest) + step, step))


def _draw(axes: Axes, line: Line, style: Any, width: float, *, band: bool) -> None:
    months = [0.0, *(_months(p) for p in line.points)]
    estimate = [1.0, *(p["estimate"] for p in line.points)]
    label = (
        f"\N{ZERO WIDTH SPACE}{line.label}" if line.label.startswith("_") else line.label
    )  # else left out of the legend
    axes.step(months, estimate, where="post", color="black", linestyle=style, linewidth=width, label=label)
    censored = [(_months(p), p["estimate"]) for p in line.points if p["censored"]]
    if censored:
        axes.plot(*zip(*censored, strict=True), linestyle="none", marker="|", color="black", markersize=6)
    if band:
        inside = [p for p in line.points if p["lower"] is not None]
        lower, upper = ([1.0, *(p[side] for p in inside)] for side in ("lower", "upper"))
        axes.fill_between([0.0, *(_months(p) for p in inside)], lower, upper, step="post", color="0.85", linewidth=0)


def _risk_table(figure: Figure, axes: Axes, lines: Sequence[Line], ticks: Sequence[int], height: float) -> None:
    """The extended risk table, each column under its tick."""
    below = -0.62 / (axes.get_position().height * height)
    row = -0.17 / (axes.get_position().height * height)
    place = below
    words = (_("at risk"), _("events"), _("censored"))
    for line in lines:
        if len(lines) > 1:
            axes.text(-0.03, place, line.label, transform=axes.transAxes, ha="right", va="top", fontsize=7.5)
            place += row
        for word, of in zip(words, (_at_risk, _events, _censored), strict=True):
            axes.text(-0.03, place, word, transform=axes.transAxes, ha="right", va="top", fontsize=7.5, color="0.3")
            for tick in ticks:
                axes.text(
                    tick, place, str(of(line.points, tick)), transform=axes.get_xaxis_transform(), ha="center",
                    va="top", fontsize=7.5,
                )  # fmt: skip
            place += row


def _at_risk(points: Points, months: float) -> int:
    position = bisect.bisect_left([p["days"] for p in points], months * DAYS_PER_MONTH)
    return int(points[position]["at_risk"]) if position < len(points) else 0


def _events(points: Points, months: float) -> int:
    return sum(int(p["events"]) for p in points if p["days"] <= months * DAYS_PER_MONTH)


def _censored(points: Points, months: float) -> int:
    return sum(int(p["censored"]) for p in points if p["days"] < months * DAYS_PER_MONTH)


def _incidence(risks: Mapping[str, Any] | None) -> Picture | None:
    if not risks or not risks["event"]["points"] or not risks["competing_event"]["points"]:
        return None
    figure, axes = _plain(_("Cumulative incidence (Aalen-Johansen)"), _("months since the stop"), "%")
    both = ((_("the event"), risks["event"]), (_("something else first"), risks["competing_event"]))
    for (label, found), (style, width) in zip(both, STYLES, strict=False):
        months = [0.0, *(_months(p) for p in found["points"])]
        estimate = [0.0, *(100 * p["estimate"] for p in found["points"])]
        axes.step(months, estimate, where="post", color="black", linestyle=style, linewidth=width, label=label)
    axes.set_ylim(0, 100)
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
    return Picture("cumulative-incidence", axes.get_title(loc="left"), figure)


# --- other pictures ----------------------------------------------------------------------------------------------


def _plain(title: str, x_name: str, y_name: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _spline(factor: Mapping[str, Any], file_name: str) -> Picture:
    spline = factor["spline"]
    name = factor_name(factor["name"])
    title = _("hazard ratio along the factor, against its median")
    figure, axes = _plain(f"{title} ({two_decimals(spline['reference'])})", name, _("hazard ratio"))
    values, ratio, lower, upper = ([p[key] for p in spline["points"]] for key in ("value", "hr", "lower", "upper"))
    axes.fill_between(values, lower, upper, color="0.85", linewidth=0)
    axes.plot(values, ratio, color="black", linewidth=1.8)
    axes.axhline(1, color="0.4", linestyle="--", linewidth=0.8)
    axes.set_yscale("log")
    return Picture(file_name, axes.get_title(loc="left"), figure)


def _centres(found: Mapping[str, Any] | None) -> Picture | None:
    centres = sorted((c for c in (found or {}).get("centres", []) if c["evaluable"]), key=lambda c: c["evaluable"])
    if found is None or len(centres) < 2:
        return None
    title = _("share of losses by month 12 of each centre over its size")
    figure, axes = _plain(title, _("evaluable"), _("lost by month 12"))
    sizes = [c["evaluable"] for c in centres]
    for level, style in (("0.95", "-"), ("0.998", ":")):
        for side in (0, 1):
            axes.plot(sizes, [c["limits"][level][side] for c in centres], color="0.3", linestyle=style, linewidth=1)
    axes.axhline(found["proportion"], color="0.4", linestyle="--", linewidth=0.8)
    axes.plot(sizes, [c["proportion"] for c in centres], linestyle="none", marker="o", color="black", markersize=4)
    for centre in centres:
        axes.annotate(centre["centre"], (centre["evaluable"], centre["proportion"]), xytext=(4, 3),
                      textcoords="offset points", fontsize=7)  # fmt: skip
    axes.set_ylim(-0.02, 1.02)
    return Picture("centres", title, figure)
