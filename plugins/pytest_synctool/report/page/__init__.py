"""`drift.html`: a run as one page for people. The page has everything in it and contacts nobody."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from pytest_synctool import __version__
from pytest_synctool.common.wording import printable_text
from pytest_synctool.report.history_values import Onsets, Past
from pytest_synctool.report.links import NO_LINKS, Links
from pytest_synctool.report.page import wording
from pytest_synctool.report.page.breaks import breakable
from pytest_synctool.report.page.data import data, readable
from pytest_synctool.report.page.trend import trend
from pytest_synctool.report.record import RunRecord

# In the order in which they need each other.
_SCRIPTS: Final = ("data.js", "filters.js", "view.js", "grid.js", "details.js", "tables.js", "main.js")


def html(run: RunRecord, onsets: Onsets, past: Sequence[Past], links: Links = NO_LINKS) -> Iterator[str]:
    """Return the page as chunks of text.

    `past` has the ends of the last runs, the latest one last, with or without this run.
    """
    style, script = style_sheet(), _script()
    earlier = (links.run(one.id) for one in reversed(past) if one.id != run.id)
    yield from (
        environment()
        .get_template("page.html.j2")
        .generate(
            run=run,
            version=__version__,
            started=readable(run.started),
            seconds=(run.ended - run.started).total_seconds(),
            banner=wording.banner(run),
            counts=wording.node_counts(run),
            entries=wording.entry_counts(run),
            unseen=wording.unseen(run),
            stale=wording.stale_waivers(run),
            unmanaged=wording.unmanaged(run),
            notes=wording.notes(run),
            findings=wording.findings(run, onsets),
            trend=trend(run.id, past, links),
            before=next(filter(None, earlier), ""),
            index=links.index,
            style=Markup(style),
            script=Markup(script),
            data=Markup(data(run, onsets, links)),
            policy=policy(style, script),
        )
    )


def get_ready() -> None:
    """Load the templates, before there is anything to show."""
    for name in ("page.html.j2", "index.html.j2"):
        environment().get_template(name)


@cache
def environment() -> Environment:
    """Return the environment of all templates: texts are escaped, and what cannot be printed is made visible.

    It keeps its templates: the two pages of a run share a part.
    """
    templates = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["breakable"] = breakable
    return templates


def policy(style: str, script: str = "") -> str:
    """Return the content security policy of a page with this style and script."""
    scripts = f"script-src {_hash(script)}; " if script else ""
    return f"default-src 'none'; style-src {_hash(style)}; {scripts}base-uri 'none'; form-action 'none'"


def _visible(value: Any) -> Any:
    """Make unprintable characters in names and messages visible, for all templates."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable_text(value)


def style_sheet() -> str:
    """Return the style of all pages."""
    return "\n" + _text("page.css")


def _script() -> str:
    """Return all scripts as one, in a scope of their own."""
    return "\n(() => {\n'use strict';\n" + "\n".join(map(_text, _SCRIPTS)) + "})();\n"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the name by which a content security policy allows a script or a style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
