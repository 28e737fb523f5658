"""Lines about nodes that add nothing, since a command of include_nodes prints the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pytest_synctool.common.wording import printable_text
from pytest_synctool.config.model import ConfigNotice, Place

_RULE = "included-twice"


@dataclass
class RepeatedNodes:
    """A collector of such lines. A line is one only if it adds nothing to any of its nodes."""

    _commands: dict[str, Place] = field(default_factory=dict)
    _repeated: list[ConfigNotice] = field(default_factory=list)
    _names: dict[Place, tuple[str, ...]] = field(default_factory=dict)
    _needless: dict[Place, int] = field(default_factory=dict)

    def command(self, place: Place, text: str) -> None:
        """Add a command of include_nodes."""
        first = self._commands.setdefault(text, place)
        if first != place:
            message = f"the same 'include_nodes' is {first.seen_from(place)}: remove one"
            self._repeated.append(ConfigNotice(_RULE, place, printable_text(text), message, is_warning=False))

    def line(self, place: Place, names: tuple[str, ...]) -> None:
        """Add a line of a file, with its nodes. In YAML it may have several statements."""
        self._names[place] = (*self._names.get(place, ()), *names)

    def needless(self, place: Place) -> None:
        """Count a node to which a line adds nothing."""
        self._needless[place] = self._needless.get(place, 0) + 1

    def notices(self) -> Iterator[ConfigNotice]:
        """Yield a notice for each line that adds nothing."""
        yield from self._repeated
        for place, names in self._names.items():
            if names and self._needless.get(place) == len(names):
                shown = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
                message = f"a command of 'include_nodes' prints {shown} with all that this line has: remove the line"
                yield ConfigNotice(_RULE, place, f"node {names[0]}", message, is_warning=False)
