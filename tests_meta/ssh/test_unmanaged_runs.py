"""`pytest --unmanaged` on real nodes: the report of a run, its document, and its tests."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests_meta.site import Site

# A directory with files of packages that no login of the tests reads.
BELOW = "/etc/skel"
SCHEMA = json.loads((resources.files("pytest_synctool") / "schema/drift.json").read_text(encoding="utf-8"))


@pytest.fixture
def grown(live: Site) -> Iterator[Site]:
    """Nodes on which people have worked, one of them with a file of the masterdir; and one that does not answer."""
    live.nodes |= {"dead1": "interface:127.0.0.1"}
    overlay = live.masterdir / "overlay/etc/skel"
    overlay.mkdir(mode=0o755, parents=True)
    overlay.parent.chmod(0o755)
    (overlay / ".bash_logout._login").write_text("ours\n")
    for node in ("node1", "node2", "node3"):
        live.sh(node, f"mkdir -p @; cp -a {BELOW}/. @; touch {BELOW}/rogue; chmod 640 {BELOW}/rogue")
    live.sh("node1", f"echo x >{BELOW}/.profile")
    live.sh("node2", f"echo y >{BELOW}/.profile; rm {BELOW}/.bashrc")
    live.sh("node3", f"rm {BELOW}/rogue; echo ours >{BELOW}/.bash_logout; chmod 644 {BELOW}/.bash_logout")
    yield live
    for node in ("node1", "node2", "node3"):
        live.sh(node, f"rm -f {BELOW}/rogue; cp -a @/. {BELOW}")


LINES = [
    "UNMANAGED node2: /etc/skel/.bashrc is missing, and belongs to a package (1 of 3 nodes)",
    "UNMANAGED node1: /etc/skel/.profile differs from its package, version 1 of 2 (1 of 3 nodes)",
    "UNMANAGED node2: /etc/skel/.profile differs from its package, version 2 of 2 (1 of 3 nodes)",
    "UNMANAGED node[1-2]: /etc/skel/rogue belongs to no package (2 of 3 nodes)",
    "UNMANAGED dead1: unknown: unreachable: Connection refused",
]


def lines(output: str) -> list[str]:
    """The lines about unmanaged files."""
    return [line for line in output.splitlines() if "UNMANAGED" in line or "are managed" in line]


def document(site: Site) -> dict[str, Any]:
    """The document of the run."""
    read: dict[str, Any] = json.loads((site.directory / "reports/drift.json").read_text(encoding="utf-8"))
    jsonschema.validate(read, SCHEMA)
    return read


def snapshot(site: Site) -> list[str]:
    """The files of the nodes, with their times."""
    return [site.sh(node, f"find {BELOW} -exec stat -c '%n %i %Y %Z' {{}} +") for node in ("node1", "node2", "node3")]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_report_only(grown: Site, workers: tuple[str, ...]) -> None:
    """It changes nothing, neither on nodes nor in the results. An unreachable node is unknown."""
    before = snapshot(grown)
    run = grown.pytest(f"--unmanaged={BELOW}", *workers)
    assert snapshot(grown) == before
    assert lines(run.output) == LINES
    assert not any("unmanaged" in name for name, _ in run.results)
    unmanaged = document(grown)["unmanaged"]
    assert {key: unmanaged[key] for key in ("directory", "known", "unknown", "node_sets")} == {
        "directory": BELOW,
        "known": ["node1", "node2", "node3"],
        "unknown": [{"reason": "unreachable: Connection refused", "nodes": ["dead1"]}],
        "node_sets": [["node2"], ["node1"], ["node1", "node2"]],
    }
    files = [
        (each["path"], each["reason"], each["node_set"], each["mode"], each["size"]) for each in unmanaged["files"]
    ]
    assert files == [
        ("/etc/skel/.bashrc", "missing", 0, None, None),
        ("/etc/skel/.profile", "changed", 1, "0644", 2),
        ("/etc/skel/.profile", "changed", 0, "0644", 2),
        ("/etc/skel/rogue", "unowned", 2, "0640", 0),
    ]
    run = grown.pytest("--unmanaged=/etc/skel/", "--hosts=node3", "-q", *workers)
    assert (run.status, lines(run.output)) == (0, [])
    run = grown.pytest(f"--unmanaged={BELOW}", "--hosts=node3", "--synctool-jsonl=lines", *workers)
    well = "node3: all files below /etc/skel are managed, or as packages installed them"
    assert (run.status, lines(run.output)) == (0, [well])
    end = json.loads((grown.directory / "lines").read_text().splitlines()[-1])
    nothing: dict[str, list[str]] = {"unknown": [], "node_sets": [], "files": []}
    assert end["unmanaged"] == {"directory": BELOW, "known": ["node3"], **nothing}
    run = grown.pytest(*workers)
    assert "unmanaged" not in document(grown)
    assert lines(run.output) == []


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_test_for_each_node(grown: Site, workers: tuple[str, ...]) -> None:
    """A node that nobody could look at is skipped there: its other tests fail."""
    reports = ("--synctool-summary=summary.md", "--synctool-codequality=issues.json")
    run = grown.pytest(f"--unmanaged={BELOW}", "--unmanaged-fail", *reports, *workers)
    assert run.status == 1
    issues = json.loads((grown.directory / "issues.json").read_text())
    shown = (issue["description"] for issue in issues if issue["check_name"] == "unmanaged")
    assert sorted(shown)[-1] == "node[1-2] (2 nodes): /etc/skel/rogue belongs to no package"
    for report in ("summary.md", "reports/drift.html"):
        text = (grown.directory / report).read_text()
        assert text.count("belongs to no package") == 1, text
        assert "dead1: unknown" not in text
    assert {node: run.results["unmanaged.etc.skel", node] for node in grown.nodes} == {
        **dict.fromkeys(("node1", "node2"), "failure"),
        "node3": "passed",
        "dead1": "skipped",
    }
    assert run.messages["unmanaged.etc.skel", "node2"] == (
        "node2: 3 unmanaged files below /etc/skel\n"
        "node2: 3 unmanaged files below /etc/skel\n"
        "  /etc/skel/.bashrc is missing, and belongs to a package\n"
        "  /etc/skel/.profile differs from its package, version 2 of 2\n"
        "  /etc/skel/rogue belongs to no package"
    )
    assert lines(run.output) == LINES
    assert "Traceback" not in run.output
    run = grown.pytest(f"--unmanaged={BELOW}", "--unmanaged-fail", "--hosts=node3", *workers)
    assert (run.status, run.results["unmanaged.etc.skel", "node3"]) == (0, "passed")
    run = grown.pytest(f"--unmanaged={BELOW}", "--unmanaged-fail", "--hosts=node1", *workers)
    assert run.status == 1


def test_the_documented_example(grown: Site) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    text = (Path(__file__).parents[2] / "docs/reports.md").read_text(encoding="utf-8")
    (command,) = (line for line in text.splitlines() if line.startswith("    jq -r '.unmanaged"))
    grown.pytest(f"--unmanaged={BELOW}")
    done = subprocess.run(["sh", "-c", command], cwd=grown.directory, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "/etc/skel/.bashrc\tmissing\tnode2",
        "/etc/skel/.profile\tchanged\tnode1",
        "/etc/skel/.profile\tchanged\tnode2",
        "/etc/skel/rogue\tunowned\tnode1\tnode2",
    ]
