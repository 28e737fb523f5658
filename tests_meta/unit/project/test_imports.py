"""Which room of the package may import which: imports go one way, and a new arrow has to be stated here."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest
import pytest_synctool

PACKAGE = Path(pytest_synctool.__file__).parent

# The rooms that each room imports: nothing else, and all of them. A room imports only rooms of lower rows.
ROOMS: dict[str, str] = {
    "errors": "",
    "model": "",
    "common": "errors",
    "demo": "errors",
    "config": "common errors model",
    "connection": "common errors model",
    "repository": "common config errors model",
    "dsh": "common connection errors",
    "audit": "common connection errors model repository",
    "lint": "common config model repository",
    "report": "common errors lint model repository",
    "upload": "audit common config errors model repository",
    "repair": "audit common connection errors model repository",
    "checks": "audit model repository",
    "engine": "audit common config connection errors model repair repository",
    "plugin": "audit common config connection engine errors lint model report repository",
    "cli": "audit common config connection dsh engine errors lint model repair report repository upload",
}

# The rooms, or modules, that may import a package which is neither ours nor Python's.
FOREIGN: dict[str, str] = {
    "ClusterShell": "dsh common.nodenames config.included_nodes config.ranges config.selection cli.dsh",
    "_pytest": "plugin",
    "execnet": "plugin.xdist",
    "jinja2": "report.page repository.rendering repository.template_environment",
    "markupsafe": "report.page",
    "packaging": "cli.pip_output",
    "prometheus_client": "report.metrics",
    "pytest": "plugin",
    "testinfra": "connection",
    "xdist": "plugin.xdist",
    "yaml": "common.yaml_parser",
}

# Rooms and modules that contact nobody and start nothing, neither themselves nor through their imports.
PURE = (
    *("audit.check", "audit.compare", "audit.diff_report", "audit.drift_outcome", "audit.fetch", "audit.probe"),
    *("audit.packages", "audit.unmanaged", "audit.versions"),
    *("common", "config.builder", "config.model", "config.ranges", "config.selection", "config.statements"),
    *(
        "connection.route",
        "connection.rsync",
        "dsh.aggregate",
        "dsh.calls",
        "engine.batches",
        "errors",
        "lint",
        "model",
    ),
    *("cli.pip_output", "repair.plan", "repair.script", "report.ci", "report.drift_json", "report.summary"),
    *("repository.attributes", "repository.entry_commands", "repository.explain", "repository.manifest"),
    *("repository.resolution", "repository.source", "repository.waivers"),
    *("upload.node_archive", "upload.ownership", "upload.placement"),
)
IMPURE = {"subprocess", "socket", "signal", "threading", "multiprocessing", "testinfra", "xdist", "pytest", "_pytest"}


@cache
def modules() -> dict[str, Path]:
    """Return the modules of the package by their dotted names below it; the package itself has none."""
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full names of all modules that a file imports, wherever in it."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{path}: imports are absolute"
            name = statement.module or ""
            below = {f"{name}.{alias.name}" for alias in statement.names}
            inner = {full for full in below if full.removeprefix(f"{PACKAGE.name}.") in modules()}
            found |= inner or {name}
    return frozenset(found)


@cache
def inner(module: str) -> frozenset[str]:
    """Return the modules of the package that a module imports."""
    prefix = f"{PACKAGE.name}."
    return frozenset(name.removeprefix(prefix) for name in imports(modules()[module]) if name.startswith(prefix))


def outer(module: str) -> set[str]:
    """Return the top-level packages that a module imports, its own left out."""
    return {name.partition(".")[0] for name in imports(modules()[module])} - {PACKAGE.name}


def room(module: str) -> str:
    return module.partition(".")[0]


def within(module: str, place: str) -> bool:
    """Return True if a module is a place, or lies in it."""
    return module == place or module.startswith(f"{place}.")


def test_every_module_is_in_a_room() -> None:
    assert {room(module) for module in modules()} == set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_the_stated_ones(name: str) -> None:
    imported = {room(other) for module in modules() if room(module) == name for other in inner(module)} - {name}
    assert sorted(imported) == ROOMS[name].split()


def test_rooms_import_only_rooms_of_lower_rows() -> None:
    rows = list(ROOMS)
    for name, imported in ROOMS.items():
        assert set(imported.split()) <= set(rows[: rows.index(name)]), name


def test_the_picture_in_the_documentation_shows_the_rooms() -> None:
    """An arrow is left out of the picture where other arrows lead to the same room."""

    def reached(name: str) -> set[str]:
        return {each for other in ROOMS[name].split() for each in {other} | reached(other)}

    arrows = []
    for name in reversed(ROOMS):
        imported = set(ROOMS[name].split())
        implied = {each for other in imported for each in reached(other)}
        if direct := [other for other in ROOMS if other in imported - implied]:
            arrows.append(f"    {name} --> {' & '.join(direct)}\n")
    picture = "```mermaid\nflowchart TD\n" + "".join(arrows) + "```\n"
    assert picture in (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_no_module_imports_itself_by_a_detour() -> None:
    open_ = {module: set(inner(module)) for module in modules()}
    while open_:
        leaves = {module for module, imported in open_.items() if not imported & set(open_)}
        assert leaves, f"a circle among {sorted(open_)}"
        for leaf in leaves:
            del open_[leaf]


def test_other_packages_are_imported_only_where_stated() -> None:
    """Also: only plugin/ imports pytest, only connection/ testinfra, and only the named places ClusterShell."""
    importing: dict[str, set[str]] = {}
    for module in modules():
        for package in outer(module) - set(sys.stdlib_module_names):
            importing.setdefault(package, set()).add(module)
    assert set(importing) == set(FOREIGN)
    for package, places in FOREIGN.items():
        for module in importing[package]:
            assert any(within(module, place) for place in places.split()), f"{module} imports {package}"
        for place in places.split():
            assert any(within(module, place) for module in importing[package]), f"{place} does not import {package}"


@pytest.mark.parametrize("place", PURE)
def test_pure_modules_contact_nobody(place: str) -> None:
    reached: set[str] = set()
    open_ = [module for module in modules() if within(module, place)]
    assert open_
    while open_:
        name = open_.pop()
        if name not in reached:
            reached.add(name)
            assert not outer(name) & IMPURE, name
            open_ += inner(name)


def test_no_private_name_crosses_a_file() -> None:
    for module in modules():
        for statement in ast.walk(ast.parse(modules()[module].read_bytes())):
            if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(PACKAGE.name):
                private = [a.name for a in statement.names if a.name.startswith("_") and a.name != "__version__"]
                assert not private, f"{module} imports {private}"
