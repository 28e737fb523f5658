"""The ends of the last runs as the bars of a chart: numbers that the template puts into SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.report.history_values import Past
from pytest_synctool.report.links import NO_LINKS, Links
from pytest_synctool.report.page.data import readable
from pytest_synctool.report.record import WITHOUT_COMPARISON

_HEIGHT: Final = 120
_STEP: Final = 14
_WIDTH: Final = 10
_LEFT: Final = 48  # for the numbers of the axis
_DATE: Final = 84  # for a date below the bars
_TICKS: Final = 4
# From the bottom up: what matters most keeps its place from bar to bar.
_PARTS: Final = ("errors", "drifted", "fixed", "in_sync")


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle: the nodes with the same ending."""

    word: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A run: its numbers, the place of its bar, and the address of its page, which may be empty."""

    past: Past
    started: str
    x: int
    parts: Sequence[Part]
    present: bool
    href: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Trend:
    """A chart. Sizes are in its own units. `ticks` are numbers of nodes, `dates` the days of some bars."""

    bars: Sequence[Bar]
    width: int
    height: int
    left: int
    bar_width: int
    ticks: Sequence[Label]
    dates: Sequence[Label]
    earlier: int


def trend(present: str, past: Sequence[Past], links: Links = NO_LINKS) -> Trend:
    """Return the chart of these runs that compared nodes; `present` is the id of the run to mark."""
    past = [one for one in past if one.mode not in WITHOUT_COMPARISON]
    top, ticks = _ticks(max((sum(getattr(one, word) for word in _PARTS) for one in past), default=0))
    bars = [
        Bar(one, readable(one.started), _LEFT + number * _STEP, _parts(one, top), one.id == present, links.run(one.id))
        for number, one in enumerate(past)
    ]
    earlier = sum(not bar.present for bar in bars)
    width = _LEFT + max(len(bars) * _STEP, _DATE)
    return Trend(bars, width, _HEIGHT, _LEFT, _WIDTH, ticks, _dates(bars, width), earlier)


def _ticks(most: int) -> tuple[int, list[Label]]:
    """Return the number at full height, and labels at round numbers up to it."""
    steps = (10**power * digit for power in range(12) for digit in (1, 2, 5))
    step = next(step for step in steps if step * _TICKS >= most)
    top = max(-(-most // step) * step, 1)
    return top, [Label(round(_HEIGHT * (1 - n / top), 2), f"{n:,}") for n in range(0, top + 1, step)]


def _dates(bars: Sequence[Bar], width: int) -> list[Label]:
    labels: list[Label] = []
    for bar in bars:
        if (not labels or bar.x >= labels[-1].at + _DATE) and bar.x + _DATE <= width:
            labels.append(Label(bar.x, bar.started[:10]))
    return labels


def _parts(past: Past, top: int) -> list[Part]:
    parts, y = [], float(_HEIGHT)
    for word in _PARTS:
        height = round(_HEIGHT * getattr(past, word) / top, 2)
        if height:
            y = round(y - height, 2)
            parts.append(Part(word, y, height))
    return parts
