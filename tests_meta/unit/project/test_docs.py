"""Tests of the documentation: its examples are valid, its links lead somewhere, its options exist and are complete."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest
from pytest_synctool import config
from pytest_synctool.config.statements import ALIASES, SHAPES
from pytest_synctool.plugin.options import OPTIONS
from pytest_synctool.report.metrics import metrics
from pytest_synctool.repository import attributes, resolution, waivers

from tests_meta import share
from tests_meta.bench.__main__ import BENCHMARKS
from tests_meta.unit.project.test_imports import ROOMS
from tests_meta.unit.runs import run

DOCS: Final = Path(__file__).parents[3] / "docs"
README: Final = DOCS.parent / "README.md"
MOST_WORDS: Final = 900

# Options in the documentation that belong to other programs, by program, and those that `pytest --help` does not list.
FOREIGN: Final = {
    "ansible-playbook": {"--check"},  # its --diff is an option of ours, too
    "python -m tests_meta.bench": {"--only", "--write"},
    "ansible-vault": {"--output", "--vault-password-file"},
    "gpg": {"--decrypt"},
    "nodeattr": {"--expand"},
    "pip": {"--upgrade"},
    "podman": {"--tag"},
    "pipx": {"--include-deps"},
    "pyinfra": {"--dry"},
    "pytest": {"--junitxml"},  # accepted for --junit-xml
    "rsync": {"--delete", "--rsync-path"},
    "sops": {"--input-type", "--output-type"},
    "uv": {"--with-executables-from"},
}


def block(path: Path, first: str) -> str:
    """Return the indented block that begins with these words."""
    match = re.search(
        rf"^(    {re.escape(first)}.*\n(?:(?:    .*)?\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert match is not None
    return dedent(match[1]).strip() + "\n"


def test_the_yaml_configuration(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    text = block(DOCS / "configuration.md", "# yaml-language-server").replace("/var/lib/synctool", "master")
    parsed = config.parse(text, tmp_path / "synctool.yaml")
    assert parsed.nodes["n100"].groups == ("n100", "wn", "batch", "worker", "all")
    assert parsed.nodes["n100"].address == "192.168.1.119"


def test_the_readme_configuration(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    text = block(README, "masterdir /var/lib").replace("/var/lib/synctool", "master")
    assert config.parse(text, tmp_path / "synctool.conf").nodes["node2"].address == "node2-mgmt"


def test_attributes(tmp_path: Path) -> None:
    text = block(DOCS / "repository.md", "- path: /**")
    parsed = attributes.parse(text, tmp_path / "attributes.yaml", ("batch", "node3", "web"))
    modes = [None, 0o440, 0o600, None, None, None, None, None, None, 0o2770, None, 0o600]
    assert [rule.mode for rule in parsed.rules] == modes


def test_templates(tmp_path: Path) -> None:
    page, source = DOCS / "templates.md", tmp_path / "masterdir/overlay/etc/example.conf._template._all"
    source.parent.mkdir(parents=True)
    source.write_text(block(page, "# {{ node.name }}"))
    cluster = config.parse(block(page, "masterdir masterdir"), tmp_path / "synctool.conf")
    entries = resolution.load(cluster).entries(cluster.nodes["node2"])
    assert entries[-1].source.read().decode() == block(page, "# node2")
    attributes.parse(block(page, "- path: /etc/munge"), tmp_path / "attributes.yaml", ())


def test_waivers(tmp_path: Path) -> None:
    text = block(DOCS / "waivers.md", "- path: /etc/ntp.conf")
    nodes = [f"node{number}" for number in range(1, 10)]
    parsed = waivers.parse(text, tmp_path / "waivers.yaml", nodes, ["test", *nodes])
    assert [sorted(waiver.nodes | waiver.groups) for waiver in parsed.waivers] == [
        ["node3", "node4", "node5"],
        ["node9", "test"],
    ]


def test_the_oldest_versions_are_those_that_are_tested() -> None:
    top = DOCS.parent
    declared = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    tested = (top / "tests_meta" / "oldest.txt").read_text(encoding="utf-8").split()
    assert sorted(tested) == sorted(name.replace(">=", "==") for name in declared)


def test_every_keyword_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert [word for word in (*SHAPES, *ALIASES) if f"`{word}" not in text] == []


def pages() -> list[Path]:
    """Return all pages that readers follow links in."""
    return [*sorted(DOCS.parent.glob("*.md")), *sorted(DOCS.glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(path), f"{page.name}: {target}"


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in pages() if page.name != "README.md" and f"{page.name})" not in index]
    assert missing == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_readme_names_both_commands() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert {"    make demo", "    make test"} <= set(lines)


def test_every_option_of_the_plugin_is_documented() -> None:
    text = (DOCS / "options.md").read_text(encoding="utf-8")
    assert [option.name for option in OPTIONS if f"`{option.name}" not in text] == []


def options_in(text: str) -> set[str]:
    """Return the options that a text names; those of one letter as `-n`."""
    return set(re.findall(r"(?<![\w/-])(?:--[a-z][\w-]*|-[A-Za-z0-9])(?![\w-])", text))


def documentation_of(command: str) -> str:
    """Return the text about a command, and the text about all commands before the first heading."""
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    about_all, _, _ = text.partition("\n## ")
    if command == "synctool-history":
        return about_all + (DOCS / "history.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {command}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    return about_all + section[0]


@pytest.mark.parametrize("command", share.commands())
def test_every_option_of_a_command_is_documented(command: str) -> None:
    documented = options_in(documentation_of(command))
    actions = [action for action in share.parser(command)._actions if action.option_strings]
    assert [action.option_strings for action in actions if documented.isdisjoint(action.option_strings)] == []


@cache
def existing_options() -> frozenset[str]:
    """Return the long options of the commands and of pytest with its plugins."""
    done = subprocess.run([sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True)
    parsers = map(share.parser, share.commands())
    ours = (option for parser in parsers for action in parser._actions for option in action.option_strings)
    return frozenset(
        {*options_in(done.stdout), *ours, *(name for option in OPTIONS for name in (option.name, option.long_name))}
    )


def named_options(page: Path) -> set[str]:
    """Return the long options that a page names."""
    return {option for option in options_in(page.read_text(encoding="utf-8")) if option.startswith("--")}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_option_in_the_documentation_exists(page: Path) -> None:
    foreign = {option for options in FOREIGN.values() for option in options}
    assert sorted(named_options(page) - existing_options() - foreign) == []


def test_every_foreign_option_is_needed() -> None:
    named = {option for page in pages() for option in named_options(page)}
    assert [(program, sorted(options - named)) for program, options in FOREIGN.items() if options - named] == []


def test_every_metric_is_documented() -> None:
    text = (DOCS / "reports.md").read_text(encoding="utf-8")
    names = re.findall(r"^# TYPE (\w+)", metrics(run(1, {"node1": ""})), re.MULTILINE)
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_room_is_described() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"`{room}/`" not in text and f"`{room}.py`" not in text] == []


def test_the_benchmarks_have_the_words_of_their_program() -> None:
    """The figures are those of the last `make bench`; the sentences beside them may be newer."""
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    notes = [note for benchmark in BENCHMARKS for note in benchmark.notes if not note.startswith("Versions: ")]
    assert [note for note in notes if f"- {note}\n" not in text] == []
