"""Manual pages of files and of the plugin, made from the pages of docs/ by docutils."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree
from docutils.writers.manpage import Writer
from myst_parser.docutils_ import Parser

DOCS: Final = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class ManualPage:
    """A manual page and where its text is: a page of docs/, or only the part of it below `heading`."""

    name: str
    section: int
    summary: str
    source: str
    heading: str | None = None

    @property
    def file(self) -> str:
        """The name of its file below docs/."""
        return f"man/man{self.section}/{self.name}.{self.section}"


PAGES: Final = (
    ManualPage("synctool.conf", 5, "configuration of a cluster for synctool and pytest-synctool", "configuration.md"),
    ManualPage(
        "attributes.yaml", 5, "owners, modes and more of files in a masterdir", "repository.md", "attributes.yaml"
    ),
    ManualPage("waivers.yaml", 5, "drift that is accepted for a while", "waivers.md"),
    ManualPage("pytest-synctool", 7, "options of pytest that audit and repair the files of a cluster", "options.md"),
)


def page(manual: ManualPage) -> str:
    """Return a manual page for man's macros. It has no date, so that it depends on its source alone."""
    text = (DOCS / manual.source).read_text(encoding="utf-8")
    settings = {"myst_all_links_external": True, "report_level": 4, "smart_quotes": False}
    document = publish_doctree(text, parser=Parser(), settings_overrides=settings)
    if manual.heading is not None:
        document.children[:] = _section(document, manual.heading).children
    else:
        document.children[:] = [child for child in document.children if not isinstance(child, nodes.title)]
    for link in list(document.findall(nodes.reference)):
        if "://" not in link.get("refuri", ""):  # another page of docs/: its words say enough
            link.parent.replace(link, link.children)
    for table in list(document.findall(nodes.table)):
        table.parent.replace(table, _definitions(table))
    _head_with_description(document)
    document[:0] = [
        nodes.title("", manual.name),
        nodes.subtitle("", manual.summary),
        nodes.docinfo("", _field("manual_section", str(manual.section)), _field("manual_group", "synctool")),
    ]
    document += _see_also(each for each in PAGES if each is not manual)
    made: bytes = publish_from_doctree(document, writer=Writer())
    return made.decode("utf-8")


def _section(document: nodes.document, heading: str) -> nodes.Element:
    for section in document.findall(nodes.section):
        title = section.children[0]
        if title.astext() == heading:
            section.children[:] = section.children[1:]
            return section
    raise ValueError(f"no heading '{heading}'")


def _head_with_description(document: nodes.document) -> None:
    """Give the text before the first heading a heading of its own, as manual pages have it."""
    count = next((n for n, child in enumerate(document.children) if isinstance(child, nodes.section)), len(document))
    description = nodes.section("", nodes.title("", "Description"), *document.children[:count])
    document.children[:count] = [description]


def _field(name: str, value: str) -> nodes.field:
    return nodes.field("", nodes.field_name("", name), nodes.field_body("", nodes.paragraph("", value)))


def _definitions(table: nodes.table) -> nodes.definition_list:
    """Return a table as terms, its first column, and what the others say of them: readable at any width."""
    definitions = nodes.definition_list()
    for body in table.findall(nodes.tbody):
        for row in body.children:
            first, *others = (cell.children for cell in row.children)
            term = nodes.term("", "", *(each for paragraph in first for each in paragraph.children))
            definition = nodes.definition("", *(each for cell in others for each in cell))
            definitions += nodes.definition_list_item("", term, definition)
    return definitions


def _see_also(others: Iterable[ManualPage]) -> nodes.section:
    names = [*(f"{each.name}({each.section})" for each in others), "synctool(1)", "synctool-config(1)"]
    return nodes.section("", nodes.title("", "See also"), nodes.paragraph("", ", ".join(names)))
