"""The ends of the last runs as the bars of a chart: numbers that the template puts into SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_synctool.report.history_values import Past
from pytest_synctool.report.page.data import readable
from pytest_synctool.report.record import RESTORE, RunRecord

_HEIGHT: Final = 120
_STEP: Final = 14
_WIDTH: Final = 10
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
    """A run: its numbers, and the place of its bar."""

    past: Past
    started: str
    x: int
    parts: Sequence[Part]
    present: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """A chart. Sizes are in its own units; `most` is the number of nodes at full height."""

    bars: Sequence[Bar]
    width: int
    height: int
    bar_width: int
    most: int
    earlier: int


def trend(run: RunRecord, past: Sequence[Past]) -> Trend:
    """Return the chart of these runs, the present one marked, without runs that only restored."""
    past = [one for one in past if one.mode != RESTORE]
    most = max((sum(getattr(one, word) for word in _PARTS) for one in past), default=0)
    bars = [
        Bar(one, readable(one.started), number * _STEP, _parts(one, most), one.id == run.id)
        for number, one in enumerate(past)
    ]
    earlier = sum(not bar.present for bar in bars)
    return Trend(bars, max(len(bars) * _STEP, 1), _HEIGHT, _WIDTH, most, earlier)


def _parts(past: Past, most: int) -> list[Part]:
    parts, top = [], float(_HEIGHT)
    for word in _PARTS:
        height = round(_HEIGHT * getattr(past, word) / most, 2) if most else 0.0
        if height:
            top = round(top - height, 2)
            parts.append(Part(word, top, height))
    return parts
