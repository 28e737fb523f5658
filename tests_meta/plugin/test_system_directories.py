"""`--fix` stops before it contacts a node if a system directory would get the owner or the mode of a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests_meta.site import Site


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
    run = checkout.pytest("--fix")
    assert run.status == 4
    assert "ERROR: " + "\n".join(REFUSAL) in run.output


def test_synctool(checkout: Site) -> None:
    command = [str(Path(sys.executable).with_name("synctool")), "-f", "-c", str(checkout.configure())]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run
    assert run.stderr.splitlines() == list(REFUSAL)
    assert run.stdout == ""


def test_an_audit_and_what_attributes_yaml_says(checkout: Site) -> None:
    assert "would close" not in checkout.pytest().output
    (checkout.masterdir / "attributes.yaml").write_text(
        "- {path: /etc, mode: 0700}\n- {path: /etc/*, owner: root, groups: batch}\n"
    )
    run = checkout.pytest("--fix")
    assert "owner 4711 would own /etc/ssh on node2" in run.output
    assert "would close" not in run.output
