"""Every kind of node gives the results of an ordinary one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.demo.embedded import missing_requirements

from tests_meta.environments.__main__ import DOCUMENT
from tests_meta.environments.cycle import Cycle
from tests_meta.environments.kinds import ENVIRONMENTS, running
from tests_meta.site import Site


def test_a_cycle_on_every_kind_of_node(tmp_path: Path) -> None:
    if missing := missing_requirements():
        pytest.skip("no embedded cluster: " + "; ".join(missing))
    site = Site(tmp_path, "environments")
    with running(site, [each for each in ENVIRONMENTS if not each.missing]) as environment:
        cycle = Cycle(site, environment)
        cycle.run()
    assert not cycle.wrong, "\n".join(f"{key}: {problems}" for key, problems in cycle.wrong.items())


def test_the_table_has_every_kind_and_no_wrong_cell() -> None:
    rows = [line.strip("| ").split(" | ") for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [each.title for each in ENVIRONMENTS]
    assert "wrong" not in {cell for row in rows for cell in row}
