"""The demonstration behind `make demo`: it changes files on real ssh nodes, audits, repairs and audits again."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pytest_synctool.demo.embedded import EmbeddedCluster, EmbeddedClusterError, missing_requirements

_REPORTS: Final = Path("reports")
_FIRST_AUDIT: Final = _REPORTS / "demo-audit.html"

_DRIFT: Final = {
    "node1": (
        "echo 'server rogue' >>/etc/ntp.conf",  # content
        "mkdir -p /etc/cron.d && touch /etc/cron.d/old-backup",  # a file that must not exist
    ),
    "node2": (
        "rm /etc/profile.d/scratch.sh",  # missing
        "sed -i s/iburst/xburst/ /etc/ntp.conf",  # content, of the same size
    ),
    "node3": (
        "chmod 666 /etc/xinetd.d/identd",  # mode
        "ln -sfn /bin/true /opt/app/start",  # link target
    ),
    "node4": (
        "chown 1:1 /etc/fstab",  # owner; systems name this account differently
        "rm -r /opt/app && echo oops >/opt/app",  # a file where a directory should be
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m pytest_synctool.demo EXAMPLES` and return 0 if every step ended as expected, else 1."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    examples = Path(arguments[0] if arguments else "examples")
    if missing := missing_requirements():
        print("The demonstration starts a small cluster of real ssh nodes on this machine. This is not possible:")
        for requirement in missing:
            print(f"  - {requirement}")
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="synctool-demo-") as directory:
            return _demonstrate(examples, Path(directory))
    except KeyboardInterrupt:
        print("\ninterrupted; the nodes are gone")
        return 130
    except (EmbeddedClusterError, OSError, subprocess.SubprocessError) as error:
        print("The demonstration failed:", error)
        return 1


def _demonstrate(examples: Path, directory: Path) -> int:
    configuration = _copy(examples, directory)
    print("Starting four ssh nodes on this machine ...", flush=True)
    with EmbeddedCluster(directory / "cluster", 4) as cluster:
        reports = directory / "reports"  # the checkout may belong to another user
        environment = _environment(configuration, cluster.ssh_config, reports)
        status = _pytest(["--hosts=all", "--fix"], environment, quiet=True)
        _publish(reports)
        if status:
            print("The first repair of the nodes failed: see", _REPORTS / "drift.html")
            return 1
        drift(cluster)
        steps: tuple[tuple[str, list[str], int], ...] = (
            ("1. Somebody has changed files on the nodes. The audit reports the drift (exit status 1):", [], 1),
            ("2. --fix repairs the files, runs the .post scripts and audits again (exit status 0):", ["--fix"], 0),
            ("3. Another audit finds no drift (exit status 0):", [], 0),
        )
        for title, more, expected in steps:
            options = ["--hosts=all", *more]
            print(f"\n{title}\n\n$ {shlex.join(['pytest', *options])}", flush=True)
            status = _pytest(options, environment, quiet=False)
            _publish(reports)
            if status != expected:
                print(f"This step ended with exit status {status}, but {expected} was expected.")
                return 1
            if not more and expected:
                shutil.copyfile(_REPORTS / "drift.html", _FIRST_AUDIT)  # the next run replaces it
    print(f"\nThe nodes are gone again. Page with the drift of the first audit: {_FIRST_AUDIT}")
    print(f"Reports of the last run: {_REPORTS}/drift.html for people, {_REPORTS}/junit.xml for CI")
    print("Configuration and masterdir of the nodes: examples/")
    return 0


def drift(cluster: EmbeddedCluster) -> None:
    """Change files on the nodes. Raises EmbeddedClusterError if a command fails on a node."""
    for node, commands in _DRIFT.items():
        for command in commands:
            done = cluster.run(node, command, check=False)
            if done.returncode:
                reason = os.fsdecode(done.stderr).strip() or f"exit status {done.returncode}"
                raise EmbeddedClusterError(f"cannot change {node}: {command}: {reason}")


def _copy(examples: Path, directory: Path) -> Path:
    """Copy the examples to a place that the nodes cannot see, and restore the modes that a checkout can lose."""
    target = directory / "examples"
    shutil.copytree(examples, target, symlinks=True)
    for root, directories, files in os.walk(target):
        for path in [Path(root), *(Path(root, name) for name in (*directories, *files))]:
            os.chown(path, 0, 0, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return target / "synctool.conf"


def _publish(reports: Path) -> None:
    """Copy the reports of a run to reports/ in the current directory."""
    _REPORTS.mkdir(exist_ok=True)
    for name in ("drift.html", "drift.json", "junit.xml", "metrics.prom"):
        if (reports / name).exists():
            shutil.copyfile(reports / name, _REPORTS / name)


def _environment(configuration: Path, ssh_config: Path, reports: Path) -> dict[str, str]:
    """Return the environment of the runs: what an administrator keeps in pytest.ini, so that commands are short."""
    options = [
        *("--pyargs", "synctool_checks", "--no-header", "--tb=no", "-rN", "-p", "no:cacheprovider"),
        *(f"--synctool-conf={configuration}", f"--ssh-config={ssh_config}", f"--synctool-reports={reports}"),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTEST_ADDOPTS": shlex.join(options)}


def _pytest(options: Sequence[str], environment: Mapping[str, str], *, quiet: bool) -> int:
    program = str(Path(sys.executable).with_name("pytest"))
    stdout = subprocess.DEVNULL if quiet else None
    return subprocess.run([program, *options], env=environment, check=False, stdout=stdout).returncode


if __name__ == "__main__":
    sys.exit(main())
