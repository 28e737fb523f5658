"""Names that editors, patch and version control leave beside files. Nobody means them for nodes."""

from __future__ import annotations

import re
from typing import Final

from pytest_synctool.repository.source import Tree

# As they lie there: `.git`, the lock `.#motd._all` of an editor, `.DS_Store`.
_BEGINNINGS: Final = (b".", b"#", b"CVS")  # of these; asked of every name, so the usual case comes first
_LEFT_BY_PROGRAMS: Final = re.compile(
    rb"\.(git|svn|hg|bzr|gitignore|gitattributes|gitkeep|DS_Store)|CVS|\.#.*|#.*#|\.nfs[0-9a-f]{8,}",
    re.DOTALL,
)
# With a group too, as in `motd~._all`. In delete/, such a name is meant: it removes the litter of a node.
_COPIES: Final = (b"~", b".orig", b".rej", *(b".sw%c" % letter for letter in b"abcdefghijklmnop"))


def is_litter(tree: Tree, name: bytes, base: bytes) -> bool:
    """Return True for the remains of an editor or of version control. `base` is the name without its group."""
    if name.startswith(_BEGINNINGS) and _LEFT_BY_PROGRAMS.fullmatch(name):
        return True
    return tree is not Tree.DELETE and (name.endswith(_COPIES) or base.endswith(_COPIES))
