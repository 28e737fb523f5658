"""--pdb: the debugger at the first drift of a node, on a terminal only."""

from __future__ import annotations

from tests_meta.site import Site
from tests_meta.terminal import terminal


def test_the_first_drift_of_each_node(site: Site) -> None:
    site.nodes = {"node1": "batch connection:local://", "node2": "batch connection:local://"}
    for name in ("first", "second"):
        (site.directory / name).write_text("x")
        path = site.masterdir / "delete" / f"{site.directory / name}._all".lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    command = site.command("-m", "delete", "--pdb", "-p", "no:cacheprovider")
    with terminal(site.directory, *command) as screen:
        screen.until(b"(Pdb) ")
        assert b"entering PDB" in screen.shown
        assert b"first should not exist" in screen.shown or b"/first" in screen.shown
        screen.type(b"p entry.destination, expected, actual\n")
        screen.until(b"/first'")
        screen.type(b"shell('printf \"a\\\\033[2Jb\"; ls no-such-name; exit 3')\n")
        screen.until(b"(exit status 3)")
        assert b"a\\x1b[2Jb" in screen.shown
        before = screen.shown.count(b"entering PDB")
        screen.type(b"c\n")
        while screen.shown.count(b"entering PDB") == before:
            assert screen.more(), screen.shown
        screen.type(b"c\n")
        assert screen.end() == 1, screen.shown
    assert screen.shown.count(b"entering PDB") == 2
    assert b"4 failed" in screen.shown, screen.shown
    for more in ("--granularity=node", "-x", "-s"):
        with terminal(site.directory, *command, more) as screen:
            screen.until(b"(Pdb) ")
            screen.type(b"q\n")
            assert screen.end() == 2, screen.shown
        assert b"Quitting debugger" in screen.shown
    run = site.pytest("-m", "delete", "--pdb")
    assert (run.status, "entering PDB" in run.output) == (1, False)
