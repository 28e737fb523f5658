"""Names that the walk of a masterdir leaves out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Names that are left out of the walk. `patterns` are names and shell patterns.

    `origins` says of each pattern, and of ignore_dotfiles and ignore_dotdirs, how to name the rule to people.
    """

    patterns: tuple[str, ...] = ()
    dotfiles: bool = False
    dotdirs: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def why(self, names: Sequence[bytes], directory: bool) -> str | None:
        """The rule by which an entry is left out, if any; `names` are its name with and without the group extension."""
        if names[0].startswith(b".") and (self.dotdirs if directory else self.dotfiles):
            rule = "ignore_dotdirs" if directory else "ignore_dotfiles"
            return self.origins.get(rule, f"'{rule}'")
        for pattern in self.patterns:
            if any(fnmatchcase(os.fsdecode(name), pattern) for name in names):
                return self.origins.get(pattern, f"'ignore {pattern}'")
        return None
