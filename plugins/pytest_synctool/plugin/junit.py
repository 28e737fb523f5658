"""The junit report of a run: what pytest's own writer makes, completed, and replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import LogXML, xml_key

from pytest_synctool.plugin.cluster import CLUSTER
from pytest_synctool.plugin.reports import REPORTS, groups_of
from pytest_synctool.report import files
from pytest_synctool.report.junit import Junit

Tell = Callable[[str, OSError], None]


def register_junit(config: pytest.Config) -> None:
    """Complete what pytest's writer says of entries, and take its place when it comes to the file."""
    xml = config.stash.get(xml_key, None)
    if xml is None or CLUSTER not in config.stash or REPORTS not in config.stash:
        return
    config.pluginmanager.register(Junit(xml, groups_of(config.stash[CLUSTER])), "synctool-junit")
    config.pluginmanager.unregister(xml)
    config.stash[xml_key] = whole = JunitFile.of(xml, config.stash[REPORTS].unwritten)
    config.pluginmanager.register(whole)


class JunitFile(LogXML):
    """Writes beside the file and renames; what cannot be written is told, and takes nothing else with it."""

    tell: Tell
    written = True

    @classmethod
    def of(cls, xml: LogXML, tell: Tell) -> JunitFile:
        """In the place of another one, with which it shares all that has been taken up and will be."""
        made = cls.__new__(cls)
        made.__dict__ = vars(xml)
        made.tell = tell
        return made

    def pytest_sessionfinish(self) -> None:
        """Write it."""
        path = Path(self.logfile)
        try:
            if path.exists() and not path.is_file():  # such as /dev/stdout
                super().pytest_sessionfinish()
                return
            with files.replacing(path) as temporary:
                self.logfile = str(temporary)
                try:
                    super().pytest_sessionfinish()
                finally:
                    self.logfile = str(path)
        except OSError as error:
            self.written = False
            self.tell(str(path), error)

    def pytest_terminal_summary(self, terminalreporter: Any, config: Any = None) -> None:
        """Say where it is, if it is there. What pytest's own one is given is not the same in all versions."""
        if self.written and terminalreporter.verbosity >= 0:
            terminalreporter.write_sep("-", f"generated xml file: {self.logfile}")
