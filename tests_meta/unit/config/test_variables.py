"""Variables of templates in both spellings of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.config import Config, parse
from pytest_synctool.config.model import Word
from pytest_synctool.config.variables import MOST_VALUES, in_lines
from pytest_synctool.errors import ConfigError

NODES = "masterdir .\nnode node1 batch rack1\nnode node2 rack1\n"
YAML_NODES = "masterdir: .\nnodes: {node1: [batch, rack1], node2: rack1}\n"


def conf(tmp_path: Path, text: str) -> Config:
    return parse(NODES + text, tmp_path / "synctool.conf")


def of_yaml(tmp_path: Path, text: str) -> Config:
    return parse(YAML_NODES + text, tmp_path / "synctool.yaml")


def values(config: Config) -> dict[str, dict[str, object]]:
    return {group: {name: each.value for name, each in rows.items()} for group, rows in config.variables.items()}


def test_a_variable_is_for_all_a_group_or_a_node(tmp_path: Path) -> None:
    config = conf(tmp_path, "var ntp ntp1  ntp2 # comment\nvar ntp._batch ntp3\nvar slots._node2 16\nVAR m 0644\n")
    assert values(config) == {
        "all": {"ntp": "ntp1  ntp2", "m": "0644"},
        "batch": {"ntp": "ntp3"},
        "node2": {"slots": 16},
    }
    assert list(in_lines(config.variables)) == ["ntp ntp1  ntp2", "m 0644", "ntp._batch ntp3", "slots._node2 16"]


def test_lists_and_tables_in_yaml(tmp_path: Path) -> None:
    text = "vars:\n  dns: [10.0.0.1, 10.0.0.2]\n  db._batch: {host: db1, ports: [1, 2], ssl: no}\n"
    config = of_yaml(tmp_path, text)
    assert values(config) == {
        "all": {"dns": ("10.0.0.1", "10.0.0.2")},
        "batch": {"db": {"host": "db1", "ports": (1, 2), "ssl": "no"}},
    }
    assert list(in_lines(config.variables)) == [
        "dns [10.0.0.1, 10.0.0.2]",
        "db._batch {host: db1, ports: [1, 2], ssl: no}",
    ]


@pytest.mark.parametrize(("word", "truth"), [("no", False), ("Off", False), ("false", False), ("", False), ("0", True)])
def test_a_word_for_no_is_false(word: str, truth: bool) -> None:
    assert bool(Word(word)) is (truth if word != "0" else False)
    assert bool(Word(f"{word} x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("var a-b 1", "4: 'a-b' is not the name of a variable: expected letters, digits and _, like ntp_server"),
        ("var x", "4: 'var' needs a name and a value"),
        ("var x 1\nvar x 2", "5: variable 'x' is set twice, first on line 4: remove one"),
        ("var x._batch 1\nvar x._batch 2", "5: variable 'x' is set twice for 'batch', first on line 4: remove one"),
        ("var x._bacth 1", "4: unknown group 'bacth' of a variable (did you mean 'batch'?)"),
        ("var x._ 1", "4: unknown group '' of a variable: expected a group or node"),
    ],
)
def test_problems(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        conf(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'synctool.conf'}:{message}"


def test_problems_of_yaml(tmp_path: Path) -> None:
    text = "vars:\n  x: 1\n  x: 2\n  y: {a: 1,\n    a: 2}\n"
    with pytest.raises(ConfigError) as caught:
        of_yaml(tmp_path, text)
    assert [line.split(": ", 1)[1] for line in str(caught.value).split("\n")] == [
        "'x' appears twice, first on line 4: remove one",
        "'a' appears twice in a variable: remove one",
    ]


def test_aliases_of_yaml_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["vars:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match=f"more than {MOST_VALUES:,} values in one variable"):
        of_yaml(tmp_path, "\n".join(lines))
