"""The main job on real nodes: audit, --fix, audit again; with GNU tools and with BusyBox, alone and under xdist."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from lxml import etree

from tests_meta.site import Site

SCHEMA = Path(__file__).parents[1] / "data" / "junit-10.xsd"


def plant(site: Site) -> None:
    """A masterdir with entries of every kind."""
    site.put("ntp.conf._all", "server all\n")
    site.put("ntp.conf._batch", "server batch\n")
    site.put("fstab._node3", "special\n")
    site.put("secret._none", "nobody\n")
    site.put("private._all", "x\n", 0o640)
    site.put("tool._all", "#!/bin/sh\n", 0o4755)
    site.link("link._all", "/etc/target one")
    site.put("d/one._all", "one\n")
    site.put("d/e/two._login", "two\n")
    site.directory_of("empty", 0o1777)
    site.delete("evil._all")
    site.delete("gone._batch")


# Each line is one state of a node, with the number of tests that it turns red.
DRIFT = (
    (
        "echo more >>@/ntp.conf; chmod 666 @/private; chown 1 @/tool; ln -sfn /elsewhere @/link; chmod 755 @/empty; "
        "rm -r @/d; echo file >@/d; touch @/evil",
        9,
    ),
    (
        "printf 'xerver batch\\n' >@/ntp.conf; chown 1:1 @/private; rm @/link; echo file >@/link; "
        "rm @/d/one; mkdir @/d/one; ln -s nowhere @/evil",
        5,
    ),
    ("rm @/ntp.conf @/link @/d/one; mkdir @/link; touch @/link/kept; ln -s /tmp @/d/one; mkfifo @/evil", 4),
    ("rm @/d/one; mkfifo @/d/one; rm @/ntp.conf; ln -s loop @/ntp.conf; chmod 4711 @/private @/empty", 4),
    ("rm -r @/d @/empty @/private", 5),
    ("rm -r @", 9),
)


@pytest.mark.parametrize("node", ["node1", "node5"], ids=["gnu", "busybox"])
def test_every_kind_of_drift_is_found_and_fixed(live: Site, node: str) -> None:
    """All kinds of drift on one node: red, fixed, then green, and a second --fix changes nothing."""
    live.nodes = {node: "batch"}
    plant(live)
    hosts = f"--hosts={node}"
    first = live.pytest(hosts, "--fix")
    assert first.status == 0, first.output
    clean = live.snapshot(node)
    for drift, red in DRIFT:
        live.sh(node, drift)
        audit = live.pytest(hosts, "-q")
        assert audit.status == 1, f"{drift}: {audit.output}"
        assert (audit.count("failure"), audit.count("error")) == (red, 0), f"{drift}: {audit.output}"
        fixed = live.pytest(hosts, "--fix", "-q")
        assert fixed.status == 0, f"{drift}: {fixed.output}"
        assert f"{red} fixed" in fixed.output
        live.sh(node, "find @ -name '*.saved' -prune -exec rm -r {} +")
        assert live.snapshot(node) == clean, drift
    again = live.pytest(hosts, "--fix", "-q")
    assert again.status == 0
    assert "fixed" not in again.output
    assert live.snapshot(node) == clean


def test_audit_then_fix_over_several_nodes(live: Site) -> None:
    """The failure says what was expected and found and which source says so; only the drifted is touched."""
    plant(live)
    audit = live.pytest()
    assert audit.status == 1
    assert audit.word("node3", f"{live.top}/ntp.conf") == "failure"
    assert ("synctool_checks.test_overlay.node1", f"{live.top}/fstab") not in audit.results
    assert not any("secret" in name for _, name in audit.results)
    assert live.sh("node1", "ls -d @ 2>/dev/null || echo untouched") == "untouched\n"
    assert live.pytest("--fix").status == 0
    assert live.sh("node1", "cat @/ntp.conf") == "server batch\n"
    assert live.sh("node3", "cat @/ntp.conf @/fstab @/d/e/two") == "server all\nspecial\ntwo\n"
    live.sh("node2", "printf '12345' >@/ntp.conf; chmod 600 @/ntp.conf; touch @/gone")
    untouched = live.snapshot("node1")
    audit = live.pytest("-n2")
    assert audit.status == 1
    assert audit.count("failure") == 2
    message = audit.message("node2", f"{live.top}/ntp.conf")
    assert "file size mismatch, mode 0600 -> 0644" in message
    assert "file size: expected 13 bytes, found 5 bytes" in message
    assert "mode: expected 0644, found 0600" in message
    assert f"source: overlay{live.top}/ntp.conf._batch" in message
    assert "Traceback" not in message
    assert audit.word("node2", f"{live.top}/gone", "delete") == "failure"
    fixed = live.pytest("-n2", "--fix", "-v")
    assert fixed.status == 0
    assert "FIXED" in fixed.output
    assert live.sh("node2", "cat @/ntp.conf.saved; ls @").startswith("12345")
    assert live.snapshot("node1") == untouched
    green = live.pytest()
    assert green.status == 0
    assert set(green.results.values()) == {"passed"}
    assert green.results == live.pytest("-n2").results


ODD_NAMES: Mapping[str, bytes] = {
    "spaces": b" two  spaces ",
    "quotes": b'it\'s "quoted"',
    "dollar": b"$HOME `id` $(id)",
    "backslash": b"back\\slash\\n",
    "dash": b"-rf",
    "brackets": b"a[1]::b%20",
    "non-ASCII": "h\u00e9llo \u4e16".encode(),
    "not UTF-8": b"\xff\xfe\xe9",
    "control": b"tab\tbell\x07esc\x1b[31m",
    "glob": b"*?[!x]",
    "hash": b"#comment;x&y|z",
    "long": b"n" * 245,
}


@pytest.mark.parametrize("node", ["node2", "node5"], ids=["gnu", "busybox"])
def test_odd_file_names(live: Site, node: str) -> None:
    """Names that shells, terminals and XML choke on are created, audited and repaired like any other."""
    live.nodes = {node: "batch"}
    for number, name in enumerate(ODD_NAMES.values()):
        live.put(name + b"._all", f"{number}\n")
        live.put(b"d" + name[:240] + b"/inside._all", f"{number}\n")
    live.put(b"'; touch evil; '._all", "x\n")
    audit = live.pytest()
    assert audit.status == 1
    assert set(audit.results.values()) <= {"passed", "failure"}
    assert audit.count("failure") >= 3 * len(ODD_NAMES) + 1
    fixed = live.pytest("--fix")
    assert fixed.status == 0, fixed.output
    assert live.pytest().status == 0
    found = set(os.fsencode(live.sh(node, "cd @ && find . -maxdepth 1 -type f -print0")).split(b"\0"))
    assert found == {b"./" + name for name in (*ODD_NAMES.values(), b"'; touch evil; '")} | {b""}
    live.sh(node, "cd @ && find . -type f -exec chmod 600 {} +")
    assert live.pytest().count("failure") == 2 * len(ODD_NAMES) + 1
    assert live.pytest("--fix", "-n2").status == 0
    assert live.pytest().status == 0


def test_junit_report_is_valid_and_names_cases(live: Site) -> None:
    """With junit_family xunit2 the report is valid under the schema, for every kind of outcome."""
    plant(live)
    live.nodes["node9"] = "batch interface:127.0.0.1"  # nothing listens there on the cluster's port
    schema = etree.XMLSchema(etree.parse(SCHEMA))
    for arguments in ((), ("-n2",), ("--fix",)):
        run = live.pytest(*arguments, "-o", "junit_family=xunit2")
        schema.assertValid(etree.parse(live.directory / "junit.xml"))
        assert run.status == 1
        words = set(run.results.values())
        assert words == (
            {"passed", "error", "skipped"} if "--fix" in arguments else {"passed", "failure", "error", "skipped"}
        )
        assert ("synctool_checks.test_overlay.node1", f"{live.top}/d/one") in run.results
        assert run.results[("synctool_checks.test_delete", "node9")] == "error"


def test_more_paths_than_one_command_line_holds(live: Site) -> None:
    """Thousands of long paths on one node are looked at in parts, in one round trip."""
    live.nodes = {"node1": "batch"}
    for number in range(1200):
        live.put(f"{'long-directory-name-' * 4}{number % 7}/{'file-' * 20}{number}._all", "x\n")
    fixed = live.pytest("--fix", "-q", "--tb=line")
    assert fixed.status == 0, fixed.output[-2000:]
    audit = live.pytest("-q")
    assert audit.status == 0
    assert audit.count("passed") == 1200 + 7 + 2


def test_why_a_node_has_to_have_a_file(live: Site) -> None:
    """--explain: the source that counts, those that do not, the rules and triggers; only in what has failed."""
    live.lines.append("ignore *.bak")
    live.put("ntp.conf._all")
    live.put("ntp.conf._batch")
    live.put("ntp.conf._login")
    live.put("ntp.conf.bak._all")
    live.script("ntp.conf.post", "#!/bin/sh\n")
    live.put("fine._all")
    (live.masterdir / "attributes.yaml").write_text(f"- {{path: {live.top}/ntp.conf, mode: 640}}\n")
    assert live.pytest("--fix", "-k", "fine", "--hosts=node1").status == 0
    run = live.pytest("--explain", "--hosts=node1")
    top = f"overlay{live.top}"
    for line in (
        f"why: {top}/ntp.conf._batch, for group batch (groups of node1: node1 batch rack1 all)",
        f"overrides {top}/ntp.conf._all",
        f"skipped {top}/ntp.conf._login, not one of its groups",
        "attributes: mode 0640 by attributes.yaml:1",
        f"trigger: {top}/ntp.conf.post",
    ):
        assert line in run.output
        assert line in run.message("node1", f"{live.top}/ntp.conf")
    assert "fine._all" not in run.output
    assert "why:" not in live.pytest("--hosts=node1").output
