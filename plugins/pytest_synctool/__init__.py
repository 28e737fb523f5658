"""pytest-synctool: audit and repair the files of a cluster from one repository."""

from __future__ import annotations

__version__ = "0.1.0"
