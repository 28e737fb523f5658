"""The files of a new site: a configuration, a masterdir, pytest.ini, and what runs an audit every night."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

EXAMPLE: Final = "/etc/synctool-example"
"""The destination of the one file of a masterdir that adopts no files."""

_PATHS: Final = {
    "synctool.conf": "synctool.conf",
    "pytest.ini": "pytest.ini",
    ".gitignore": "gitignore",
    "masterdir/attributes.yaml": "attributes.yaml",
    ".gitlab-ci.yml": "gitlab-ci.yml",
    ".github/workflows/synctool.yml": "github.yml",
    "automation/synctool-audit.service": "synctool-audit.service",
    "automation/synctool-audit.timer": "synctool-audit.timer",
    "automation/synctool-audit.cron": "synctool-audit.cron",
}
_EXAMPLE_PATH: Final = f"masterdir/overlay{EXAMPLE}._all"


@dataclass(frozen=True, slots=True)
class NewSite:
    """The choices for a new site.

    `nodes` are the lines of its nodes. With `example`, the masterdir has one file for all nodes. `pytest` is the path
    of the program that audits the site every night.
    """

    directory: Path
    nodes: tuple[str, ...]
    example: bool
    pytest: Path

    def files(self) -> dict[str, str]:
        """Return the text of each file, by its path below the directory."""
        files = {path: self._text(name) for path, name in _PATHS.items()}
        if self.example:
            files["masterdir/attributes.yaml"] += self._text("example_attributes.yaml")
            files[_EXAMPLE_PATH] = self._text("synctool-example._all")
        return files

    def _text(self, name: str) -> str:
        text = (resources.files(__package__) / "site" / name).read_text(encoding="utf-8")
        quoting = {".service": _systemd_word, ".cron": _cron_word}.get(Path(name).suffix)
        if quoting is not None:
            directory = str(self.directory)
            place = directory.replace("%", "%%") if quoting is _systemd_word else quoting(directory)
            text = text.replace("@PYTEST@", quoting(str(self.pytest))).replace("@DIRECTORY@", place)
        return text.replace("@NODES@", "\n".join(self.nodes)) if name == "synctool.conf" else text


def _systemd_word(text: str) -> str:
    """Quote a word for ExecStart= of a unit."""
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        text = text.replace(special, escaped)
    return f'"{text}"' if any(c in text for c in " \t'\"\\;") else text


def _cron_word(text: str) -> str:
    """Quote a word for a command of cron, which takes a bare % for the end of the line."""
    return shlex.quote(text).replace("%", "\\%")
