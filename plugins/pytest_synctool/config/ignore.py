"""Rules for names that synctool ignores in a masterdir."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Rules for names to ignore. `patterns` are names and shell patterns.

    `origins` has the text by which messages name each pattern, ignore_dotfiles and ignore_dotdirs.
    """

    patterns: tuple[str, ...] = ()
    dotfiles: bool = False
    dotdirs: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def why(self, names: Sequence[bytes], directory: bool) -> str | None:
        """Return the rule that ignores a name, or None. `names` are the name with and without the group extension."""
        if names[0].startswith(b".") and (self.dotdirs if directory else self.dotfiles):
            rule = "ignore_dotdirs" if directory else "ignore_dotfiles"
            return self.origins.get(rule, f"'{rule}'")
        for pattern in self.patterns:
            if any(fnmatchcase(os.fsdecode(name), pattern) for name in names):
                return self.origins.get(pattern, f"'ignore {pattern}'")
        return None
