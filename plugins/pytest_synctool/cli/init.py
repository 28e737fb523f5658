"""`synctool-init`: the first files of a new site, with which pytest and synctool run at once."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_synctool.cli import command, shared_options
from pytest_synctool.cli.shared_options import add_flags
from pytest_synctool.errors import RepositoryError, SelectionError, SynctoolError

if TYPE_CHECKING:
    from pytest_synctool.cli.new_site import NewSite


class _FailedAdoption(SynctoolError):
    """A file of a node could not be adopted. The upload has printed the reason; `status` is the exit status."""

    def __init__(self, status: int) -> None:
        super().__init__("")
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("synctool-init", argv, new_parser, _run, _conflict)


def new_parser() -> ArgumentParser:
    """Return the parser of `synctool-init`."""
    parser = shared_options.bare_parser(
        "synctool-init",
        "Write the first files of a new site into DIR: synctool.conf, a masterdir, attributes.yaml, pytest.ini, "
        ".gitignore, pipelines for GitLab and GitHub, and a timer for systemd and for cron. It asks nothing, and never "
        "replaces a file.",
        "Exit status: 0 if the site was written, 1 if a node does not have a PATH, 2 for a mistake, if DIR is a site "
        "already or has one of the files, 3 if a node is unreachable. Nothing is written then.",
    )
    parser.usage = "synctool-init [options] DIR [--from NODE PATH [PATH ...]]"
    parser.add_argument("directory", metavar="DIR", help="the directory of the site; made if it does not exist")
    parser.add_argument(
        "--from",
        dest="adopted",
        metavar=("NODE", "PATH"),
        nargs="+",
        action="append",
        default=[],
        help="put NODE into the configuration, and copy these files, links and directories from it into the masterdir; "
        "can be repeated. Without it, the only node is this machine",
    )
    add_flags(parser, ("--sudo", "with --from: log in as an ordinary user, and become root with sudo"))
    shared_options.add_trust(parser)
    return parser


def _conflict(arguments: Namespace) -> str | None:
    if arguments.sudo and not arguments.adopted:
        return "--sudo needs --from: this machine is audited by the user who calls pytest"
    if any(len(words) < 2 for words in arguments.adopted):
        return "--from: expected a node and then at least one absolute path like /etc/fstab"
    return None


def _run(arguments: Namespace) -> int:
    from pytest_synctool.cli import site_writer
    from pytest_synctool.cli.new_site import NewSite

    adopted = _adopted(arguments)
    directory = _directory(arguments.directory)
    lines = tuple(_node_line(name, sudo=arguments.sudo) for name in adopted) or (_own_line(),)
    site = NewSite(directory, lines, not adopted, _program("pytest"))
    files = site.files()
    site_writer.check_free(directory, files)
    with site_writer.stage_beside(directory) as stage:
        site_writer.write(stage, files)
        try:
            _adopt(stage, adopted, arguments)
        except _FailedAdoption as error:
            command.print_stderr([f"{directory}: nothing was written"])
            return error.status
        except SynctoolError as error:
            raise RepositoryError(str(error).replace(str(stage), str(directory))) from error
        site_writer.publish(stage, directory)
    command.print_lines(_report(site, sorted(files), adopted))
    return command.OK


def _directory(text: str) -> Path:
    """Return the absolute path of the site. Raise RepositoryError if units and cron lines cannot hold it."""
    path = Path(os.path.normpath(Path.cwd() / text))
    if not text or not str(path).isprintable():
        raise RepositoryError(f"DIR: expected a name of printable characters, not {text!r}")
    if not path.parent.is_dir():
        raise RepositoryError(f"{path.parent} is no directory: make it first")
    return path


def _adopted(arguments: Namespace) -> dict[str, list[bytes]]:
    """Return the paths to adopt by node. Raise SelectionError for what cannot be a node or a path."""
    from argparse import ArgumentTypeError

    from pytest_synctool.config.model import IMPLICIT_GROUPS
    from pytest_synctool.config.ranges import is_name

    adopted: dict[str, list[bytes]] = {}
    for name, *paths in arguments.adopted:
        if not is_name(name) or name in IMPLICIT_GROUPS:
            raise SelectionError(
                f"--from: {name!r} is not the name of one node: expected letters, digits and . _ + -. Users, ports and "
                "addresses can be in ~/.ssh/config"
            )
        for path in paths:
            try:
                destination = shared_options.destination(path)
            except ArgumentTypeError as error:
                raise SelectionError(f"--from {name}: {error}") from error
            if destination == b"/":
                raise SelectionError(f"--from {name}: expected a file or directory below /, not / itself")
            adopted.setdefault(name, []).append(destination)
    return adopted


def _node_line(name: str, *, sudo: bool) -> str:
    return f"node {name} connection:ssh://{name}?sudo=true" if sudo else f"node {name}"


def _own_line() -> str:
    """Return the line of this machine, which a run audits without ssh."""
    return f"node {_own_name()} connection:local:// rsync:no"


def _own_name() -> str:
    import socket

    from pytest_synctool.config.model import IMPLICIT_GROUPS
    from pytest_synctool.config.ranges import is_name

    name = socket.gethostname()
    return name if is_name(name) and name not in IMPLICIT_GROUPS else "node1"


def _adopt(stage: Path, adopted: Mapping[str, Sequence[bytes]], arguments: Namespace) -> None:
    """Copy files of nodes into the masterdir of a stage, and read the result as a run would.

    Raise SynctoolError if that is not possible.
    """
    from pytest_synctool import config as configuration
    from pytest_synctool.cli import upload
    from pytest_synctool.repository import resolution

    trust = shared_options.trust_of(arguments)
    options = Namespace(
        suffix=None, fix=True, quiet=True, unix=False, timeout=120, connect_timeout=10, ssh_persist=60, sudo=False
    )
    for name, paths in adopted.items():
        for path in paths:
            config = configuration.load(stage / "synctool.conf", trust)
            options.upload = [path]
            status = upload.run(config, resolution.load(config), [config.nodes[name]], options)
            if status != command.OK:
                raise _FailedAdoption(status)
    config = configuration.load(stage / "synctool.conf", trust)
    resolution.load(config)


def _report(site: NewSite, files: Sequence[str], adopted: Mapping[str, Sequence[bytes]]) -> Iterator[str]:
    """Yield the names of the new files, and commands that run as they are printed."""
    import shlex

    from pytest_synctool.cli.new_site import EXAMPLE
    from pytest_synctool.common.nodenames import fold

    yield f"{site.directory} has now:"
    yield from (f"    {name}" for name in files)
    nodes = fold(adopted) if adopted else f"{_own_name()}, this machine,"
    finding = f"{nodes}: in sync" if adopted else f"{nodes} lacks {EXAMPLE}"
    yield "Next:"
    yield f"    {shlex.join(['cd', str(site.directory)])}"
    commands = [
        ([_spelled("pytest")], f"audit; {finding}"),
        ([_spelled("pytest"), "--fix"], "repair"),
        # The commands would look into /var/lib/synctool first, where another cluster may be.
        ([_spelled("synctool"), "-c", "synctool.conf"], "the audit in the words of synctool 4.x"),
        ([_spelled("pytest"), "--synctool-lint"], "mistakes in the configuration and the masterdir"),
    ]
    width = max(len(shlex.join(words)) for words, _ in commands)
    yield from (f"    {shlex.join(words):{width}}  # {comment}" for words, comment in commands)
    yield "Then write your nodes into synctool.conf, and put the directory into git."


def _program(name: str) -> Path:
    """Return the path of a program of this installation."""
    return Path(sys.executable).with_name(name)


def _spelled(name: str) -> str:
    """Return the name of a program of this installation, or its path if the shell would run another one."""
    import shutil

    own, first = _program(name), shutil.which(name)
    is_first = first is not None and own.exists() and Path(first).samefile(own)
    return name if is_first else str(own)


if __name__ == "__main__":
    sys.exit(main())
