"""`synctool` on templates and encrypted files: --render, -r, --manifest, --changes and --upload."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_synctool.cli import synctool as command
from pytest_synctool.config import load
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import FileState, Kind
from pytest_synctool.repository import resolution
from pytest_synctool.upload.node_archive import NodeFile
from pytest_synctool.upload.placement import propose

from tests_meta.unit.repository.test_changes import git

CONF = "masterdir masterdir\nnode node1 batch\nnode node2\nvar ntp ntp1\nssh_cmd false\n"
SECRET = "s3cret-Horse"


class Site:
    """A masterdir with a template and an encrypted file, in which `synctool` runs in this process."""

    def __init__(self, directory: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self.directory, self.capture = directory, capfdbinary
        (directory / "synctool.conf").write_text(CONF)
        self.put("etc/f._template._all", "{{ node.name }} {{ vars.ntp }}\n")
        self.put("etc/key._all", SECRET)
        self.rules("- {path: /etc/key, decrypt: cat %s}\n")

    def put(self, name: str, text: str) -> None:
        path = self.directory / "masterdir/overlay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def rules(self, text: str) -> None:
        (self.directory / "masterdir/attributes.yaml").write_text(text)

    def synctool(self, *arguments: str) -> tuple[int, str, str]:
        status = command.main(arguments)
        out, err = self.capture.readouterr()
        return status, out.decode(), err.decode()


@pytest.fixture
def site(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCTOOL_CONF", raising=False)
    return Site(tmp_path, capfdbinary)


@pytest.mark.parametrize("name", ["/etc/f", "overlay/etc/f._template._all", "/etc/f._template._all"])
def test_render(site: Site, name: str) -> None:
    assert site.synctool("--render", name, "-n", "node2") == (0, "node2 ntp1\n", "")


def test_render_without_contents(site: Site) -> None:
    site.put("etc/g._template._all", "\n{{ vars.nope }}")
    for arguments, message in [
        (("/etc/f",), "--render needs one node, as in -n NODE: 2 are selected"),
        (("/etc", "-n", "node1"), "--render: /etc is a directory, and has no contents"),
        (("/etc/none", "-n", "node1"), "--render: no selected node has /etc/none in the overlay tree"),
        (
            ("/etc/g", "-n", "node1"),
            f"{site.directory}/masterdir/overlay/etc/g._template._all:2: variable 'nope' is not set",
        ),
        (("/etc/f", "-n", "node1", "-f"), "-f does not go with --render, which contacts no node"),
    ]:
        status, out, err = site.synctool("--render", *arguments)
        assert (status, out) == (2, "")
        assert message in err


def test_secret_contents_are_rendered_on_request(site: Site) -> None:
    status, out, err = site.synctool("--render", "/etc/key", "-n", "node1")
    assert (status, out) == (2, "")
    assert "/etc/key is not shown, since attributes.yaml says 'decrypt' (--show-sensitive shows it)" in err
    assert site.synctool("--render", "/etc/key", "-n", "node1", "--show-sensitive") == (0, SECRET, "")


def test_a_reference_says_how_it_is_made(site: Site) -> None:
    """And runs nothing."""
    site.rules(f"- {{path: /etc/key, decrypt: touch {site.directory}/ran %s}}\n- {{path: /etc/key, template: yes}}\n")
    status, out, _ = site.synctool("-r", "/etc/f", "-r", "/etc/key", "-n", "node1")
    assert (status, out.splitlines()) == (
        0,
        ["node1: rendered from /etc/f._template._all", "node1: decrypted and rendered from /etc/key._all"],
    )
    assert not (site.directory / "ran").exists()


def test_a_manifest_and_changes(site: Site) -> None:
    """A change of a variable is one of the nodes that it is for; a revision cannot choose what runs here."""
    git(site.directory, "init", "-q")
    site.rules(f"- {{path: /etc/key, decrypt: touch {site.directory}/ran %s}}\n")
    git(site.directory, "add", "-A")
    git(site.directory, "commit", "-qm", "commit")
    site.rules("- {path: /etc/key, decrypt: cat %s}\n")
    conf = site.directory / "synctool.conf"
    conf.write_text(CONF + "var ntp._batch other\n")
    status, out, _ = site.synctool("--changes", "HEAD")
    assert status == 0
    lines = out.splitlines()
    assert "node1: /etc/f contents, 11 -> 12 bytes" in lines
    assert any(line.startswith("node[1-2]: /etc/key is unknown: ") for line in lines)
    assert not (site.directory / "ran").exists()
    status, out, _ = site.synctool("--manifest")
    assert status == 0
    assert '"template": true' in out
    assert SECRET not in out


@pytest.mark.parametrize(
    ("name", "suffix", "reason"),
    [
        ("/etc/f", None, "overlay/etc/f._template._all is a template: what a node has cannot be put there"),
        ("/etc/key", None, "overlay/etc/key._all has to be encrypted: what a node has cannot be put there"),
        ("/etc/key", "batch", "overlay/etc/key._batch has to be encrypted: what a node has cannot be put there"),
        ("/etc/x._template", None, "the name x._template._node1 would be that of a template"),
    ],
)
def test_an_upload_replaces_neither(site: Site, name: str, suffix: str | None, reason: str) -> None:
    cluster = load(site.directory / "synctool.conf")
    state = FileState(Kind.FILE, 0o644, 3, 0, 0, "root", "root", "0" * 32)
    above = {b"/etc": FileState(Kind.DIRECTORY, 0o755, 0, 0, 0, "root", "root")}
    repository, files = resolution.load(cluster), [NodeFile(name.encode(), state)]
    with pytest.raises(RepositoryError) as caught:
        propose(cluster, repository, cluster.nodes["node1"], above, files, suffix)
    assert str(caught.value).endswith(reason)
