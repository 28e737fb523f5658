"""Options of pytest and pytest-xdist: each has the effect that docs/pytest.md names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests_meta.compat.conftest import BASE, Compat
from tests_meta.compat.options import OPTIONS, Effect, Option
from tests_meta.site import Run

FIX = ("--fix", "--no-syslog")


def options(*effects: Effect) -> pytest.MarkDecorator:
    """Parametrize a test with the options that have an effect. The ids lead from a failure to the row of the table."""
    chosen = [option for option in OPTIONS if option.effect in effects]
    return pytest.mark.parametrize("option", chosen, ids=lambda option: f"{option.key}-")


def run(compat: Compat, option: Option, *more: str) -> Run:
    """Run with an option, after an earlier run if it needs one."""
    if option.needs_earlier_run:
        compat.run()
    is_id = "::" in option.arguments[0] and not option.arguments[0].startswith("-")
    if option.has_junit and not is_id:
        return compat.run(*more, *option.arguments)
    if is_id:
        (compat.site.directory / "pytest.ini").write_text("[pytest]\naddopts = --pyargs synctool_checks\n")
    left_out = "synctool_checks" if is_id else f"--junitxml={compat.site.directory / 'junit.xml'}"
    loaded = [word for plugin in BASE for word in ("-p", plugin)]
    words = [word for word in compat.site.command(*loaded, *more, *option.arguments) if word != left_out]
    return compat.command(words)


def untouched(compat: Compat) -> bool:
    """Return True if no node was changed and no report was written."""
    roots = (compat.site.directory / "roots").iterdir()
    names: Sequence[list[str]] = [[path.name for path in (root / compat.site.top[1:]).iterdir()] for root in roots]
    return names == [["same"], ["same"]] and not list(compat.site.directory.glob("reports/*"))


@pytest.mark.parametrize("arguments", [(), FIX], ids=["audit", "fix"])
@options(Effect.NONE)
def test_our_own_results_are_those_of_a_run_without(compat: Compat, option: Option, arguments: tuple[str, ...]) -> None:
    expected = compat.expected(*arguments)
    done = run(compat, option, *arguments)
    print(done.output)
    assert "INTERNALERROR" not in done.output
    results = compat.results(done)
    assert results == expected if option.has_junit else replace(results, tests=expected.tests) == expected


@options(Effect.PART)
def test_a_part_of_the_tests_runs(compat: Compat, option: Option) -> None:
    """Each test that runs has the result that it has in a run of all."""
    expected = compat.expected()
    done = run(compat, option)
    print(done.output)
    verdicts = compat.verdicts(done)
    # The error of a node has the id of the node below the first check of the run.
    known = {verdict for verdict in verdicts if "'gone'" not in verdict}
    assert verdicts
    assert known <= expected.tests.keys()
    assert len(verdicts) < len(expected.tests)
    assert done.status == 1


@options(Effect.AUDIT_ONLY)
def test_a_repair_refuses_it(compat: Compat, option: Option) -> None:
    expected = compat.expected()
    assert compat.results(run(compat, option)) == expected
    compat.reset()
    assert run(compat, option, *FIX).status == 4
    assert untouched(compat)


@options(Effect.NO_TEST)
def test_no_test_runs(compat: Compat, option: Option) -> None:
    assert run(compat, option).status == 0
    assert untouched(compat)
    assert run(compat, option, *FIX).status == 4
    assert untouched(compat)


@pytest.mark.parametrize("arguments", [(), FIX], ids=["audit", "fix"])
@options(Effect.REFUSED)
def test_it_is_refused(compat: Compat, option: Option, arguments: tuple[str, ...]) -> None:
    done = run(compat, option, *arguments)
    assert done.status == 4
    assert "ERROR: " in done.output
    assert untouched(compat)
