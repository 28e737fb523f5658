"""tasks/ on real nodes: run with --tasks --fix alone, once each, in the order of their names."""

from __future__ import annotations

import pytest

from tests_meta.site import Site

LOG = "/tmp/tasks.log"


@pytest.fixture
def tasks(live: Site) -> Site:
    """Three tasks for node1, two for node3, all of which tell where they ran."""
    live.sh("node1", f"rm -f {LOG}")
    live.sh("node3", f"rm -f {LOG}")
    directory = live.masterdir / "tasks" / "more"
    directory.mkdir(parents=True)
    for name in ("b._all", "a._batch", "more/c._node1", "a._login"):
        path = live.masterdir / "tasks" / name
        path.write_text(f'#!/bin/sh\necho "$SYNCTOOL_NODE {name} $(pwd)" >>{LOG}\necho done with {name}\n')
        path.chmod(0o755)
    live.put("file._all")
    live.script("file.post", f"#!/bin/sh\necho file.post >>{LOG}\n")
    return live


def test_they_run_with_both_options_only(tasks: Site) -> None:
    """Documentation: '--tasks' runs the executables in tasks/, if you also supply '-f'."""
    hosts = "--hosts=node1,node3"
    dry = tasks.pytest("--tasks", hosts)
    assert dry.word("node1", "/b", "tasks") == "skipped"
    assert "dry run, not running" in dry.message("node1", "/b", "tasks")
    assert tasks.pytest("--fix", "-k", "nothing/like/it or tasks", hosts).status == 5
    assert tasks.sh("node1", f"cat {LOG} 2>/dev/null || echo none") == "none\n"
    run = tasks.pytest("--tasks", "--fix", hosts)
    assert run.status == 0, run.output
    expected = "file.post\nnode1 a._batch /\nnode1 b._all /\nnode1 more/c._node1 /\n"
    assert tasks.sh("node1", f"cat {LOG}") == expected
    assert tasks.sh("node3", f"cat {LOG}") == "file.post\nnode3 a._login /\nnode3 b._all /\n"
    assert "FIXED node1: /more/c ran tasks/more/c._node1" in run.output
    again = tasks.pytest("--tasks", "--fix", "-k", "more/c", hosts)
    assert again.status == 0
    assert tasks.sh("node1", f"cat {LOG}") == expected + "node1 more/c._node1 /\n"


def test_commands_read_files_of_nobody(live: Site) -> None:
    """Functions that tasks source, and the template of a trigger, come along. Others of that group stay away."""
    (live.masterdir / "tasks").mkdir()
    texts = {
        "greet._all": f"#!/bin/sh\n. ${{0%/*}}/functions._none && greet >{live.top}/greeting\n",
        "functions._none": "greet() { echo hello; }\n",
    }
    for name, text in texts.items():
        (live.masterdir / "tasks" / name).write_text(text)
    (live.masterdir / "tasks/greet._all").chmod(0o755)
    live.put("my.conf._all")
    live.put("my.conf.template._none", "node NODE\n")
    live.put("other/secret._none", "secret\n")
    fill_in = 'sed "s/NODE/$SYNCTOOL_NODE/" "$SYNCTOOL_MASTERDIR'
    live.script("my.conf.post", f'#!/bin/sh\n{fill_in}/overlay{live.top}/my.conf.template._none" >{live.top}/made\n')
    assert live.pytest("--tasks", "--fix", "--hosts=node1").status == 0
    assert live.sh("node1", "cat @/greeting @/made") == "hello\nnode node1\n"
    brought = live.sh("node1", f"find {live.masterdir} -name '*._none'").splitlines()
    assert {name.rpartition("/")[2] for name in brought} == {"functions._none", "my.conf.template._none"}
    assert "task-not-executable" not in live.pytest("--synctool-lint").output


def test_one_that_fails_fails_its_test_alone(tasks: Site) -> None:
    """With its exit status and output; it is not owed to the next run."""
    path = tasks.masterdir / "tasks" / "b._all"
    path.write_text("#!/bin/sh\necho no licence server >&2\nexit 3\n")
    (tasks.masterdir / "tasks" / "more" / "c._node1").chmod(0o644)
    run = tasks.pytest("--tasks", "--fix", "--hosts=node1")
    assert run.status == 1
    message = run.message("node1", "/b", "tasks")
    assert "tasks/b._all failed: exit status 3" in message
    assert "no licence server" in message
    assert "it is not an executable file" in run.message("node1", "/more/c", "tasks")
    assert run.word("node1", "/a", "tasks") == run.word("node1", f"{tasks.top}/file") == "passed"
    assert tasks.pytest("--hosts=node1").status == 0
