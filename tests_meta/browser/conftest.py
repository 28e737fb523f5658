"""A real browser, one for all tests, and pages in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_synctool.report.history_values import Onsets, Past
from pytest_synctool.report.page import html
from pytest_synctool.report.record import RunRecord

from tests_meta.browser.start import chromium, missing
from tests_meta.browser.window import Window

OpenRun = Callable[..., Window]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium. Where there is none, as for ssh nodes without sshd, the tests are skipped; `make test` installs it."""
    if lacking := missing():
        pytest.skip("; ".join(lacking))
    started = chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture
def window(driver: Any) -> Iterator[Window]:
    """The browser's window, as new; at the end nothing may have been complained of, by the page or by its policy."""
    opened = Window(driver)
    yield opened
    complaints = driver.get_log("browser")
    opened.reset()
    assert complaints == []


@pytest.fixture
def open_run(window: Window, tmp_path: Path) -> OpenRun:
    """Shows the page of a run, from a file, with a fragment of its address."""

    def shown(run: RunRecord, onsets: Onsets | None = None, past: Sequence[Past] = (), fragment: str = "") -> Window:
        path = tmp_path / "drift.html"
        path.write_text("".join(html(run, onsets or {}, past)), encoding="utf-8")
        window.open(path, fragment)
        return window

    return shown
