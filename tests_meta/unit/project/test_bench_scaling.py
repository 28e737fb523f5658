"""The tables that benchmarks write into docs/scaling.md."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests_meta.bench import internet, prediction, scaling_page, workers
from tests_meta.bench.prediction import Figure
from tests_meta.bench.workers import ONE, TWO, Row


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(3, 10**6))
def test_what_grows_evenly_is_predicted(fixed: int, each: int, size: int) -> None:
    figure = Figure("title", prediction.number, {nodes: float(fixed + each * nodes) for nodes in (1, 3, size)})
    assert figure.predicted((1, 3), size) == pytest.approx(figure.values[size])
    assert figure.per_unit((1, 3)) == pytest.approx(each)


def test_a_prediction_stands_beside_what_was_measured() -> None:
    figures = [Figure("memory", prediction.size, {10: 1e6, 20: 2e6, 100: 11e6})]
    assert prediction.head((10, 20), 100) == ("", "10 nodes", "20 nodes", "100, predicted", "100, measured", "ratio")
    assert prediction.rows(figures, (10, 20), 100) == [("memory", "1.0 MB", "2.0 MB", "10.0 MB", "11.0 MB", "1.10")]


def _row(nodes: int, ratio: float) -> Row:
    return Row(nodes, {"clush": 1.0, ONE: 2.0, TWO: 2.0 * ratio}, is_told=ratio > 1)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([], None), ([0.9], 1), ([1.0], None), ([1.2, 0.9, 0.8], 2), ([0.9, 1.1, 0.8], 4), ([0.9, 1.1], None)],
)
def test_the_size_from_which_two_processes_pay(ratios: list[float], expected: int | None) -> None:
    """Sizes are 1, 2, 4: a smaller one that is faster by chance counts for nothing."""
    assert workers.pays_from([_row(2**number, ratio) for number, ratio in enumerate(ratios)]) == expected


def test_the_table_of_workers() -> None:
    text = workers.markdown([_row(16, 1.5), _row(32, 0.5)], [_row(8, 2.0)])
    assert "`-n 2` is faster from 32 nodes on:" in text
    assert "| 16 | 3,200 | 1.00 s | 2.00 s | 3.00 s | 1.50 | yes |" in text
    assert "is not faster at any size:" in text


def test_a_part_of_the_page_is_written_anew() -> None:
    page = "a\n<!-- made by make bench: x -->\nold\n<!-- end -->\nb\n<!-- made by make bench: y -->\n<!-- end -->\n"
    once = scaling_page.with_part(page, "x", "new\n")
    assert once == page.replace("old", "new")
    assert "made by make bench: y -->\nz\n<!-- end" in scaling_page.with_part(once, "y", "z")
    with pytest.raises(ValueError, match="one place for gone"):
        scaling_page.with_part(page, "gone", "new")


@pytest.mark.parametrize("name", [workers.NAME, internet.NAME])
def test_the_page_has_a_place_for_each(name: str) -> None:
    scaling_page.with_part(scaling_page.PAGE.read_text(), name, "")
