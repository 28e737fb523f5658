"""`synctool-init`: the files of a new site, and what is refused."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from pytest_synctool import config
from pytest_synctool.cli import init, site_writer
from pytest_synctool.cli.new_site import NewSite
from pytest_synctool.common.trust import Trust
from pytest_synctool.lint import lint
from pytest_synctool.repository import resolution

from tests_meta.unit.helpers import IS_ROOT

Capture = pytest.CaptureFixture[str]


def site(directory: Path, *nodes: str, example: bool = True) -> NewSite:
    return NewSite(directory, nodes or ("node node1",), example, Path("/opt/synctool/bin/pytest"))


def tree(directory: Path) -> dict[str, tuple[int, str]]:
    """Return mode and content of all that is in a directory."""
    return {
        str(path.relative_to(directory)): (path.lstat().st_mode, path.read_text() if path.is_file() else "")
        for path in directory.rglob("*")
    }


def test_a_new_site_has_no_findings_and_locks_nobody_out(tmp_path: Path) -> None:
    """Whatever the umask: attributes.yaml has the owners and modes."""
    before = os.umask(0o077)
    try:
        assert init.main([str(tmp_path / "site")]) == 0
    finally:
        os.umask(before)
    loaded = config.load(tmp_path / "site/synctool.conf")
    repository = resolution.load(loaded)
    assert {rule: findings for rule, findings in lint(loaded, repository).items() if findings} == {}
    (node,) = loaded.nodes.values()
    states = {entry.destination: entry.with_attributes(entry.source.state) for entry in repository.entries(node)}
    assert {path: (state.owner, state.group, state.mode) for path, state in states.items()} == {
        b"/etc": ("root", "root", 0o755),
        b"/etc/synctool-example": ("root", "root", 0o644),
    }
    assert list(repository.warnings) == []


@pytest.mark.parametrize(
    "name", ["synctool.conf", "synctool.yaml", "masterdir", ".gitignore", ".gitlab-ci.yml", "automation"]
)
def test_nothing_is_overwritten(name: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / name).write_text("mine\n")
    before = tree(tmp_path)
    assert init.main([str(tmp_path)]) == 2
    assert tree(tmp_path) == before
    assert name in capsys.readouterr().err


def test_other_files_of_the_directory_stay(tmp_path: Path) -> None:
    """Such as those of a clone of an empty repository, with a workflow of its own."""
    (tmp_path / ".github/workflows").mkdir(parents=True)
    for name in ("README.md", ".github/workflows/other.yml"):
        (tmp_path / name).write_text("mine\n")
    before = tree(tmp_path)
    assert init.main([str(tmp_path)]) == 0
    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before
    assert (tmp_path / ".github/workflows/synctool.yml").is_file()
    assert [name for name in after if "synctool-init" in name] == []


def test_a_file_that_appears_meanwhile_is_kept_and_all_else_taken_away(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    with site_writer.stage_beside(directory) as stage:
        site_writer.write(stage, site(directory).files())
        (directory / "pytest.ini").write_text("mine\n")
        with pytest.raises(FileExistsError):
            site_writer.publish(stage, directory)
    assert [(name, text) for name, (_, text) in tree(directory).items()] == [("pytest.ini", "mine\n")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["@/file"], "is not a directory"),
        (["@/none/site"], "is no directory: make it first"),
        (["@/new\nline"], "expected a name of printable characters"),
        ([""], "expected a name of printable characters"),
        (["@/site", "--from", "node1"], "expected a node and then at least one absolute path"),
        (["@/site", "--from", "node1", "etc/fstab"], "--from node1: expected an absolute path like /etc/fstab"),
        (["@/site", "--from", "node1", "/"], "not / itself"),
        (["@/site", "--from", "alice%node1", "/etc/fstab"], "'alice%node1' is not the name of one node"),
        (["@/site", "--from", "node[1-3]", "/etc/fstab"], "'node[1-3]' is not the name of one node"),
        (["@/site", "--from", "all", "/etc/fstab"], "'all' is not the name of one node"),
        (["@/site", "--from", "-oProxyCommand=x", "/etc/fstab"], "expected"),
        (["@/site", "--sudo"], "--sudo needs --from"),
        ([], "the following arguments are required: DIR"),
    ],
)
def test_refusals(arguments: list[str], message: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert init.main([word.replace("@", str(tmp_path)) for word in arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not IS_ROOT, reason="only root has directories of others")
def test_a_place_that_others_can_change_is_refused(tmp_path: Path, capsys: Capture) -> None:
    """A run would refuse the site. The message names the site and not the place where it was made."""
    tmp_path.chmod(0o777)
    assert init.main([str(tmp_path / "site")]) == 2
    errors = capsys.readouterr().err
    assert "everybody may write to it" in errors
    assert ".synctool-init" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["site", "a b", "100% $HOME", "it's", 'say "x"', "back\\slash; true"])
def test_units_and_cron_lines_hold_any_printable_directory(name: str, tmp_path: Path) -> None:
    directory = tmp_path / name
    files = site(directory).files()
    line = files["automation/synctool-audit.cron"].splitlines()[-1].partition(" root ")[2]
    directory.mkdir()
    words = line.replace("\\%", "%").replace("/opt/synctool/bin/pytest -q", "pwd")
    assert subprocess.run(["sh", "-c", words], capture_output=True, text=True).stdout == f"{directory}\n"
    service = dict(
        text.split("=", 1) for text in files["automation/synctool-audit.service"].splitlines() if "=" in text[:30]
    )
    assert service["WorkingDirectory"] == str(directory).replace("%", "%%")
    assert service["ExecStart"] == "/opt/synctool/bin/pytest -q"


def test_a_program_with_odd_characters_is_one_word_of_a_unit() -> None:
    odd = NewSite(Path("/srv"), ("node node1",), True, Path("/opt/a b/100%$x"))
    assert 'ExecStart="/opt/a b/100%%$$x" -q\n' in odd.files()["automation/synctool-audit.service"]
    assert "&& '/opt/a b/100\\%$x' -q\n" in odd.files()["automation/synctool-audit.cron"]


def test_the_pipelines_are_yaml(tmp_path: Path) -> None:
    files = site(tmp_path).files()
    assert {"lint", "audit"} <= set(yaml.safe_load(files[".gitlab-ci.yml"]))
    assert set(yaml.safe_load(files[".github/workflows/synctool.yml"])["jobs"]) == {"lint", "audit"}


def test_the_printed_commands_run(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here they name the programs by their paths, as the first `pytest` of the PATH is another one."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "pytest").write_text("#!/bin/sh\necho another pytest\n")
    (other / "pytest").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}:/usr/bin:/bin")
    assert init.main([str(tmp_path / "a site")]) == 0
    lines = capsys.readouterr().out.partition("Next:\n")[2].splitlines()
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("    ")]
    assert commands[0] == ["cd", str(tmp_path / "a site")]
    assert {Path(words[0]).parent.name for words in commands[1:]} == {"bin"}
    assert Trust.of_caller().fault(os.lstat(tmp_path / "a site")) is None
