"""The tables that benchmarks write into docs/scaling.md, each between two comments that name it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "scaling.md"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown. All columns but the first are numbers, at the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_part(page: str, name: str, text: str) -> str:
    """Return a page with this text in the place of the old one. Raises ValueError if the page has no such place."""
    place = re.compile(rf"(<!-- made by make bench: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    changed, number = place.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", page)
    if number != 1:
        raise ValueError(f"expected is one place for {name}, there are {number}")
    return changed
