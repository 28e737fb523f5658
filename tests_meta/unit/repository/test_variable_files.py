"""Variables in vars/ of the masterdir, beside those of the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_synctool.config import Config, parse
from pytest_synctool.errors import SynctoolError
from pytest_synctool.repository import resolution
from pytest_synctool.repository.variable_files import load


def site(tmp_path: Path, files: dict[str, str], text: str = "") -> Config:
    for name, content in files.items():
        path = tmp_path / "vars" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (tmp_path / "overlay").mkdir()
    return parse(f"masterdir .\nnode node1 batch\n{text}", tmp_path / "synctool.conf")


def test_files_and_configuration_are_one(tmp_path: Path) -> None:
    files = {"batch.yaml": "slots: 4\ndns: [a, b]\n", "node1.yaml": "ntp: own\n", "all.yaml": "# nothing\n"}
    loaded = load(site(tmp_path, files, "var ntp ntp1\nvar x._batch y\n"))
    values = {group: {name: each.value for name, each in rows.items()} for group, rows in loaded.variables.items()}
    assert values == {
        "all": {"ntp": "ntp1"},
        "batch": {"x": "y", "slots": 4, "dns": ("a", "b")},
        "node1": {"ntp": "own"},
    }
    assert str(loaded.variables["node1"]["ntp"].place) == f"{tmp_path}/vars/node1.yaml:1"
    assert loaded.warnings == []


def test_a_site_without_vars_has_those_of_the_configuration(tmp_path: Path) -> None:
    config = site(tmp_path, {}, "var ntp ntp1\n")
    assert load(config).variables == config.variables


def test_other_names_are_warnings(tmp_path: Path) -> None:
    config = site(tmp_path, {"bacth.yaml": "a: 1", "batch.yml": "b: 1", ".yaml": "c: 1", "x.swp": ""}, "ignore *.swp\n")
    repository = resolution.load(config)
    assert repository.variables == {}
    assert repository.warnings == [
        "vars/.yaml: skipped, expected a name like batch.yaml",
        "vars/bacth.yaml: skipped, unknown group 'bacth' (did you mean 'batch'?)",
        "vars/batch.yml: skipped, expected a name like batch.yaml",
    ]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    files = {
        "batch.yaml": "slots: 4\na-b: 1\nslots: 5\n",
        "node1.yaml": "- x\n",
        "all.yaml": "a: [\n",
        "none.yaml": "\0",
    }
    with pytest.raises(SynctoolError) as caught:
        resolution.load(site(tmp_path, files, "var slots._batch 3\n"))
    assert [line.removeprefix(f"{tmp_path}/vars/").split(": ", 1)[0] for line in str(caught.value).split("\n")] == [
        "all.yaml:2",
        "batch.yaml:1",
        "batch.yaml:2",
        "batch.yaml:3",
        "node1.yaml:1",
        "none.yaml:1",
    ]
    first = f"variable 'slots' is set twice for 'batch', first in {tmp_path}/synctool.conf:3: remove one"
    assert first in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="files belong to others only where root gives them away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    config = site(tmp_path, {"batch.yaml": "slots: 4\n"})
    os.chown(tmp_path / "vars" / "batch.yaml", 12345, 12345)
    with pytest.raises(SynctoolError, match=r"batch.yaml is not trusted: it belongs to uid 12345"):
        resolution.load(config)
