"""Bad input ends a run with a clear message and pytest's status for usage errors, without a traceback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests_meta.site import Run, Site


def assert_refused(run: Run, *messages: str) -> None:
    """Check that a run ended with a usage error that contains these messages."""
    assert run.status == 4, run.output
    for message in messages:
        assert message in run.output
    assert "Traceback" not in run.output
    assert "INTERNALERROR" not in run.output


def test_no_configuration(site: Site) -> None:
    """The message lists the places that were searched."""
    run = site.pytest(configured=False)
    assert_refused(
        run,
        "no synctool.conf found",
        "--synctool-conf (not given)",
        "$SYNCTOOL_CONF",
        "/var/lib/synctool/synctool.conf",
    )
    assert str(site.directory / "synctool.conf") in run.output


def test_configuration_named_but_missing(site: Site) -> None:
    """A configuration that is named must exist. No other takes its place."""
    site.configure()
    command = site.command()
    command[5] = "--synctool-conf=elsewhere.conf"
    assert_refused(site.pytest(command=command), "elsewhere.conf: no such file (named by --synctool-conf)")
    environment = {"SYNCTOOL_CONF": "other.conf"}
    assert_refused(
        site.pytest(configured=False, environment=environment), "other.conf: no such file (named by $SYNCTOOL_CONF)"
    )


def test_configuration_is_found_in_order(site: Site) -> None:
    """The option comes before the ini key, that before $SYNCTOOL_CONF, and that before ./synctool.conf."""
    for name in ("option", "ini", "variable"):
        (site.directory / f"{name}.conf").write_text(f"masterdir masterdir\nnode {name}\n")
    site.nodes = {"here": ""}
    site.configure()
    site.put("file._all")
    collect = ("--collect-only", "-q", "-k", "file")
    assert "::here::" in site.pytest(*collect, configured=False).output
    environment = {"SYNCTOOL_CONF": str(site.directory / "variable.conf")}
    assert "::variable::" in site.pytest(*collect, configured=False, environment=environment).output
    ini = (*collect, "-o", f"synctool_conf={site.directory / 'ini.conf'}")
    assert "::ini::" in site.pytest(*ini, configured=False, environment=environment).output
    command = site.command(*ini)
    command[5] = "--synctool-conf=option.conf"
    assert "::option::" in site.pytest(command=command, environment=environment).output


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["nodes x"], "unknown keyword 'nodes' (did you mean 'node'?)"),
        (["node node1 again"], "node 'node1' is defined twice, first on line"),
        (["node n2 node1"], "group 'node1' is named like the node on line"),
        (["group node1 a b"], "group 'node1' is named like the node on line"),
        (["ignore_node all"], "'ignore_node all': nothing would be left"),
        (["group a b", "group b a", "node x a"], "contains itself"),
        (["node x interfac:1.2.3.4"], "unknown node specifier 'interfac:' (did you mean 'interface'?)"),
        (["masterdir elsewhere"], "'masterdir' is set twice"),
        (["node"], "'node' needs a value"),
        (["num_proc many"], "'num_proc' expects a number"),
    ],
)
def test_errors_of_the_configuration(site: Site, lines: list[str], message: str) -> None:
    """All errors are printed at once, each with file and line."""
    site.lines = [*lines, "nonsense here"]
    run = site.pytest()
    assert_refused(run, message, "unknown keyword 'nonsense'")
    assert f"{site.directory / 'synctool.conf'}:{2}: " in run.output or "synctool.conf:" in run.output


def test_unreadable_configuration(site: Site) -> None:
    """The file is a directory, or not a text."""
    (site.directory / "synctool.conf").mkdir()
    assert_refused(site.pytest(configured=False), "synctool.conf: cannot be read: Is a directory")
    (site.directory / "synctool.conf").rmdir()
    (site.directory / "synctool.conf").write_bytes(b"node \xff\n")
    assert_refused(site.pytest(configured=False), "not a text file in UTF-8")


def _no_masterdir(site: Site) -> None:
    site.masterdir.rename(site.directory / "moved")


def _no_overlay(site: Site) -> None:
    (site.masterdir / "overlay").rmdir()


def _overlay_loop(site: Site) -> None:
    (site.masterdir / "overlay").rmdir()
    (site.masterdir / "overlay").symlink_to("overlay")


def _dot_dot(site: Site) -> None:
    site.put("x/..._all")


def _newline(site: Site) -> None:
    site.put("a\nb._all")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_masterdir, "masterdir is not a directory: create it, or correct this line"),
        (_no_overlay, "cannot read overlay/ in the masterdir: No such file or directory"),
        (_overlay_loop, "cannot read overlay/ in the masterdir: Too many levels of symbolic links"),
        (_dot_dot, "cannot be a destination: rename it"),
        (_newline, "a newline in a file name is not supported: rename it"),
    ],
)
def test_errors_of_the_masterdir(site: Site, damage: Callable[[Site], None], message: str) -> None:
    """Nothing is collected from a damaged masterdir."""
    damage(site)
    assert_refused(site.pytest(), message)


def test_files_with_an_unknown_or_no_group_are_left_out_with_a_warning(site: Site) -> None:
    """The warning names the file."""
    site.put("good._all")
    site.put("noext")
    site.put("typo._bacth")
    site.link("loop._all", "loop")
    (site.masterdir / "overlay" / "here").symlink_to(".")
    os.mkfifo(site.masterdir / "overlay" / "pipe._all")
    run = site.pytest("--collect-only")
    assert run.status == 0
    for words in (
        "noext: skipped, no group extension",
        "typo._bacth: skipped, unknown group 'bacth'",
        "overlay/here: skipped",
    ):
        assert words in run.output
    assert "pipe._all: skipped, neither a file" in run.output
    assert f"<EntryItem {site.top}/good>" in run.output
    assert f"<EntryItem {site.top}/typo>" not in run.output


def test_other_suites_are_left_alone(site: Site) -> None:
    """A run that does not ask for a cluster needs no configuration, and ignores a broken one."""
    (site.directory / "test_plain.py").write_text("def test_it():\n    pass\n")
    (site.directory / "synctool.conf").write_text("nonsense\n")
    command = site.command(configured=False)
    command[3:5] = ["test_plain.py"]
    run = site.pytest(command=command)
    assert run.status == 0, run.output
    assert "synctool" not in run.output.replace(str(Path.cwd()), "").split("plugins:")[0]


def test_an_argument_that_is_a_link_to_itself(site: Site) -> None:
    (site.directory / "loop").symlink_to("loop")
    command = site.command(configured=False)
    command[3:5] = ["loop"]
    run = site.pytest(command=command)
    assert run.status == 4
    assert "file or directory not found: loop" in run.output


def test_the_problems_of_all_files_at_once(site: Site) -> None:
    """One run of each front end reports those of the configuration, its included files, and the files of rules."""
    (site.directory / "more.conf").write_text("# more\nnum_proc 0\n")
    site.lines = ["include more.conf", "symlink_mode x"]
    (site.masterdir / "attributes.yaml").write_text("- path: /etc/f\n  mode: 99\n")
    (site.masterdir / "waivers.yaml").write_text("- path: /etc/f\n  nodes: nodd1\n  reason: x\n  expires: soon\n")
    conf = site.configure()
    commands = Path(sys.executable).parent
    for words in (
        site.command(),
        site.command("--synctool-lint"),
        [str(commands / "synctool"), "-c", str(conf)],
        [str(commands / "synctool-config"), "-c", str(conf), "--check"],
    ):
        run = site.pytest(command=words)
        places = re.findall(r"/([^/\s]+:\d+): ", run.output)
        expected = [f"{conf.name}:3", "more.conf:2", "attributes.yaml:2", "waivers.yaml:2", "waivers.yaml:4"]
        assert places == expected, run.output
        assert run.status in (2, 4)
        assert "Traceback" not in run.output
