"""Marks, setup hooks and fixtures of a site, and the exceptions that check functions raise."""

from __future__ import annotations

import json

import pytest

from tests_meta.markers import ALONE_AND_XDIST
from tests_meta.site import Run, Site

CONTENT = "content\n"


@pytest.fixture
def local(site: Site) -> Site:
    """Return a site whose node is this machine. `present` is in sync, `absent` is missing."""
    site.top = str(site.directory / "real")
    site.nodes = {"node1": "batch connection:local://"}
    (site.directory / "real").mkdir()
    for name in ("present", "absent"):
        site.put(f"{name}._all", CONTENT)
    (site.masterdir / "overlay" / "tmp").chmod(0o1777)  # --fix refuses any other mode of /tmp
    (site.directory / "real" / "present").write_text(CONTENT)
    return site


def own_check(site: Site, body: str, *arguments: str, head: str = "") -> Run:
    """Run a check of the site on the file `present`."""
    text = f"import sys, pytest\nfrom pytest_synctool.checks import Change\n{head}\ndef check_own(entry, actual):\n"
    (site.directory / "test_own.py").write_text(text + f"    {body}\n")
    chosen = "node1" if "--granularity=node" in arguments else "present"
    command = site.command("-k", chosen, "-rA", *arguments)
    command[3:5] = ["test_own.py"]
    return site.pytest(command=command)


@ALONE_AND_XDIST
@pytest.mark.parametrize(
    ("body", "word", "text"),
    [
        ("pytest.skip('not here')", "skipped", "not here"),
        ("pytest.xfail('known')", "skipped", "known"),
        ("pytest.fail('bad')", "error", "check_own failed: bad"),
        ("pytest.exit('enough')", "error", "check_own called pytest.exit: enough"),
        ("sys.exit(3)", "error", "check_own raised SystemExit: 3"),
        ("raise KeyboardInterrupt", "error", "check_own raised KeyboardInterrupt"),
        ("raise ValueError('lone \\ud800 and \\x1b')", "error", r"check_own raised ValueError: lone \ud800 and \x1b"),
        ("raise type('Bad', (Exception,), {'__str__': lambda self: 1 / 0})", "error", "raised Bad: (no message"),
    ],
)
def test_an_exception_of_a_check_is_the_outcome_of_its_entry(
    local: Site, body: str, word: str, text: str, workers: tuple[str, ...]
) -> None:
    """The run goes on, and the node was looked at."""
    run = own_check(local, body, *workers)
    assert "INTERNALERROR" not in run.output
    assert run.status == (word == "error"), run.output
    assert set(run.results.values()) == {word}
    assert text in next(iter(run.messages.values()))


@pytest.mark.parametrize(
    ("head", "body", "status", "line"),
    [
        ("pytestmark = pytest.mark.skip(reason='all')", "1 / 0", 0, "SKIPPED"),
        ("pytestmark = [pytest.mark.skipif('sys.maxsize > 0', reason='all')]", "1 / 0", 0, "SKIPPED"),
        ("STOP = True\n@pytest.mark.skipif('STOP')", "1 / 0", 0, "condition: STOP"),
        ("@pytest.mark.xfail(raises=ZeroDivisionError, reason='sum')", "1 / 0", 0, "XFAIL"),
        pytest.param(
            *("@pytest.mark.xfail(raises=pytest.RaisesExc(OSError))", "1 / 0", 1, "ERROR"),
            marks=pytest.mark.skipif(not hasattr(pytest, "RaisesExc"), reason="pytest is older than 8.4"),
        ),
        ("@pytest.mark.xfail(reason='sum')", "return [Change('a', 'b', 'c')]", 0, "XFAIL"),
        ("@pytest.mark.xfail(reason='sum')", "return []", 0, "XPASS"),
        ("@pytest.mark.xfail(reason='sum', strict=True)", "return []", 1, "[XPASS(strict)] sum"),
        ("@pytest.mark.xfail(reason='sum', run=False)", "1 / 0", 0, "[NOTRUN] sum"),
        ("@pytest.mark.xfail(False, reason='sum')", "return [Change('a', 'b', 'c')]", 1, "FAILED"),
        ("@pytest.mark.parametrize('a', [1])", "return []", 4, "parametrize does not go with a check"),
        ("@pytest.mark.usefixtures('tmp_path')", "return []", 4, "usefixtures does not go with a check"),
        ("pytest.skip('whole file', allow_module_level=True)", "return []", 5, "whole file"),
    ],
)
def test_marks_of_own_checks(local: Site, head: str, body: str, status: int, line: str) -> None:
    """They mean what they mean on a test function."""
    run = own_check(local, body, head=head)
    assert run.status == status, run.output
    assert line in run.output
    for arguments in (("--granularity=node",), ("-n2",)):
        run = own_check(local, body, *arguments, head=head)
        assert run.status == status, run.output


def test_the_reports_of_marked_tests(local: Site) -> None:
    """An expected failure is waived, and a skipped test is neither in sync nor missed."""
    (local.directory / "conftest.py").write_text(
        "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n"
        "        if item.nodeid.endswith('absent'):\n            item.add_marker(pytest.mark.xfail(reason='known'))\n"
        "        if item.nodeid.endswith('present'):\n            item.add_marker(pytest.mark.skip(reason='later'))\n"
    )
    run = local.pytest("-k", "absent or present")
    assert run.status == 0, run.output
    assert f"WAIVED node1: {local.top}/absent missing (xfail: known)" in run.output
    document = json.loads((local.directory / "reports" / "drift.json").read_text())
    rows = {row["path"].rpartition("/")[2]: (row["outcome"], row["message"]) for row in document["results"]}
    assert rows == {"absent": ("waived", "missing"), "present": ("skipped", "later")}
    assert document["summary"]["nodes"]["waived"] == 1


def test_a_node_without_a_test_to_run_is_not_contacted(site: Site) -> None:
    """Nothing is known of its address."""
    site.nodes = {"node1": "batch connection:ssh://nowhere.invalid"}
    site.put("one._all")
    (site.directory / "conftest.py").write_text(
        "import pytest\ndef pytest_runtest_setup(item):\n    pytest.skip('no')\n"
    )
    run = site.pytest()
    assert run.status == 0, run.output
    assert set(run.results.values()) == {"skipped"}


@pytest.mark.parametrize(
    ("conftest", "word"),
    [
        (
            "def pytest_runtest_setup(item):\n    item.get_closest_marker('batch') and pytest.skip('maintenance')\n",
            "skipped",
        ),
        ("def pytest_runtest_setup(item):\n    pytest.xfail('maintenance')\n", "skipped"),
        ("def pytest_runtest_setup(item):\n    raise OSError('maintenance')\n", "error"),
        ("def pytest_runtest_setup(item):\n    item.add_marker(pytest.mark.skip(reason='maintenance'))\n", "skipped"),
        (
            "def pytest_collection_finish(session):\n"
            "    for item in session.items:\n        item.add_marker(pytest.mark.skip(reason='maintenance'))\n",
            "skipped",
        ),
    ],
)
@ALONE_AND_XDIST
def test_setup_hooks(local: Site, conftest: str, word: str, workers: tuple[str, ...]) -> None:
    """A hook of a conftest may skip a test before its node is contacted."""
    (local.directory / "conftest.py").write_text("import pytest\n" + conftest)
    run = local.pytest("-k", "absent", *workers)
    assert set(run.results.values()) == {word}, run.output
    assert "maintenance" in next(iter(run.messages.values()))


def test_fixtures_and_setup_functions(local: Site) -> None:
    """A repair is refused where ordinary tests would run a fixture first; an audit warns."""
    fixture = "import pytest\n@pytest.fixture(autouse=True)\ndef window():\n    pytest.skip('maintenance')\n"
    (local.directory / "conftest.py").write_text(fixture)
    for arguments in ((), ("--granularity=node",)):
        run = own_check(local, "return []", "--fix", "--skip-rsync", *arguments)
        assert run.status == 4, run.output
        assert "checks run without these fixtures and setup functions: window" in run.output
    run = own_check(local, "return []")
    assert "checks run without these fixtures and setup functions: window" in run.output
    assert run.status == 0
    (local.directory / "conftest.py").unlink()
    for head in ("def setup_module():\n    pytest.skip('no')", fixture):
        run = own_check(local, "return []", "--fix", "--skip-rsync", head=head)
        assert run.status == 4, run.output


@pytest.mark.parametrize("root", [".", ".."])
def test_fixtures_of_a_conftest_beside_the_configuration_of_an_installed_suite(local: Site, root: str) -> None:
    """Its hooks apply, so its fixtures count, wherever pytest has its root."""
    (local.directory / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(autouse=True)\ndef window():\n    pytest.skip('maintenance')\n"
    )
    run = local.pytest("--fix", "--skip-rsync", f"--rootdir={root}")
    assert run.status == 4, run.output
    assert "checks run without these fixtures and setup functions: window" in run.output
    assert not (local.directory / "real" / "absent").exists()


def test_a_conftest_that_is_loaded_while_collecting(local: Site) -> None:
    """It sees entries, and what it deselects is not run."""
    inner = local.directory / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "conftest.py").write_text(
        "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_collection_modifyitems(config, items):\n    yield\n"
        "    gone = [item for item in items if item.nodeid.endswith('absent')]\n"
        "    config.hook.pytest_deselected(items=gone)\n"
        "    items[:] = [item for item in items if item not in gone]\n"
    )
    (inner / "test_site.py").write_text("def check_own(entry, actual):\n    return []\ndef test_plain():\n    pass\n")
    run = local.pytest(".", "-k", "present or absent or plain")
    assert run.status == 0, run.output
    names = {name.rpartition("/")[2] for _, name in run.results}
    assert "present" in names
    assert "absent" not in names
    assert {check.rpartition(".")[0] for check, _ in run.results} >= {
        "synctool_checks.test_overlay",
        "a.b.test_site.check_own",
    }
