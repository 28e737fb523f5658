"""Commands of which the controller knows that they cannot run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from pytest_synctool.repository.entry_commands import Command
from pytest_synctool.repository.runnable import obstacle

NOT_EXECUTABLE = "it is not an executable file"
WINDOWS = "its first line ends with a carriage return, as Windows writes it"


@pytest.mark.parametrize(
    ("kind", "text", "mode", "content", "expected"),
    [
        ("post", "x", 0o755, "#!/bin/sh\n", ""),
        ("post", "x", 0o654, "#!/bin/sh\n", ""),
        ("post", "x", 0o644, "#!/bin/sh\n", NOT_EXECUTABLE),
        ("task", "x", 0o644, "", NOT_EXECUTABLE),
        ("post", "x", 0o755, "#!/bin/sh\r\nls\r\n", WINDOWS),
        ("post", "x", 0o755, "ls\r\n", ""),
        ("post", "gone", 0o644, "", ""),
        ("on_update", "no-such-1 daemon", 0o644, "", f"scripts/no-such-1: {NOT_EXECUTABLE}"),
        ("on_update", "no-such-1", 0o755, "#!/bin/sh\r\n", f"scripts/no-such-1: {WINDOWS}"),
        ("always", "no-such-1; ls", 0o755, "#!/no/such\n", ""),
        ("on_update", "no-such-1$x", 0o644, "", ""),
        ("on_update", "ls -l", 0o644, "", ""),
        ("on_update", "$(x)", 0o644, "", ""),
    ],
)
def test_obstacles(
    tmp_path: Path,
    kind: Literal["post", "on_update", "task", "always"],
    text: str,
    mode: int,
    content: str,
    expected: str,
) -> None:
    """A file of the masterdir, or of scripts/ if the command begins with its name and no program has that name."""
    (tmp_path / "scripts").mkdir()
    for name in ("x", "scripts/no-such-1", "scripts/ls"):
        (tmp_path / name).write_text(content, newline="")
        (tmp_path / name).chmod(mode)
    assert obstacle(Command(kind, text.encode()), os.fsencode(tmp_path)) == expected


def test_a_link_or_a_changed_file(tmp_path: Path) -> None:
    """A link may lead to a program that only the node has. A file counts as it is now."""
    command, path = Command("post", b"x"), tmp_path / "x"
    path.symlink_to("/etc/passwd")
    assert obstacle(command, os.fsencode(tmp_path)) == ""
    path.unlink()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    assert obstacle(command, os.fsencode(tmp_path)) == NOT_EXECUTABLE
    path.chmod(0o755)
    assert obstacle(command, os.fsencode(tmp_path)) == ""
