"""Chromium without a window, which contacts nobody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_PROGRAMS: Final = ("chromium", "chromedriver")
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # it is small in containers
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
)


def missing() -> list[str]:
    """What keeps it from being started, a sentence each; [] when nothing does."""
    return [f"{name} is not installed" for name in _PROGRAMS if shutil.which(name) is None]


def chromium(profile: Path) -> Any:
    """The driver of a browser that has just been started; what it keeps goes into a new directory."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
