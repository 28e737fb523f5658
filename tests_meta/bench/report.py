"""Results for people: lines for the terminal, and a page of Markdown."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from tests_meta.bench.measure import MEGABYTE, Aim, Result, Sample

_INTRODUCTION = """\
# Benchmarks

`make bench` wrote this page; you can repeat it (Linux, root). All competitors of a table ran in turns, in the same
minutes, on the same machine. The figures are medians. Look at the ratios: the seconds are those of one machine that
ran everything, the nodes included. pytest-synctool runs with the plugins that it needs (testinfra, xdist), as after
`pip install pytest-synctool`."""


def machine() -> list[str]:
    """What the figures depend on, a line each. Nothing here says which machine it is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    programs = (f"{name} {found}" for name in ("ssh", "rsync") if (found := _program_version(name)))
    packages = ("pytest-synctool", "pytest", "pytest-xdist", "pytest-testinfra", "ClusterShell")
    return [
        f"{len(os.sched_getaffinity(0))} cores, {memory / 2**30:.0f} GiB of memory, {platform.system()}",
        f"load average before the first run: {os.getloadavg()[0]:.1f}",
        f"{platform.python_implementation()} {platform.python_version()}, "
        + ", ".join(f"{name} {_package_version(name)}" for name in packages),
        ", ".join(programs),
    ]


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _program_version(name: str) -> str:
    option = "-V" if name == "ssh" else "--version"
    try:
        done = subprocess.run([name, option], capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ""
    found = re.search(r"\d+\.\d+[\w.]*", done.stdout or done.stderr)
    return found[0] if found else ""


def _short(value: float) -> str:
    """Three figures that count, without a power of ten."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def rows(result: Result) -> Iterator[tuple[str, ...]]:
    """The table of a result: a head, then a row for each competitor."""
    medians = result.medians
    baseline = medians[result.baseline]
    logins = any(sample.logins is not None for sample in medians.values())
    largest = max(sample.entries or 0 for sample in medians.values())  # 0: all competitors have done the same work
    share = ("nodes x entries", f"a node of {largest} entries") if largest else ()
    head = ("", *share, "wall time", "fastest to slowest", "peak memory", f"against {result.baseline}")
    yield (*head, "ssh logins per node") if logins else head
    for name, samples in result.samples.items():
        seconds = sorted(sample.seconds for sample in samples)
        middle = medians[name]
        share = (f"{middle.nodes} x {middle.entries}", f"{middle.cost * largest:.3g} s") if largest else ()
        row = (
            name,
            *share,
            f"{middle.seconds:.2f} s",
            f"{seconds[0]:.2f} to {seconds[-1]:.2f} s",
            "" if middle.peak is None else f"{middle.peak / MEGABYTE:.0f} MB",
            f"{middle.cost / baseline.cost:.2f}{_memory_ratio(middle, baseline)}",
        )
        yield (*row, "" if middle.logins is None else str(middle.logins)) if logins else row


def _memory_ratio(sample: Sample, baseline: Sample) -> str:
    if sample.peak is None or baseline.peak is None or sample.nodes != baseline.nodes:
        return ""
    return f" (memory {sample.peak / baseline.peak:.2f})"


def verdict(aim: Aim, result: Result) -> str:
    """Whether an aim is met, and by how much."""
    try:
        value = aim.value(result.medians)
    except KeyError:  # one of the competitors that it speaks of was left out
        return f"Aim: {aim.text}: not measured"
    return f"Aim: {aim.text}: {'met' if aim.met(value) else 'NOT met'} ({_short(value)})"


def _left_out(result: Result) -> list[str]:
    return [f"{name} is left out: {reason}" for name, reason in result.left_out.items()]


def text(result: Result) -> str:
    """A result for the terminal."""
    table = list(rows(result))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    verdicts = ["  " + line for line in (*_left_out(result), *(verdict(aim, result) for aim in result.aims))]
    return "\n".join(line.rstrip() for line in (result.title, *lines, *verdicts))


def markdown(results: Sequence[Result], described: Sequence[str], *sections: str) -> str:
    """The page with all results, and what else there is to say."""
    head = [_INTRODUCTION, "\n".join(f"- {line}" for line in described if line)]
    return "\n\n".join((*head, *map(section, results), *sections)) + "\n"


def section(result: Result, *notes: str) -> str:
    """The section of a result on the page; `notes` come after its own."""
    head, *body = rows(result)
    lines = [head, ("---", *("---:",) * (len(head) - 1)), *body]
    return "\n\n".join(
        (
            f"## {result.title}",
            "\n".join("| " + " | ".join(line) + " |" for line in lines),
            *(line + "." for line in (*_left_out(result), *(verdict(aim, result) for aim in result.aims))),
            "\n".join(f"- {note}" for note in (*result.notes, *notes)),
        )
    )


def with_section(page: str, new: str, titles: Sequence[str]) -> str:
    """Return a page with a new section in the place of the old one. Sections have the order of `titles`.

    A section's title begins with one of these; the rounds follow.
    """
    head, *old = re.split(r"\n(?=## )", page.rstrip("\n"))
    by_title: dict[str, str] = {}
    others = []
    for text in (*old, new):
        title = next((title for title in titles if text.startswith(f"## {title}, ")), None)
        if title is None:
            others.append(text)
        else:
            by_title[title] = text
    ordered = [by_title[title] for title in titles if title in by_title]
    return "\n\n".join(text.strip("\n") for text in (head, *ordered, *others)) + "\n"
