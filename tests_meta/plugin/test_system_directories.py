"""`--fix` stops before it contacts a node if a system directory would get the owner or the mode of a checkout."""

from __future__ import annotations

import os

import pytest

from tests_meta.site import Site
from tests_meta.terminal import run


@pytest.fixture
def checkout(site: Site) -> Site:
    """Return a site as a clone by an ordinary user under umask 077 makes it. Its nodes do not exist."""
    nowhere = f"connection:chroot://{site.directory}/nowhere"
    site.nodes = {"node1": f"batch {nowhere}", "node2": f"login {nowhere}"}
    for name, mode in (("etc", 0o700), ("etc/ssh", 0o755), ("etc/motd._all", 0o644)):
        path = site.masterdir / "overlay" / name
        path.write_text("content\n") if "." in name else path.mkdir()
        path.chmod(mode)
    os.chown(site.masterdir / "overlay/etc/ssh", 4711, 0)
    return site


REFUSAL = (
    "overlay/etc: mode 0700 would close /etc to all users on node[1-2]",
    "overlay/etc/ssh: owner 4711 would own /etc/ssh on node[1-2]",
    "nothing was changed: set owner and mode in attributes.yaml, or correct them here",
)


def test_pytest(checkout: Site) -> None:
    ended = checkout.pytest("--fix")
    assert ended.status == 4
    assert "ERROR: " + "\n".join(REFUSAL) in ended.output


def test_synctool(checkout: Site) -> None:
    ended = run(checkout.directory, "synctool", "-f", "-c", str(checkout.configure()))
    assert ended.status == 2, ended
    assert ended.err.decode().splitlines() == list(REFUSAL)
    assert ended.out == b""


def test_an_audit_and_what_attributes_yaml_says(checkout: Site) -> None:
    assert "would close" not in checkout.pytest().output
    (checkout.masterdir / "attributes.yaml").write_text(
        "- {path: /etc, mode: 0700}\n- {path: /etc/*, owner: root, groups: batch}\n"
    )
    ended = checkout.pytest("--fix")
    assert "owner 4711 would own /etc/ssh on node2" in ended.output
    assert "would close" not in ended.output
