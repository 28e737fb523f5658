"""The command: `python -m tests_meta.environments` tries every kind of node and writes docs/environments.md."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests_meta.environments.cycle import OPERATIONS, Cycle
from tests_meta.environments.kinds import ENVIRONMENTS, Environment, running
from tests_meta.site import Site

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "environments.md"
_TABLE: Final = re.compile(r"(?<=<!-- made by make environments -->\n).*(?=<!-- end -->)", re.DOTALL)


def table(environments: Sequence[Environment], wrong: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Return the table: a cell is `right`, or `wrong` if the results differ from those of the first node."""
    rows = [("node", "package", *OPERATIONS), ("---",) * (len(OPERATIONS) + 2)]
    for each in environments:
        cells = ("wrong" if wrong.get((each.name, operation)) else "right" for operation in OPERATIONS)
        rows.append((each.title, each.version, *(["not tried"] * len(OPERATIONS) if each.missing else cells)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    """Run the cycle and write the table. Return 1 if a cell is wrong."""
    with tempfile.TemporaryDirectory(prefix="synctool-environments-") as directory:
        site = Site(Path(directory), "environments")
        with running(site, [each for each in ENVIRONMENTS if not each.missing]) as environment:
            cycle = Cycle(site, environment)
            cycle.run()
    made = table(ENVIRONMENTS, cycle.wrong)
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(_TABLE.sub(lambda _: made, text), encoding="utf-8")
    print(made, end="")
    for (node, operation), problems in cycle.wrong.items():
        print(f"{node}: {operation}: {problems[0]}", file=sys.stderr)
    return int(bool(cycle.wrong))


if __name__ == "__main__":
    raise SystemExit(main())
