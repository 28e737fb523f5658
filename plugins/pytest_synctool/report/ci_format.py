"""The formats that CI systems read: cells of Markdown, workflow commands of GitHub, issues of GitLab."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pytest_synctool.common.console import disarm
from pytest_synctool.common.wording import printable_text

MOST_ROWS: Final = 50
_MOST_ANNOTATIONS: Final = 10  # GitHub shows no more of a step
_LONGEST: Final = 500  # characters of a cell


class Notice(NamedTuple):
    """One annotation of GitHub: `error` or `warning`, the file below the checkout or "", its line, and the text."""

    level: str
    file: str
    text: str
    line: int | None = None


def cell(text: str) -> str:
    """Return a text for a cell of a table, escaped so that neither Markdown nor HTML interprets it."""
    text = printable_text(text)
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return "".join(f"&#{ord(c)};" if c in "|`<>&*_[]\\~#!@" else c for c in text)


def workflow_lines(notices: Sequence[Notice]) -> Iterator[str]:
    """Yield at most ten workflow commands for GitHub Actions, in this order; the last one counts the rest."""
    shown = notices if len(notices) <= _MOST_ANNOTATIONS else notices[: _MOST_ANNOTATIONS - 1]
    if len(notices) > len(shown):
        shown = [*shown, Notice("error", "", f"and {len(notices) - len(shown):,} more findings, see the reports")]
    for notice in shown:
        line = f"line={notice.line}," if notice.line is not None else ""
        place = f"file={_property(notice.file)},{line}" if notice.file else ""
        yield f"::{notice.level} {place}title=synctool::{_data(notice.text)}"


def below(path: str, workspace: str) -> str:
    """Return a path from the checkout on; empty if the checkout does not contain it."""
    relative = os.path.relpath(path, workspace) if workspace else ".."
    return "" if relative == ".." or relative.startswith("../") else relative


def _data(text: str) -> str:
    return disarm(printable_text(text), at_start=False).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def document(issues: Sequence[dict[str, object]]) -> str:
    """Return the report that GitLab shows in merge requests."""
    return json.dumps(issues, indent=1, ensure_ascii=False) + "\n"


def issue(text: str, check: str, severity: str, file: str, identity: str, line: int = 1) -> dict[str, object]:
    """Return an issue. GitLab takes those with the same `identity` in two reports for one."""
    return {
        "description": printable_text(text),
        "check_name": check,
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest(),
        "severity": severity,
        "location": {"path": file, "lines": {"begin": line}},
    }
