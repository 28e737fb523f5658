"""What the server of `forked_pytest` loads once: pytest, the plugins that a run of ours needs, and all of our own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages

import pytest_synctool
import testinfra.plugin  # noqa: F401
import xdist.plugin  # noqa: F401
from _pytest.config import default_plugins

for _name in default_plugins:
    import_module(f"_pytest.{_name}")
for _module in walk_packages(pytest_synctool.__path__, "pytest_synctool."):
    if not _module.name.endswith("__main__"):
        import_module(_module.name)

# Pytest warns of a plugin that is loaded before it can rewrite its assertions. These have none that a test relies on.
for _name, _loaded in sys.modules.items():
    if _name.partition(".")[0] in {"pytest_synctool", "testinfra", "xdist"}:
        _loaded.__doc__ = "PYTEST_DONT_REWRITE"

# The path of an interpreter that has just begun; its first part is the directory of the run.
_PRINT = "import json, sys; print(json.dumps(sys.path[1:]))"
FRESH_PATH: list[str] = json.loads(subprocess.check_output([sys.executable, "-c", _PRINT]))
