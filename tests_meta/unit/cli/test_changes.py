"""`synctool --changes`: what a commit of the masterdir will do, before any node is contacted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.cli import synctool as command

from tests_meta.unit.repository.test_changes import git

CONF = """\
masterdir masterdir
node node1 batch
node node2 batch
node node3 login
ssh_cmd false
"""
RULES = "- {path: /**, owner: root, group: root}\n- {path: /etc, mode: 0755}\n"


NTP = "- {path: /etc/ntp.conf, mode: 0600}\n"


class Site:
    """A repository with a configuration and a masterdir, in which `synctool` runs in this process."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.capsys = directory, capsys
        git(directory, "init", "-q")
        self.put(
            **{
                "synctool.conf": CONF,
                ".gitignore": "reports\n",
                "masterdir/attributes.yaml": RULES,
                "masterdir/overlay/etc/motd._all": "hello\n",
                "masterdir/overlay/etc/motd._login": "hello\n",
                "masterdir/overlay/etc/ntp.conf._batch": "server a\n",
                "masterdir/overlay/etc/ntp.conf.post": "#!/bin/sh\n",
                "masterdir/overlay/etc/secret._all": "first\n",
            }
        )
        (directory / "masterdir/overlay/empty").mkdir()
        self.commit()

    def put(self, **files: str) -> None:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self) -> None:
        git(self.directory, "add", "-A")
        git(self.directory, "commit", "-qm", "commit")

    def changes(self, *arguments: str, status: int = 0) -> list[str]:
        """Return the lines of `synctool --changes`."""
        ended = command.main(["--changes", *arguments])
        out, err = self.capsys.readouterr()
        assert ended == status, err
        return (out + err).splitlines()


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Site:
    directory = tmp_path / "a site"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.delenv("SYNCTOOL_CONF", raising=False)
    return Site(directory, capsys)


def test_a_commit(site: Site) -> None:
    """Contents, rules, sources, deletions, nodes and groups; the working tree is compared with any revision."""
    assert site.changes("HEAD") == ["0 effects on 0 nodes, 3 unchanged; no node was contacted"]
    site.put(
        **{
            "masterdir/overlay/etc/ntp.conf._batch": "server other\n",
            "masterdir/attributes.yaml": f"{RULES}- {{path: /etc/motd, mode: 0640}}\n{NTP}",
            "masterdir/overlay/etc/new._node3": "x",
            "masterdir/delete/etc/cron.d/old._all": "",
            "synctool.conf": f"{CONF}node node4 batch\n".replace("node2 batch", "node2 batch rack1"),
        }
    )
    (site.directory / "masterdir/overlay/etc/secret._all").unlink()
    expected = [
        "node2: groups node2 batch all -> node2 batch rack1 all",
        "node4: a new node, with 5 entries",
        "node[1-3]: /etc/cron.d/old must not exist any more (delete/etc/cron.d/old._all)",
        "node[1-3]: /etc/motd mode 0644 -> 0640",
        "node3: /etc/new is new: file 0644 root:root, 1 byte, from overlay/etc/new._node3",
        "node[1-2]: /etc/ntp.conf contents, 9 -> 13 bytes, mode 0644 -> 0600; runs overlay/etc/ntp.conf.post",
        "node[1-3]: /etc/secret no longer managed, stays as it is",
        "7 effects on 4 nodes, 0 unchanged; no node was contacted",
    ]
    assert site.changes("HEAD") == expected
    site.commit()
    assert site.changes("HEAD~1") == expected
    assert site.changes("HEAD~1", "-q", "-n", "node3") == [
        line.replace("node[1-3]", "node3") for line in expected[2:7] if "[1-2]" not in line
    ]
    assert site.changes("HEAD", "-q") == []


def test_a_revision_runs_no_command_of_its_own(site: Site) -> None:
    """Its include_nodes has the output of today's, and an unknown command is an error."""
    site.put(**{"nodes": "node node4 login\n", "synctool.conf": f"{CONF}include_nodes conf cat nodes\n"})
    site.commit()
    site.put(**{"synctool.conf": f"{CONF}include_nodes conf touch ran\n"})
    site.commit()
    site.put(**{"nodes": "node node4 batch\n", "synctool.conf": f"{CONF}include_nodes conf cat nodes\n"})
    assert site.changes("HEAD~1") == ["0 effects on 0 nodes, 4 unchanged; no node was contacted"]
    reason = "'touch ran' has not been run: the present configuration of the controller has no such line"
    assert reason in "".join(site.changes("HEAD", status=2))
    assert not (site.directory / "ran").exists()


def test_modes_that_git_does_not_keep_are_no_change(site: Site) -> None:
    """The working tree has them for both sides; the executable bit is git's own."""
    overlay = site.directory / "masterdir/overlay/etc"
    overlay.chmod(0o700)
    (overlay / "motd._all").chmod(0o600)
    (overlay / "secret._all").chmod(0o600)
    assert site.changes("HEAD", "-q") == []
    (overlay / "motd._all").chmod(0o755)
    assert site.changes("HEAD", "-q") == ["node[1-2]: /etc/motd mode 0644 -> 0755"]


def test_contents_of_secrets_are_compared_and_not_printed(site: Site) -> None:
    site.put(**{"masterdir/attributes.yaml": f"{RULES}- {{path: /etc/secret, sensitive: yes}}\n"})
    site.commit()
    site.put(**{"masterdir/overlay/etc/secret._all": "other\n"})
    assert site.changes("HEAD", "-q") == ["node[1-3]: /etc/secret contents, of the same size"]


def test_a_saved_manifest(site: Site) -> None:
    """The digests of secrets have the key of the history, so that they can be compared later."""
    (site.directory / "reports").mkdir(mode=0o700)
    site.put(**{"masterdir/attributes.yaml": f"{RULES}- {{path: /etc/secret, sensitive: yes}}\n"})
    assert command.main(["--manifest"]) == 0
    text = site.capsys.readouterr().out
    site.put(**{"before.json": text})
    assert site.changes("before.json", "-q") == []
    site.put(**{"masterdir/overlay/etc/secret._all": "other\n", "masterdir/overlay/etc/motd._all": "other\n"})
    assert site.changes("before.json", "-q") == [
        "node[1-2]: /etc/motd contents, of the same size",
        "node[1-3]: /etc/secret contents, of the same size",
    ]
    (site.directory / "reports/.history.sqlite.key").unlink()
    assert site.changes("before.json", "-q")[-1] == (
        "node[1-3]: /etc/secret contents may differ, by digests of another key"
    )
    site.put(**{"before.json": '{"node1": {}}'})
    assert site.changes("before.json", status=2)[0].startswith("before.json is not a manifest of this version")


def test_a_configuration_outside_of_git(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then the nodes of today are those of the revision too, and a line says so. Links lead to the masterdir."""
    masterdir = site.directory / "masterdir"
    site.put(**{"masterdir/overlay/etc/motd._login": "bye\n"})
    (tmp_path / "link").symlink_to(masterdir)
    (tmp_path / "synctool.conf").write_text(CONF.replace("masterdir masterdir", "masterdir link"))
    monkeypatch.chdir(tmp_path)
    for _ in ("in a larger repository", "a repository of its own"):
        effect, warning = site.changes("HEAD", "-q")
        assert effect == "node3: /etc/motd contents, 6 -> 4 bytes"
        assert warning.endswith("is not in HEAD: its nodes and groups of today are used")
        site.put(**{"masterdir/overlay/etc/motd._login": "hello\n"})
        git(masterdir, "init", "-q")
        git(masterdir, "add", ".")
        git(masterdir, "commit", "-qm", "own", "--allow-empty")
        site.put(**{"masterdir/overlay/etc/motd._login": "bye\n"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none is neither a file nor a commit that git has here"),
        ([""], "--changes: expected a revision of git or a file"),
        (["HEAD", "--manifest"], "--manifest does not go with --changes: one thing at a time"),
        (["HEAD", "-f"], "-f does not go with --changes, which contacts no node"),
        (["HEAD", "-d", "/f"], "--changes does not go with -d"),
    ],
)
def test_mistakes(site: Site, arguments: list[str], message: str) -> None:
    (line,) = site.changes(*arguments, status=2)
    assert message in line


def test_a_revision_that_cannot_be_read(site: Site) -> None:
    """Such as one with a mistake in its configuration: an error with file and line, as today's."""
    site.put(**{"synctool.conf": f"{CONF}nodee node5\n"})
    site.commit()
    site.put(**{"synctool.conf": CONF})
    (line,) = site.changes("HEAD", status=2)
    assert line.startswith("HEAD:synctool.conf:6: ")
