"""Links from a page to those of other runs, as addresses relative to the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pytest_synctool.report.kept_runs import RUNS

PAGE: Final = "drift.html"
INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Links:
    """The pages that a page can lead to.

    `base` leads from the page to the directory of the reports: it is empty, or `../../` in the directory of a run.
    `kept` are the ids of the runs whose reports are kept. `has_index` is False if there is no page of all runs.
    """

    base: str = ""
    kept: frozenset[str] = frozenset()
    has_index: bool = False

    @property
    def index(self) -> str:
        """The address of the page of all runs; empty if there is none."""
        return f"{self.base}{INDEX}" if self.has_index else ""

    def run(self, run: str, **filters: str) -> str:
        """Return the address of the page of a run with these filters; an empty text if it is not kept."""
        if run not in self.kept:
            return ""
        fragment = "&".join(f"{name}={quote(text, safe='')}" for name, text in filters.items() if text)
        return f"{self.base}{RUNS}/{quote(run)}/{PAGE}{'#' if fragment else ''}{fragment}"


NO_LINKS: Final = Links()
