"""What the documentation shows is what the program reads."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest
from pytest_synctool import config
from pytest_synctool.config.statements import ALIASES, SHAPES
from pytest_synctool.plugin.options import OPTIONS
from pytest_synctool.repository import attributes, waivers

DOCS = Path(__file__).parents[3] / "docs"
README = DOCS.parent / "README.md"


def block(path: Path, first: str) -> str:
    """The indented block that begins with these words."""
    match = re.search(
        rf"^(    {re.escape(first)}.*\n(?:(?:    .*)?\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert match is not None
    return dedent(match[1]).strip() + "\n"


def test_the_yaml_configuration(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    text = block(DOCS / "configuration.md", "# yaml-language-server").replace("/var/lib/synctool", "master")
    found = config.parse(text, tmp_path / "synctool.yaml")
    assert found.nodes["n100"].groups == ("n100", "wn", "batch", "worker", "all")
    assert found.nodes["n100"].address == "192.168.1.119"


def test_the_readme_configuration(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    text = block(README, "masterdir /var/lib").replace("/var/lib/synctool", "master")
    assert config.parse(text, tmp_path / "synctool.conf").nodes["node2"].address == "node2-mgmt"


def test_attributes(tmp_path: Path) -> None:
    text = block(DOCS / "repository.md", "- path: /**")
    found = attributes.parse(text, tmp_path / "attributes.yaml", ("batch", "node3"))
    assert [rule.mode for rule in found.rules] == [None, 0o440, 0o600, None, 0o600]


def test_waivers(tmp_path: Path) -> None:
    text = block(DOCS / "waivers.md", "- path: /etc/ntp.conf")
    nodes = [f"node{number}" for number in range(1, 10)]
    found = waivers.parse(text, tmp_path / "waivers.yaml", nodes, ["test", *nodes])
    assert [sorted(waiver.nodes | waiver.groups) for waiver in found.waivers] == [
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
    assert len(README.read_text(encoding="utf-8").split()) <= 900


def test_every_option_of_the_plugin_is_documented() -> None:
    text = (DOCS / "options.md").read_text(encoding="utf-8")
    assert [option.name for option in OPTIONS if f"`{option.name}" not in text] == []
