"""The rules of lint about templates, variables and commands that decrypt."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.config import parse
from pytest_synctool.lint import Finding, lint
from pytest_synctool.repository.resolution import load

CONF = "masterdir .\nnode node1 batch\nnode node2 batch\nnode node3 login\n"
RULES = ("template-error", "template-constant", "variable-unused", "command-missing")


def findings(tmp_path: Path, files: dict[str, str], conf: str = "", rules: str = "") -> list[Finding]:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "overlay").mkdir(exist_ok=True)
    (tmp_path / "attributes.yaml").write_text(rules)
    config = parse(CONF + conf, tmp_path / "synctool.conf")
    by_rule = lint(config, load(config))
    return [finding for rule in RULES for finding in by_rule[rule]]


def lines(tmp_path: Path, files: dict[str, str], conf: str = "", rules: str = "") -> list[str]:
    """Return the findings as `FILE:LINE: [RULE] TEXT`, without the remedies."""
    return [
        f"{Path(each.path).name}:{each.line or 0}: [{each.rule}] {each.message.rpartition(': ')[0]}"
        for each in findings(tmp_path, files, conf, rules)
    ]


@pytest.mark.parametrize(
    ("files", "conf", "rules", "expected"),
    [
        ({}, "", "", []),
        ({"overlay/f._all": "{{ vars.x }}"}, "", "", []),
        ({"overlay/f._template._all": "{{ node.name }}"}, "", "", []),
        ({"overlay/f._template._all": "{{ cluster.nodes | length }}"}, "", "", []),
        ({"overlay/f._template._all": "x\n"}, "", "",
         ["f._template._all:0: [template-constant] the template uses neither node, vars nor cluster"]),
        ({"overlay/f._template._all": "\n{{ vars.a }}"}, "var a._batch 1\n", "",
         ["f._template._all:2: [template-error] variable 'a' is not set: only for batch, for node3"]),
        ({"overlay/f._template._login": "{{ vars.a }}"}, "var a 1\n", "", []),
        ({"overlay/f._all": "{{ node.nam }}"}, "", "- {path: /f, template: yes}",
         ["f._all:1: [template-error] a node has no 'nam' (did you mean 'name'?): name, groups, address, hostname, "
              "ipaddress, for node[1-3]"]),
        ({"overlay/f._template._all": "{{ vars.a }}"}, "var a 1\nvar b 2\nvar a._login 3\n", "",
         ["synctool.conf:6: [variable-unused] no template uses the variable 'b' on any node"]),
        ({"overlay/f._template._batch": "{{ vars.a }}"}, "var a 1\nvar a._login 3\n", "",
         ["synctool.conf:6: [variable-unused] no template uses the variable 'a' of 'login' on any node"]),
        ({"overlay/f._template._all": "{% if 'login' in node.groups %}{{ vars.a }}{% endif %}"}, "var a 1\n", "", []),
        ({"overlay/f._template._all": "{{ vars.x }}"}, "var b 2\nvar x._batch 1\n", "",
         ["f._template._all:1: [template-error] variable 'x' is not set: only for batch, for node3"]),
        ({"vars/batch.yaml": "\n\na: 1\n"}, "", "",
         ["batch.yaml:3: [variable-unused] no template uses the variable 'a' of 'batch' on any node"]),
        ({"overlay/f._template._all": "x"}, "var b 2\n", "- {path: /f, decrypt: cat %s}", []),
        ({"overlay/f._all": "x"}, "", "- {path: /f, decrypt: cat %s}\n- {path: /f, decrypt: /no/such %s}\n"
         "- {path: /f, decrypt: no-such-program %s}\n- {path: /f, decrypt: ./vars/no %s}\n",
         [f"attributes.yaml:{line}: [command-missing] 'decrypt': this machine has no program '{name}' that it can run"
          for line, name in ((2, "/no/such"), (3, "no-such-program"), (4, "./vars/no"))]),
    ],
)  # fmt: skip
def test_findings(tmp_path: Path, files: dict[str, str], conf: str, rules: str, expected: list[str]) -> None:
    assert lines(tmp_path, files, conf, rules) == expected


def test_lint_decrypts_nothing(tmp_path: Path) -> None:
    rules = f"- {{path: /**, decrypt: touch {tmp_path}/ran %s}}"
    assert findings(tmp_path, {"overlay/f._all": "x", "overlay/g._template._all": "x"}, rules=rules) == []
    assert not (tmp_path / "ran").exists()
