"""A cycle on all kinds of nodes at once: audit, drift, repair, audit, dsh and dcp, compared with the first node."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests_meta.site import Run, Site
from tests_meta.terminal import Ended
from tests_meta.terminal import run as run_command

OPERATIONS: Final = ("audit", "drift found", "fix", "audit again", "dsh", "dcp")
_LIMIT: Final = 300  # seconds of a run

# What happens on the nodes to each entry.
_DRIFT: Final = {
    "content": "echo CONTENT >content",  # of the same size
    "size": "echo more than before >size",
    "mode": "chmod 600 mode",
    "owner": "chown 1:1 owner",
    "gone": "rm gone",
    "to-directory": "rm to-directory; mkdir to-directory; echo x >to-directory/x",
    "to-link": "rm to-link; ln -s /etc/passwd to-link",
    "to-fifo": "rm to-fifo; mkfifo to-fifo",
    "odd grüße ' $(name)": 'echo x >"odd grüße \' \\$(name)"',
    "link-elsewhere": "rm link-elsewhere; ln -s elsewhere link-elsewhere",
    "link-to-itself": "rm link-to-itself; ln -s link-to-itself link-to-itself",
    "link-to-file": "rm link-to-file; echo x >link-to-file",
    "link-gone": "rm link-gone",
    "directory-mode": "chmod 755 directory-mode",
    "directory-owner": "chown 1:1 directory-owner",
    "directory-to-file": "rmdir directory-to-file; echo x >directory-to-file",
    "directory-to-link": "rmdir directory-to-link; ln -s nowhere directory-to-link",
    "deep/er/file": "rm -r deep",
    "evil": "echo evil >evil",
    "exclusive/": "mkdir -p exclusive/more/deep; echo x >exclusive/-rogue; echo x >'exclusive/odd grüße'",
}
_AT_FIRST: Final = ("evil", "exclusive/")  # right on a new node
_SAME: Final = ("same", "same-link", "same-directory")
# Type and mode, owner, name and content of everything there, by any userland.
_LOOK: Final = """cd @ || exit
find . -exec stat -c '%f %u:%g %n' {} + | sort
find . -type f -exec md5sum {} + | sort
find . -type l -exec readlink {} ';' | sort"""
_FIRED: Final = "cat fired-* | sort"


@dataclass
class Cycle:
    """A site, and what was wrong on each node, by the operation. The first node is the one that others equal."""

    site: Site
    environment: Mapping[str, str]
    wrong: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def run(self) -> None:
        """Run everything on all nodes."""
        self._prepare()
        self._audit("audit", {name: "passed" if name in _AT_FIRST else "failure" for name in (*_DRIFT, *_SAME)})
        right = dict.fromkeys((*_DRIFT, *_SAME), "passed")
        self._fix(right)
        self._audit("audit again", right)
        self._on_each("drift found", lambda node: self._sh(node, "cd @; set -e; " + "; ".join(_DRIFT.values())))
        self._audit("drift found", {name: "failure" if name in _DRIFT else "passed" for name in right})
        self._fix(right)
        self._audit("audit again", right)
        self._on_each("fix", self._sees_what_was_fired)
        self._dsh()
        self._dcp()

    def _prepare(self) -> None:
        site = self.site
        for name in (*_DRIFT, *_SAME):
            if "link" in name and name != "directory-to-link" and name != "to-link":
                site.link(f"{name}._all", "target")
            elif "directory" in name and name != "to-directory":
                site.directory_of(f"{name}._all", 0o700)
            elif name not in _AT_FIRST:
                site.put(f"{name}._all", "content\n")
        site.delete("evil._all")
        site.put("exclusive/file._all")
        rule = f"- {{path: {site.top}/exclusive, exclusive: tree}}\n"
        (site.masterdir / "attributes.yaml").write_text(rule)
        site.script("content.post", "#!/bin/sh\necho first line >fired-content\n")
        site.script("mode.post", "echo none >fired-mode\n")
        site.lines.append(f"on_update {site.top}/size echo text >fired-size")

    def _note(self, operation: str, node: str, problem: object) -> None:
        self.wrong.setdefault((node, operation), []).append(str(problem))

    def _on_each(self, operation: str, check: Callable[[str], object]) -> None:
        for node in self.site.nodes:
            try:
                check(node)
            except Exception as error:
                self._note(operation, node, f"{error} {getattr(error, 'stderr', b'')!r}")

    def _sh(self, node: str, command: str) -> str:
        return self.site.sh(node, command)

    def _pytest(self, *arguments: str) -> Run:
        return self.site.pytest(*arguments, environment=self.environment, timeout=_LIMIT)

    def _audit(self, operation: str, expected: Mapping[str, str]) -> None:
        self._compare(operation, self._pytest(), expected)

    def _fix(self, expected: Mapping[str, str]) -> None:
        self._compare("fix", self._pytest("--fix"), expected)
        first = ""
        for node in self.site.nodes:
            there = self._sh(node, _LOOK)
            first = first or there
            if there != first:
                self._note("fix", node, set(there.splitlines()) ^ set(first.splitlines()))

    def _compare(self, operation: str, run: Run, expected: Mapping[str, str]) -> None:
        for node in self.site.nodes:
            for name, word in expected.items():
                kind = "exclusive" if name.endswith("/") else "delete" if name == "evil" else "overlay"
                key = (f"synctool_checks.test_{kind}.{node}", f"{self.site.top}/{name}")
                if run.results.get(key) != word:
                    why = run.messages.get(key) or run.messages.get(("synctool_checks.test_overlay", node), "")
                    self._note(operation, node, f"{name} {run.results.get(key)}, not {word}: {why}")

    def _sees_what_was_fired(self, node: str) -> None:
        fired = self._sh(node, f"cd @; {_FIRED}")
        if fired != "first line\nnone\ntext\n":
            self._note("fix", node, f"triggers: {fired}")

    def _command(self, *words: str) -> Ended:
        return run_command(self.site.directory, *words, timeout=_LIMIT, more=self.environment)

    def _dsh(self) -> None:
        ended = self._command("dsh", "--timeout=60", "echo out; exit 3")
        out, err = ended.lines(), ended.errors()
        for node in self.site.nodes:
            if (f"{node}: out", f"{node}: exit status 3") != (_only(node, out), _only(node, err)):
                self._note("dsh", node, [line for line in out + err if line.startswith(f"{node}:")])

    def _dcp(self) -> None:
        copied = self.site.directory / "copied"
        copied.mkdir(exist_ok=True)
        (copied / "file").write_text("copied\n")
        (copied / "file").chmod(0o640)
        (copied / "link").symlink_to("file")
        ended = self._command("dcp", "--timeout=60", "-d", self.site.top, "copied")
        for node in self.site.nodes:
            there = self._sh(node, "{ cd @/copied && stat -c %a file && cat link; } 2>&1 || :")
            if there != "640\ncopied\n":
                self._note("dcp", node, [line for line in ended.errors() if line.startswith(f"{node}:")] or there)


def _only(node: str, lines: Sequence[str]) -> str:
    """Return the lines of a node as one."""
    return os.linesep.join(line for line in lines if line.startswith(f"{node}:"))
