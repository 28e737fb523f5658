"""The arithmetic of the scaling curves."""

from __future__ import annotations

import pytest

from tests_meta.bench.growth import Curve, Point, growth


def curve(*seconds: tuple[int, float], start: float = 0.5, each: int = 1) -> Curve:
    """Sizes, and what they took."""
    return Curve("title", "node", start, tuple(Point(size, took) for size, took in seconds), each)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([], None),
        ([1.0], None),
        ([2.0, 2.0, 2.0], 1.0),
        ([4.0, 2.0, 1.0], 1.0),
        ([1.0, 1.1, 1.5], 1.5),
        ([2.0, 1.0, 1.5, 1.2], 1.5),  # against the cheapest of the smaller sizes, not the first
        ([1.0, 3.0, 1.0], 3.0),  # a size in between counts as well
    ],
)
def test_growth(costs: list[float], expected: float | None) -> None:
    assert growth(costs) == expected


def test_the_start_is_no_cost_of_a_unit() -> None:
    found = curve((10, 1.5), (100, 10.5))
    assert [found.cost(point) for point in found.points] == pytest.approx([0.1, 0.1])
    assert found.growth == pytest.approx(1.0)


def test_a_size_may_stand_for_several_units() -> None:
    found = curve((10, 1.5), (100, 20.5), each=20)
    assert [found.cost(point) for point in found.points] == pytest.approx([0.005, 0.01])
    assert found.growth == pytest.approx(2.0)


def test_sizes_that_hardly_differ_from_the_start_are_not_judged() -> None:
    found = curve((1, 0.4), (2, 0.59), (10, 1.0), (20, 1.5))
    assert [point.size for point in found.judged] == [10, 20]
    assert found.growth == pytest.approx(1.0)
    assert curve((1, 0.5), (10, 1.0)).growth is None
