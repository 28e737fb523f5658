"""A real browser without a window, one for all tests, which contacts nobody; and pages in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_synctool.report.page import html
from pytest_synctool.report.past import Lives, Past
from pytest_synctool.report.record import RunRecord
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests_meta.browser.window import Window

OpenRun = Callable[..., Window]

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
)


def options(profile: Path) -> webdriver.ChromeOptions:
    """How Chromium is started; its profile goes into a directory."""
    made = webdriver.ChromeOptions()
    made.binary_location = shutil.which("chromium") or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        made.add_argument(flag)
    made.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return made


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    started = webdriver.Chrome(
        options=options(tmp_path_factory.mktemp("profile")), service=Service(shutil.which("chromedriver"))
    )
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

    def shown(run: RunRecord, lives: Lives | None = None, past: Sequence[Past] = (), fragment: str = "") -> Window:
        path = tmp_path / "drift.html"
        path.write_text("".join(html(run, lives or {}, past)), encoding="utf-8")
        window.open(path, fragment)
        return window

    return shown
