"""Which module may import which: imports go one way, from pure to impure, and a new one has to be stated here."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest
import pytest_synctool

PACKAGE = Path(pytest_synctool.__file__).parent

# The modules of the package that each one imports; nothing else, and all of it.
ALLOWED: dict[str, str] = {
    "__init__": "",
    "accounts": "",
    "aggregate": "errors nodeset",
    "apply": "errors model plan script transport",
    "attributes": "attributes.reader attributes.rules attributes.writer",
    "attributes.appender": ("attributes.reader attributes.rules attributes.writer errors model patterns yamlfile"),
    "attributes.reader": "attributes.rules rulefile words yamlvalues",
    "attributes.rules": "accounts model patterns source",
    "attributes.writer": "accounts attributes.rules model patterns source yamlfile yamlvalues",
    "batches": "words",
    "checking": "model plan repository waivers.rules",
    "checks": "compare model repository",
    "cli": "",
    "cli.aggr": "aggregate cli.common",
    "cli.common": "config config.ranges errors model nodeset",
    "cli.config": ("attributes cli.common config config.settings errors lint model nodeset repository words"),
    "cli.dcp": ("cli.common cli.many dsh.calls dsh.conductor dsh.copying dsh.speech errors model"),
    "cli.diff": ("cli.common cli.reaching config contentdiff difference errors fanout model nodeset repository source"),
    "cli.dsh": ("cli.common cli.many dsh.calls dsh.multiplex dsh.reach dsh.tree model nodeset sockets ssh"),
    "cli.history": (
        "cli.common errors history.between history.database history.periods history.reading history.telling model "
        "nodeset report.record words"
    ),
    "cli.many": (
        "cli.common config dsh.calls dsh.conductor dsh.multiplex dsh.reach dsh.speech errors limits nodeset sockets ssh"
    ),
    "cli.options": "cli.common",
    "cli.reaching": "config connections ssh transport",
    "cli.synctool": (
        "cli.common cli.diff cli.options cli.update cli.upload cli.work config errors explain manifest model "
        "nodeset repository source standalone"
    ),
    "cli.update": "cli.common release",
    "cli.upload": (
        "attributes attributes.appender cli.common cli.reaching config errors fanout intake locking mirror model "
        "nodeset ownership proposal repository store transport words"
    ),
    "cli.work": (
        "aggregate checking cli.common cli.reaching config engine explain fanout locking model nodeids nodeset "
        "plan repairlog report.grouped report.nodetests repository suite waivers words"
    ),
    "compare": "model",
    "config": ("config.builder config.model config.statements errors textfile yamlvalues"),
    "config.builder": ("config.model config.ranges config.statements errors masterdir model nodeset words"),
    "config.model": "masterdir model",
    "config.ranges": "",
    "config.settings": "config.model",
    "config.statements": "config.model words yamlfile yamlvalues",
    "connections": "errors model sockets ssh transport",
    "contentdiff": "difference errors fetch model repository secrecy transport",
    "demo": "embedded",
    "difference": "compare fetch model repository secrecy",
    "digests": "",
    "drift": "model repository secrecy",
    "dsh": "",
    "dsh.calls": "model ssh",
    "dsh.clients": "dsh.feed",
    "dsh.conductor": ("dsh.calls dsh.clients dsh.feed dsh.speech dsh.tree dsh.wakeup errors ssh"),
    "dsh.copying": "dsh.reach errors model rsync shell tarball",
    "dsh.feed": "",
    "dsh.multiplex": "dsh.reach sockets",
    "dsh.reach": "errors model ssh words",
    "dsh.speech": "aggregate",
    "dsh.tree": "errors ssh",
    "dsh.wakeup": "",
    "embedded": "errors",
    "engine": (
        "checking config connections contentdiff errors mirror model repository session transport waivers.writer"
    ),
    "errors": "",
    "explain": "masterdir model repository source",
    "extract": "attributes repository source waivers",
    "fanout": "limits",
    "fetch": "errors model probe shell",
    "fingerprint": "config config.model errors masterdir model repository source",
    "history": "",
    "history.between": ("history.lives history.periods history.reading model nodeset report.record"),
    "history.database": "errors",
    "history.lives": "model report.past report.record report.signature",
    "history.periods": ("history.lives history.reading model report.past report.record report.signature"),
    "history.reading": "history.database history.lives history.tables model report.record",
    "history.secret": "report.signature",
    "history.store": ("errors history.database history.lives history.secret history.tables report.past report.record"),
    "history.tables": "history.database history.lives model report.past report.record",
    "history.telling": "history.between history.periods history.reading nodeset report.record",
    "intake": "attributes.rules errors model probe shell source",
    "journal": "",
    "limits": "",
    "lint": ("config.model lint.files lint.names lint.precedence lint.subject lint.vital lint.waivers repository"),
    "lint.files": "lint.subject masterdir model source words",
    "lint.names": "config.model lint.precedence lint.subject masterdir source",
    "lint.precedence": "lint.subject masterdir model source",
    "lint.subject": "attributes config.model masterdir model nodeset repository source",
    "lint.vital": "lint.subject model source",
    "lint.waivers": "config.model lint.subject source waivers",
    "locking": "accounts errors",
    "manifest": "model repository source",
    "masterdir": "accounts digests errors model source words",
    "mirror": ("attributes errors extract model probe repository rsync shell tarball transport waivers"),
    "model": "",
    "nodeids": "",
    "nodeset": "errors model words",
    "ownership": ("accounts attributes attributes.appender attributes.rules compare model source"),
    "patterns": "model",
    "plan": "journal model repository secrecy shell source",
    "plugin": (
        "plugin.arguments plugin.collect plugin.lint plugin.options plugin.run plugin.terminal plugin.testinfra_hosts"
    ),
    "plugin.arguments": "plugin.cluster",
    "plugin.asked": ("history.lives nodeids plugin.cluster report.record report.signature source"),
    "plugin.cluster": (
        "config connections errors model nodeset report.tally repository ssh standalone transport waivers"
    ),
    "plugin.collect": "checking errors model nodeids plan plugin.cluster repository source",
    "plugin.durations": "report.expand",
    "plugin.findings": "checking model plugin.cluster report.nodetests",
    "plugin.fold": "checking model plugin.cluster plugin.collect report.nodetests",
    "plugin.garbage": "",
    "plugin.junit": "plugin.cluster plugin.reports report.files report.junit",
    "plugin.lint": "lint nodeids plugin.cluster",
    "plugin.live": "checking plugin.cluster report.progress",
    "plugin.lock": "locking",
    "plugin.log": "plugin.cluster repairlog",
    "plugin.machines": "fingerprint plugin.cluster ssh",
    "plugin.options": (
        "batches errors nodeset plugin.arguments plugin.cluster plugin.lock plugin.log plugin.machines "
        "plugin.reports report.tally transport"
    ),
    "plugin.reports": (
        "accounts history.store plugin.asked plugin.cluster report.document report.files report.metrics "
        "report.page report.past report.pipeline report.record"
    ),
    "plugin.run": (
        "batches checking engine explain fanout model plugin.cluster plugin.findings plugin.fold plugin.garbage "
        "plugin.junit plugin.live plugin.lock plugin.log plugin.machines plugin.reports plugin.stale plugin.turns "
        "plugin.workers report.expand report.nodetests"
    ),
    "plugin.scheduler": "",
    "plugin.stale": ("plugin.cluster plugin.reports report.expand report.record waivers.stale"),
    "plugin.terminal": (
        "nodeset plugin.cluster plugin.durations plugin.log plugin.reports plugin.stale report.expand "
        "report.summary report.tally words"
    ),
    "plugin.testinfra_hosts": "plugin.cluster",
    "plugin.turns": "plugin.cluster",
    "plugin.workers": "checking plugin.fold plugin.scheduler report.expand report.nodetests",
    "probe": "errors model shell source",
    "proposal": ("compare config.model errors intake masterdir model nodeset repository source"),
    "release": "",
    "remote": "",
    "repairlog": "accounts checking errors report.log report.nodetests words",
    "report": "",
    "report.document": "model report.past report.record",
    "report.expand": "checking model report.nodetests report.whole",
    "report.files": "",
    "report.grouped": "model report.record",
    "report.junit": "model nodeids report.expand",
    "report.log": "checking model report.nodetests words",
    "report.metrics": "model report.record",
    "report.nodetests": "model nodeids",
    "report.page": ("model report.page.data report.page.telling report.page.trend report.past report.record"),
    "report.page.data": "checking model report.grouped report.past report.record",
    "report.page.telling": ("nodeset report.grouped report.page.data report.past report.record report.verdict words"),
    "report.page.trend": "report.page.data report.past report.record",
    "report.past": "report.record",
    "report.pipeline": (
        "model nodeset report.document report.grouped report.record report.verdict waivers.rules words"
    ),
    "report.progress": "checking model nodeset",
    "report.record": "checking model nodeids report.nodetests",
    "report.signature": "errors fingerprint repository source",
    "report.summary": "model nodeset report.grouped report.record report.tally words",
    "report.tally": "checking model report.grouped report.nodetests report.record",
    "report.verdict": "model report.record",
    "report.whole": "model report.nodetests",
    "repository": "attributes config.model masterdir model source waivers",
    "rsync": "",
    "rulefile": "errors model patterns textfile words yamlfile yamlvalues",
    "script": "errors journal model plan remote shell",
    "secrecy": "model repository",
    "session": (
        "apply checking contentdiff drift errors journal model plan probe repository script secrecy source "
        "transport waivers.held"
    ),
    "shell": "",
    "sockets": "errors",
    "source": "digests errors model",
    "ssh": "model",
    "standalone": "errors model nodeset words",
    "store": "errors model",
    "suite": "checking compare model plan repository source",
    "tarball": "shell",
    "textfile": "errors",
    "transport": "errors model shell sockets ssh",
    "waivers": "waivers.reader waivers.rules",
    "waivers.held": "model source",
    "waivers.reader": "errors model nodeset rulefile waivers.rules yamlvalues",
    "waivers.rules": "model patterns",
    "waivers.stale": "model nodeids nodeset report.record repository source waivers.rules",
    "waivers.writer": "model patterns waivers.rules yamlvalues",
    "words": "",
    "yamlfile": "yamlvalues",
    "yamlvalues": "",
}

# What is neither of the package nor of Python.
FOREIGN: dict[str, str] = {
    "aggregate": "ClusterShell",
    "cli.dsh": "ClusterShell",
    "config.ranges": "ClusterShell",
    "dsh.clients": "ClusterShell",
    "dsh.conductor": "ClusterShell",
    "dsh.tree": "ClusterShell",
    "dsh.wakeup": "ClusterShell",
    "mirror": "testinfra",
    "nodeset": "ClusterShell",
    "plugin.arguments": "pytest",
    "plugin.cluster": "pytest",
    "plugin.collect": "pytest",
    "plugin.durations": "pytest",
    "plugin.findings": "pytest",
    "plugin.fold": "pytest",
    "plugin.garbage": "pytest",
    "plugin.junit": "_pytest pytest",
    "plugin.lint": "pytest",
    "plugin.live": "pytest",
    "plugin.lock": "pytest",
    "plugin.log": "pytest",
    "plugin.machines": "execnet pytest xdist",
    "plugin.options": "pytest",
    "plugin.reports": "pytest",
    "plugin.run": "pytest",
    "plugin.scheduler": "pytest xdist",
    "plugin.stale": "pytest",
    "plugin.terminal": "pytest",
    "plugin.testinfra_hosts": "pytest",
    "plugin.turns": "pytest",
    "plugin.workers": "execnet pytest xdist",
    "release": "packaging",
    "report.expand": "pytest",
    "report.junit": "_pytest pytest",
    "report.metrics": "prometheus_client",
    "report.page": "jinja2 markupsafe",
    "transport": "testinfra",
    "yamlfile": "yaml",
}

PURE = (
    *(
        "aggregate",
        "attributes",
        "batches",
        "checking",
        "compare",
        "config",
        "difference",
        "drift",
        "dsh.calls",
        "dsh.reach",
        "errors",
        "explain",
        "fetch",
        "lint",
        "manifest",
        "model",
        "nodeids",
        "nodeset",
        "plan",
    ),
    *(
        "intake",
        "ownership",
        "probe",
        "proposal",
        "release",
        "report.document",
        "report.pipeline",
        "report.summary",
        "repository",
        "rsync",
        "script",
        "shell",
        "source",
        "waivers",
        "yamlfile",
    ),
)
IMPURE = {"subprocess", "socket", "signal", "threading", "multiprocessing", "testinfra", "xdist", "pytest", "_pytest"}


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by their dotted names below it."""
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


@cache
def imports(path: Path) -> frozenset[str]:
    """The full names of all modules that a file imports, wherever in it."""
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


def inner(path: Path) -> set[str]:
    """The modules of the package that a file imports."""
    prefix = f"{PACKAGE.name}."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}


def outer(path: Path) -> set[str]:
    """The top-level packages that a file imports, its own left out."""
    return {name.partition(".")[0] for name in imports(path)} - {PACKAGE.name}


def test_every_module_is_in_the_table() -> None:
    assert sorted(ALLOWED) == sorted(modules())
    assert set(FOREIGN) <= set(ALLOWED)


@pytest.mark.parametrize("module", ALLOWED)
def test_imports_are_the_stated_ones(module: str) -> None:
    path = modules()[module]
    assert sorted(inner(path)) == sorted(ALLOWED[module].split())
    foreign = outer(path) - set(sys.stdlib_module_names)
    assert sorted(foreign) == sorted(FOREIGN.get(module, "").split())


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_contact_nobody(module: str) -> None:
    """Neither themselves nor through what they import."""
    reached, open_ = set(), [module]
    while open_:
        name = open_.pop()
        if name not in reached:
            reached.add(name)
            assert not outer(modules()[name]) & IMPURE, name
            open_ += inner(modules()[name])


def test_only_the_plugin_imports_the_plugin() -> None:
    for module, path in modules().items():
        assert module.startswith("plugin") or not [name for name in inner(path) if name.startswith("plugin")], module


def test_imports_go_one_way() -> None:
    """No module imports itself by a detour."""
    open_ = {module: set(allowed.split()) for module, allowed in ALLOWED.items()}
    while open_:
        leaves = {module for module, allowed in open_.items() if not allowed & set(open_)}
        assert leaves, f"a circle among {sorted(open_)}"
        for leaf in leaves:
            del open_[leaf]
