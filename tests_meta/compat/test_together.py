"""Our own results with many plugins at once: those of a run alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import pytest

from tests_meta.compat.conftest import Compat
from tests_meta.compat.table import OTHERS, Other

_SEEDS: Final = 6
_MODES: Final = ((), ("--fix", "--no-syslog"), ("-n2",))
_SHOWING: Final = tuple(other for other in OTHERS if other.shows)
_SILENT: Final = tuple(other for other in OTHERS if not other.shows)


def ten(seed: int) -> Sequence[Other]:
    """Return ten plugins that go together, in any order."""
    random = Random(seed)
    return random.sample((random.choice(_SHOWING), *random.sample(_SILENT, 9)), 10)


def check(compat: Compat, others: Sequence[Other], arguments: tuple[str, ...]) -> None:
    """Check the results of a run with plugins."""
    expected = compat.expected(*arguments)
    modules = tuple(dict.fromkeys(module for other in others for module in other.modules))
    environment = {name: value for other in others for name, value in other.environment}
    switches = [argument for other in others for argument in other.arguments]
    run = compat.run(*arguments, *dict.fromkeys(switches), plugins=modules, environment=environment)
    print(*(other.name for other in others), run.output, sep="\n")
    assert "INTERNALERROR" not in run.output
    assert compat.results(run) == expected


@pytest.mark.parametrize("arguments", _MODES, ids=["audit", "fix", "xdist"])
@pytest.mark.parametrize("seed", range(_SEEDS))
def test_any_ten(compat: Compat, seed: int, arguments: tuple[str, ...]) -> None:
    check(compat, ten(seed), arguments)


@pytest.mark.parametrize("arguments", _MODES, ids=["audit", "fix", "xdist"])
@pytest.mark.parametrize("showing", _SHOWING, ids=lambda other: f"with {other.name}")
def test_all_that_go_together(compat: Compat, showing: Other, arguments: tuple[str, ...]) -> None:
    check(compat, (*_SILENT, showing), arguments)
