"""Predictions: the figures of a large run from those of two smaller ones, by a straight line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured at several sizes: what it is, how people write its values, and the values by size."""

    title: str
    shown: Callable[[float], str]
    values: Mapping[int, float]

    def per_unit(self, small: tuple[int, int]) -> float:
        """Return what one node more costs, from two sizes."""
        first, second = small
        return (self.values[second] - self.values[first]) / (second - first)

    def predicted(self, small: tuple[int, int], size: int) -> float:
        """Return the value at a size from those at two smaller sizes."""
        return self.values[small[1]] + self.per_unit(small) * (size - small[1])


def rows(figures: Sequence[Figure], small: tuple[int, int], size: int) -> list[tuple[str, ...]]:
    """Return a row for each figure: both small sizes, the prediction, what was measured, and their ratio."""
    return [_row(figure, small, size) for figure in figures]


def _row(figure: Figure, small: tuple[int, int], size: int) -> tuple[str, ...]:
    predicted, measured = figure.predicted(small, size), figure.values[size]
    values = (*(figure.values[each] for each in small), predicted, measured)
    ratio = f"{measured / predicted:.2f}" if predicted > 0 else ""
    return (figure.title, *map(figure.shown, values), ratio)


def head(small: tuple[int, int], size: int) -> tuple[str, ...]:
    """Return the head of the table of rows()."""
    return ("", *(f"{each:,} nodes" for each in small), f"{size:,}, predicted", f"{size:,}, measured", "ratio")


def seconds(value: float) -> str:
    """Return processor seconds as people write them."""
    return f"{value:,.1f} s" if value < 100 else f"{value:,.0f} s"


def size(value: float) -> str:
    """Return bytes as people write them."""
    return (
        f"{value / 1e3:,.0f} KB"
        if value < 1e6
        else f"{value / 1e6:,.1f} MB"
        if value < 1e8
        else f"{value / 1e6:,.0f} MB"
    )


def number(value: float) -> str:
    """Return a count."""
    return f"{value:,.0f}"
