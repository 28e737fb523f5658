"""Import of this package as it is installed, with the bytecode that pip has compiled.

pytest compiles the modules of plugins anew for its assertions, at each start if it cannot write __pycache__. This
package has no assertions that people read.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

_INSIDE: Final = "pytest_synctool."


class AsInstalled:
    """A finder of the modules of this package, to stand before that of pytest in sys.meta_path."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module of this package, as Python itself finds it; None for any other module."""
        return PathFinder.find_spec(name, path, target) if name.startswith(_INSIDE) else None
