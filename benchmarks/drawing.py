"""Bars, and nothing that is not needed to read them. The same figures make the same bytes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.report import number

_OURS, _OTHERS = "#1f6feb", "#8c959f"
_INK, _PALE = "#1f2328", "#656d76"
_WIDTH = 8.0  # inches
_BAR, _BELOW = 0.36, 0.12  # inches, as those below; a bar with its gap
_TITLE, _CAPTION = 0.26, 0.34  # a line of the title, the captions
_LETTER = 0.075  # of a label, on the average
_LABEL_LETTERS, _TITLE_LETTERS = 32, 84  # of one line at most
_STYLE: dict[Any, Any] = {
    # Shapes instead of letters: they look the same wherever the picture is shown.
    "svg.fonttype": "path",
    "svg.hashsalt": "uploadgate",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
}


@dataclass(frozen=True, slots=True)
class Bar:
    """`more` is written behind the value."""

    label: str
    value: float
    ours: bool = False
    more: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`caption` says what the bars are and in which unit. `log`: of a scale by powers."""

    caption: str
    bars: Sequence[Bar]
    log: bool = False


def draw(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Side by side; the first panel's labels stand for all, so all have the same bars."""
    lines = textwrap.wrap(title, _TITLE_LETTERS)
    labels = [_label(bar) for bar in panels[0].bars]
    above = 0.1 + _TITLE * len(lines) + _CAPTION
    height = above + _BAR * len(labels) + _BELOW
    left = 0.25 + _LETTER * max(len(line) for label in labels for line in label.splitlines())
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH, height), facecolor="white")
        canvas.subplots_adjust(
            left=left / _WIDTH, right=0.98, top=1 - above / height, bottom=_BELOW / height
        )
        axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for at, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
            _bars(ax, panel, [] if at else labels)
        words: dict[str, Any] = {"weight": "bold", "size": 11.5, "color": _INK, "linespacing": 1.3}
        canvas.text(0.015, 1 - 0.1 / height, "\n".join(lines), ha="left", va="top", **words)
        canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None, "Title": title})


def _label(bar: Bar) -> str:
    return textwrap.fill(bar.label, _LABEL_LETTERS, break_on_hyphens=False)


def _bars(ax: Axes, panel: Panel, labels: Sequence[str]) -> None:
    places = range(len(panel.bars))
    values = [bar.value for bar in panel.bars]
    colours = [_OURS if bar.ours else _OTHERS for bar in panel.bars]
    ax.barh(places, values, height=0.62, color=colours)
    ax.set_yticks(places, labels or [""] * len(values))
    ax.set_ylim(-0.5, len(values) - 0.5)
    ax.invert_yaxis()
    room = 1.4 if any(bar.more for bar in panel.bars) else 1.28  # for what stands at the bars
    if panel.log:
        ax.set_xscale("log")
        ax.set_xlim(min(values) / 4, max(values) * 6)
    else:
        ax.set_xlim(0, max(values) * room or 1)
    for place, bar in zip(places, panel.bars, strict=True):
        ax.annotate(
            number(bar.value) + bar.more,
            (bar.value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=_INK,
            weight="bold" if bar.ours else "normal",
        )
    ax.set_title(panel.caption, loc="left", size=9, color=_PALE, pad=6)
    _strip(ax)


def _strip(ax: Axes) -> None:
    """The values stand at the bars: a scale would only repeat them."""
    ax.xaxis.set_visible(False)
    ax.minorticks_off()
    ax.tick_params(axis="y", length=0, labelcolor=_INK)
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    ax.spines["left"].set_color(_OTHERS)
