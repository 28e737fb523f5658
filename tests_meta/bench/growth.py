"""How a cost grows with the size of the work: what one unit takes at every size, start-up left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

LIMIT: Final = 1.15
"""What a unit may cost at most, against the cost at any smaller size."""


@dataclass(frozen=True, slots=True)
class Point:
    """What the work took at one size, in seconds, start-up included."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The same work at sizes from small to large; `start` is what a run with next to nothing to do takes, in seconds.

    A size has `each` units a node or entry: with 20 nodes, 20 units an entry. `measured` says what the seconds are of.
    `floor` has the seconds of clush by size, as far as it has run.
    """

    title: str
    unit: str
    start: float
    points: tuple[Point, ...]
    each: int = 1
    measured: str = "wall time"
    notes: tuple[str, ...] = ()
    floor: Mapping[int, float] = field(default_factory=dict)

    def cost(self, point: Point) -> float:
        """What one unit takes at this size, in seconds."""
        return (point.seconds - self.start) / (point.size * self.each)

    @property
    def judged(self) -> tuple[Point, ...]:
        """The sizes that tell something: those that take at least a fifth longer than the start alone.

        Below that the difference of two runs is made of what else the machine does.
        """
        return tuple(point for point in self.points if point.seconds >= 1.2 * self.start)

    @property
    def growth(self) -> float | None:
        """The highest cost of a unit against that at any smaller size; None unless two sizes tell something.

        1.0 is a cost that stays as it is, or falls.
        """
        return growth([self.cost(point) for point in self.judged])


def growth(costs: Sequence[float]) -> float | None:
    """The largest ratio of a number to one before it, at least 1.0; None for fewer than two numbers."""
    if len(costs) < 2:
        return None
    largest, least = 1.0, costs[0]
    for cost in costs[1:]:
        largest = max(largest, cost / least)
        least = min(least, cost)
    return largest
