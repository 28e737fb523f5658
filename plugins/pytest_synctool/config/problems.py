"""The problems of a configuration, and the exception that reports them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pytest_synctool.config.model import Config, Place
from pytest_synctool.errors import ConfigError


class InvalidConfigError(ConfigError):
    """A configuration has problems. `config` is what is known of it, to look for problems in the masterdir too.

    With `has_all_names` False, the configuration may have nodes and groups that are not in `config`.
    """

    def __init__(self, message: str, config: Config, *, has_all_names: bool) -> None:
        super().__init__(message)
        self.config = config
        self.has_all_names = has_all_names


class _Problem(NamedTuple):
    place: Place
    message: str


@dataclass
class Problems:
    """The problems of a configuration and its included files.

    `has_all_files` is False if a file, or what a command prints, could not be used at all. `has_all_names` is False if
    names of nodes and groups may be missing.
    """

    has_all_files: bool = True
    has_all_names: bool = True
    _problems: list[_Problem] = field(default_factory=list)
    _positions: dict[Path, int] = field(default_factory=dict)

    def add(self, place: Place, message: str, *, hides_names: bool = False) -> None:
        """Record a problem of a line. With `hides_names`, the line may have nodes or groups that are now unknown."""
        self.position(place.path)
        self._problems.append(_Problem(place, message))
        self.has_all_names = self.has_all_names and not hides_names

    @property
    def number(self) -> int:
        """The number of problems so far."""
        return len(self._problems)

    def unreadable(self, place: Place, message: str) -> None:
        """Record a problem that makes a whole file, or what a command prints, unusable."""
        self.add(place, message, hides_names=True)
        self.has_all_files = False

    def position(self, path: Path) -> int:
        """Return the position of a file: files count in the order in which they are first named here."""
        return self._positions.setdefault(path, len(self._positions))

    def order(self, place: Place) -> tuple[int, int]:
        """Return a sort key: the order of the files, then that of their lines."""
        return self.position(place.path), place.line

    def lines(self, first: Path) -> list[str]:
        """Return each problem once, as `file:line: problem`, those of the file `first` first."""
        problems = sorted(
            dict.fromkeys(self._problems), key=lambda each: (each.place.path != first, *self.order(each.place))
        )
        return [f"{problem.place}: {problem.message}" for problem in problems]
