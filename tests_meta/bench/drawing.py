"""The scaling curves as a picture: the cost of a node or an entry against the size, a panel for each curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests_meta.bench.growth import LIMIT, Curve


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Write an SVG file; the same figures give the same bytes."""
    import matplotlib as mpl  # of the extra `bench`, and slow to import

    # Text stays text, so that the file is small and can be searched.
    mpl.rcParams.update({"svg.hashsalt": "synctool", "svg.fonttype": "none", "font.size": 9})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3 * -(-len(curves) // 2)), layout="constrained")
    for number, curve in enumerate(curves, 1):
        axes = figure.add_subplot(-(-len(curves) // 2), 2, number)
        sizes = [point.size for point in curve.judged]
        costs = [curve.cost(point) * 1e3 for point in curve.judged]
        axes.plot(sizes, costs, marker="o")
        if costs:
            axes.axhspan(costs[0] / LIMIT, costs[0] * LIMIT, alpha=0.15)
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_ylim(0, max(costs, default=1.0) * 1.3)
        axes.set_title(curve.title, fontsize=9)
        axes.set_xlabel("entries" if curve.unit == "entry" else f"{curve.unit}s")
        axes.set_ylabel(f"{curve.measured} per {curve.unit}, ms")
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
