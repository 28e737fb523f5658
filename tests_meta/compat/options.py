"""The options of pytest and pytest-xdist that `make compat` tries, and what docs/pytest.md says of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Effect(Enum):
    """The effect of an option on our own results. Each is tried by a test of its own."""

    NONE = "works"  # the results are those of a run without it
    PART = "works: a part of the tests runs"
    AUDIT_ONLY = "works; refused with `--fix`"
    NO_TEST = "works: no test runs; refused with `--fix`"
    REFUSED = "refused"  # exit status 4, and no node is contacted


@dataclass(frozen=True)
class Option:
    """An option with its arguments. `text` is what the documentation shows, `note` what to know of it.

    `needs_earlier_run` means that an audit without the option comes first, `has_junit` that the run leaves junit.xml.
    """

    text: str
    effect: Effect
    arguments: tuple[str, ...]
    note: str = ""
    needs_earlier_run: bool = False
    has_junit: bool = True

    @property
    def key(self) -> str:
        """Return the name in the ids of tests."""
        return re.sub(r"\W+", "_", self.text)

    @property
    def verdict(self) -> str:
        """Return the verdict for the table."""
        separator = ": " if self.effect in (Effect.REFUSED, Effect.AUDIT_ONLY) else ", but "
        return self.effect.value + (separator + self.note if self.note else "")


def _options(effect: Effect, *lines: str, note: str = "") -> tuple[Option, ...]:
    return tuple(Option(f"`{line}`", effect, tuple(line.split()), note) for line in lines)


def _later(effect: Effect, *lines: str) -> tuple[Option, ...]:
    return tuple(Option(f"`{line}`", effect, tuple(line.split()), needs_earlier_run=True) for line in lines)


_NO_DEBUGGER: Final = "no debugger starts for the tests of nodes"
_STEPWISE: Final = "the tests of a node run together; use `-x` and then `--lf`"
_PLUGINS: Final = (
    "cacheprovider",
    "capture",
    "debugging",
    "doctest",
    "faulthandler",
    "logging",
    "stepwise",
    "warnings",
)
_TRACEBACKS: Final = ("auto", "long", "short", "line", "native", "no")
OPTIONS: Final = (
    *_options(Effect.PART, "-k missing", "-m batch", "-m overlay", "--maxfail=1"),
    *_options(Effect.PART, "-x", note="with `--fix` nodes are repaired one by one"),
    Option("`--deselect=ID`", Effect.PART, ("--deselect=synctool_checks/test_overlay.py::node1",)),
    Option("`ID`, also if `addopts` names the suite", Effect.PART, ("synctool_checks/test_overlay.py::node1",)),
    *_later(Effect.PART, "--lf", "--last-failed --lfnf=none"),
    *_later(Effect.NONE, "--ff", "--nf"),
    *_options(Effect.REFUSED, "--sw", "--stepwise", "--sw-skip", note=_STEPWISE),
    *_options(Effect.NO_TEST, "--collect-only", "--setup-plan", "--setup-only", "--fixtures", "--fixtures-per-test"),
    *_options(Effect.NO_TEST, "--cache-show"),
    *_options(Effect.NONE, "--setup-show", "--cache-clear", "--runxfail", "--strict-markers", "--noconftest"),
    *_options(Effect.NONE, "--pdb", note="the debugger starts at the first drift of a node, on a terminal only"),
    *_options(Effect.NONE, "--trace", note=_NO_DEBUGGER),
    *_options(Effect.NONE, *(f"--tb={style}" for style in _TRACEBACKS)),
    *_options(Effect.NONE, "-q", "-qq", "-v", "-vv", "-rA", "-s", "--no-summary", "--no-header", "--color=yes"),
    *_options(Effect.NONE, "--capture=tee-sys", "--log-cli-level=DEBUG", "-W error", "--import-mode=importlib"),
    *_options(Effect.NONE, "--doctest-modules", "--debug"),
    *_options(Effect.NONE, "--durations=5", note="it lists nodes"),
    *_options(Effect.NONE, "-n 2", "-n 2 --dist=load", "-n 2 --dist=loadscope", "-n 2 --dist=loadfile"),
    *_options(Effect.NONE, "-n 2 --dist=loadgroup", "-n 0"),
    *_options(Effect.AUDIT_ONLY, "-n 2 --dist=worksteal", note="a node would have two workers at a time"),
    *_options(Effect.REFUSED, "-n 2 --dist=each", note="each process would work on all nodes"),
    *_options(Effect.REFUSED, "-f", "--looponfail", note="nodes change without a file of this machine"),
    *_options(Effect.NONE, *(f"-p no:{name}" for name in _PLUGINS)),
    *_options(Effect.NONE, "-p no:terminal", note="the summary is only in the reports"),
    Option("`-p no:junitxml`", Effect.NONE, ("-p", "no:junitxml"), "there is no junit.xml", has_junit=False),
    *_options(Effect.NONE, "-o junit_family=xunit1", "-o junit_family=legacy", "-o junit_logging=all"),
    Option("`--junitxml=FILE`", Effect.NONE, ("--junitxml=junit.xml",)),
)
