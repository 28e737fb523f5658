"""The command: `python -m tests_meta.bench [--only NAME] [--rounds N] [--nodes N] [--entries N] [--tests N]`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pytest_synctool.errors import SynctoolError

from tests_meta.bench import (
    audit,
    curves,
    drawing,
    internet,
    repair,
    report,
    resolve,
    scale,
    scaling_page,
    simulated,
    warm,
    workers,
)
from tests_meta.bench.growth import Curve
from tests_meta.bench.measure import BenchError, Benchmark, Result, Sizes, race
from tests_meta.bench.peers import race as peers
from tests_meta.bench.peers import repair as peer_repairs
from tests_meta.bench.simulated_nodes import ENTRIES

BENCHMARKS: Final[tuple[Benchmark[Any], ...]] = (
    audit.BENCHMARK,
    warm.BENCHMARK,
    peers.BENCHMARK,
    resolve.BENCHMARK,
    scale.BENCHMARK,
    scale.DRIFT,
    repair.BENCHMARK,
    repair.LARGE,
    repair.DRIFT,
    peer_repairs.BENCHMARK,
    simulated.SLOW,
    simulated.MILLION,
)
# What has its place in docs/scaling.md: its name, what keeps it from running, and what measures it.
Part = tuple[str, Callable[[], Sequence[str]], Callable[[Path], str]]
WORKERS: Final[Part] = (workers.NAME, workers.requirements, workers.measure)
INTERNET: Final[Part] = (internet.NAME, internet.requirements, internet.measure)  # only if it is asked for: it is long
PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks and print what came out; a whole run of the usual size is written to docs/.

    The exit status is 0 unless a competitor failed to do its work; an aim that is not met is only said.
    """
    arguments = _parser().parse_args(argv)
    chosen = [b for b in BENCHMARKS if arguments.only in (None, b.name)]
    usual = Sizes()
    sizes = Sizes(
        nodes=arguments.nodes or usual.nodes,
        audit_nodes=arguments.nodes or usual.audit_nodes,
        entries=arguments.entries,
        tests=arguments.tests,
        rounds=arguments.rounds,
    )
    described = report.machine()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = []
    scaling: list[Curve] = []
    parts: dict[str, str] = {}
    try:
        for benchmark in chosen:
            if missing := benchmark.requirements():
                print(f"{benchmark.name} is left out: {'; '.join(missing)}", file=sys.stderr)
            else:
                results.append(_run(benchmark, sizes))
        if arguments.only in (None, curves.NAME):
            scaling = _curves()
        for part in (WORKERS, INTERNET):
            if arguments.only == part[0] or (arguments.only is None and part is WORKERS):
                parts |= _part(part)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (BenchError, SynctoolError, OSError) as error:
        print("\n\n".join(map(report.text, results)))  # what others took is not lost
        print(f"bench: {error}", file=sys.stderr)
        return 1
    shown = ["\n".join(described), *map(report.text, results), curves.text(scaling), *parts.values()]
    print("\n\n".join(filter(None, shown)))
    is_whole = arguments.only is None and sizes == usual
    if parts and (is_whole or arguments.write):
        for name, text in parts.items():
            page = scaling_page.PAGE.read_text()
            scaling_page.PAGE.write_text(scaling_page.with_part(page, name, f"{text}\n\n{_described(described)}"))
        print(f"\nwritten to {scaling_page.PAGE.parent.name}/{scaling_page.PAGE.name}")
    if len(results) == len(BENCHMARKS) and scaling and sizes == usual:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(report.markdown(results, described, curves.markdown(scaling)))
        drawing.draw(scaling, PAGE.with_name(curves.PICTURE))
        print(f"\nwritten to {PAGE.parent.name}/{PAGE.name}")
    elif arguments.write:
        alone = f"Measured alone, with {described[1]}."
        titles = [benchmark.title(usual) for benchmark in BENCHMARKS]
        for result in results:
            PAGE.write_text(report.with_section(PAGE.read_text(), report.section(result, alone), titles))
    return 0


def _run(benchmark: Benchmark[Any], sizes: Sizes) -> Result:
    with tempfile.TemporaryDirectory(prefix="synctool-bench-") as directory:
        return race(benchmark, sizes, Path(directory))


def _described(machine: Sequence[str]) -> str:
    """Return the machine in a sentence."""
    return f"Measured on {machine[0]}, with {machine[2]}; {machine[1]}."


def _part(part: Part) -> dict[str, str]:
    name, requirements, measure = part
    if missing := requirements():
        print(f"{name} is left out: {'; '.join(missing)}", file=sys.stderr)
        return {}
    with tempfile.TemporaryDirectory(prefix="synctool-bench-") as directory:
        return {name: measure(Path(directory))}


def _curves() -> list[Curve]:
    if missing := curves.requirements():
        print(f"{curves.NAME} are left out: {'; '.join(missing)}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="synctool-bench-") as directory:
        return curves.measure(Path(directory))


def _parser() -> argparse.ArgumentParser:
    usual = Sizes()
    parser = argparse.ArgumentParser(prog="python -m tests_meta.bench", description=main.__doc__)
    names = [*(benchmark.name for benchmark in BENCHMARKS), curves.NAME, WORKERS[0], INTERNET[0]]
    parser.add_argument("--only", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--write", action="store_true", help="write the section of --only to the page")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of each (default: 5 or 3)")
    nodes = f"ssh nodes (default: {usual.audit_nodes} for audits, {usual.nodes} for repairs)"
    parser.add_argument("--nodes", type=_positive, metavar="N", help=nodes)
    parser.add_argument("--entries", type=_positive, metavar="N", default=usual.entries, help="entries of an ssh node")
    parser.add_argument("--tests", type=_hundreds, metavar="N", default=usual.tests, help="tests of the run at scale")
    return parser


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("expected is a number from 1")
    return number


def _hundreds(word: str) -> int:
    number = _positive(word)
    if number % ENTRIES:
        raise argparse.ArgumentTypeError(f"expected is a multiple of {ENTRIES}")
    return number


if __name__ == "__main__":
    sys.exit(main())
