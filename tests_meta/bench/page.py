"""How long the page of a large run takes to be made, to be ready and to scroll: `python -m tests_meta.bench.page`.

Needs chromium and chromedriver. Prints a line for each size; there is nobody to compare with.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from pytest_synctool.report.page import html

from tests_meta.browser import pages
from tests_meta.browser.start import chromium, missing

SIZES: Final = ((200, 500, 1_000), (1_000, 1_000, 10_000), (1_000, 1_000, 900_000), (10_000, 100, 20_000))
_FRAMES: Final = 120

# Everything is shown and unfolded, then scrolled: so many frames, each by what a quick hand does in one.
_ALL: Final = """
const begun = performance.now();
for (const [name, value] of [['f-all', true], ['f-fold', false]]) {
  const field = document.getElementById(name);
  if (field.checked !== value) field.click();
}
const done = arguments[0];
setTimeout(() => requestAnimationFrame(() => done(performance.now() - begun)), 0);
"""
_SCROLL: Final = """
const [frames, across, done] = arguments, grid = document.getElementById('grid'), took = [];
let last = performance.now();
const step = (now) => {
  took.push(now - last);
  last = now;
  if (took.length > frames) return done(took.slice(1));
  grid[across ? 'scrollLeft' : 'scrollTop'] += 200;
  requestAnimationFrame(step);
};
requestAnimationFrame(step);
"""
_FILTER: Final = """
const done = arguments[0], field = document.getElementById('f-outcome'), begun = performance.now();
field.value = 'drift';
field.dispatchEvent(new Event('input', { bubbles: true }));
setTimeout(() => requestAnimationFrame(() => done(performance.now() - begun)), 0);
"""


def main() -> int:
    """Measure and print; the exit status is 1 if there is no browser."""
    if lacking := missing():
        print(f"page: {'; '.join(lacking)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="synctool-bench-") as directory:
        driver = chromium(Path(directory) / "profile")
        try:
            for size in SIZES:
                print(_measured(driver, Path(directory) / "drift.html", *size))
        finally:
            driver.quit()
    return 0


def _measured(driver: Any, path: Path, nodes: int, entries: int, findings: int) -> str:
    run, lives = pages.large(nodes, entries, findings)
    begun = time.perf_counter()
    text = "".join(html(run, lives, ()))
    made = time.perf_counter() - begun
    path.write_text(text, encoding="utf-8")
    driver.get("about:blank")
    driver.get(path.as_uri())
    ready = driver.execute_script("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    everything = driver.execute_async_script(_ALL)
    down, across = (driver.execute_async_script(_SCROLL, _FRAMES, sideways) for sideways in (False, True))
    filtered = driver.execute_async_script(_FILTER)
    found = sum(len(node.results) for node in run.nodes)
    return (
        f"{nodes:,} nodes x {entries:,} entries, {found:,} findings: made in {made:.2f} s, {len(text) / 1e6:.2f} MB, "
        f"ready after {ready:.0f} ms, all shown after {everything:.0f} ms, filtered after {filtered:.0f} ms, "
        f"frames down {_frames(down)}, across {_frames(across)}"
    )


def _frames(took: list[float]) -> str:
    return f"{statistics.median(took):.1f} ms (worst {max(took):.1f})"


if __name__ == "__main__":
    sys.exit(main())
