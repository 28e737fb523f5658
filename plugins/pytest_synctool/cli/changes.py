"""`synctool --manifest` and `--changes`: the expected state of nodes, and the effect of a change of the masterdir."""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_synctool import config as configuration
from pytest_synctool.cli import command
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.textfile import read as read_text
from pytest_synctool.common.trust import EVERYBODY
from pytest_synctool.common.wording import nodes_in_words
from pytest_synctool.config import Config
from pytest_synctool.config.node_commands import Kept
from pytest_synctool.errors import RepositoryError, SelectionError, SynctoolError
from pytest_synctool.model import Node
from pytest_synctool.report.files import directory_of
from pytest_synctool.report.history import key
from pytest_synctool.report.history.database import NAME
from pytest_synctool.repository import manifest_file, resolution
from pytest_synctool.repository.changes import Effects, Manifest, effects
from pytest_synctool.repository.decryption import Decryption
from pytest_synctool.repository.git_revision import AsCheckedOut, Commit
from pytest_synctool.repository.manifest import Manifests
from pytest_synctool.repository.resolution import Repository


def write_manifest(config: Config, repository: Repository, nodes: Sequence[Node]) -> int:
    """Write the manifests of nodes to standard output. Return the exit status."""
    Manifests(repository, _keep(config), always_run=config.always_run).write(nodes, sys.stdout)
    return command.OK


def run(config: Config, repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> int:
    """Print the effects of what has changed since a revision or a saved manifest. Raise SynctoolError."""
    keep = _keep(config)
    after = _of_nodes(Manifests(repository, keep, always_run=config.always_run), nodes)
    commands = {rule.decrypt for rule in repository.attributes.rules if rule.decrypt is not None}
    before = _earlier(config, arguments.changes, keep, commands)
    if arguments.node or arguments.group or arguments.exclude or arguments.exclude_group:
        before = {name: each for name, each in before.items() if name in after}
    result = effects(before, after, keep)
    command.print_lines(f"{fold(names)}: {effect.text}" for effect, names in result.nodes_of.items())
    if not arguments.quiet:
        command.print_lines([_summary(result)])
    return command.OK


def _keep(config: Config) -> Callable[[str], str]:
    """Return the function for digests of secrets, with the key of the history, which nobody else can read."""
    path = directory_of(config.path) / NAME
    return key.keyed(key.load(path, config.trust))


def _of_nodes(manifests: Manifests, nodes: Sequence[Node]) -> Manifest:
    return {node.name: manifests.of_node(node) for node in nodes}


def _earlier(config: Config, name: str, keep: Callable[[str], str], commands: Collection[str]) -> Manifest:
    """Return the manifest in a file, or that of a revision. Raise SynctoolError.

    `commands` are those that decrypt: whoever writes a revision must not choose what runs here.
    """
    if not name:
        raise SelectionError("--changes: expected a revision of git or a file, not an empty name")
    try:
        is_file = Path(name).is_file()
    except ValueError:  # a NUL byte
        is_file = False
    if is_file:
        return manifest_file.parse(read_text(Path(name), EVERYBODY), name)
    with tempfile.TemporaryDirectory(prefix="synctool-changes-") as directory:
        target = Path(directory, "tree")
        try:
            return _of_revision(config, name, target, keep, commands)
        except SynctoolError as error:
            raise RepositoryError(str(error).replace(f"{target}/", f"{name}:")) from error


def _of_revision(
    config: Config, name: str, target: Path, keep: Callable[[str], str], commands: Collection[str]
) -> Manifest:
    """Return the manifest of a revision, which is written to `target`. Raise SynctoolError."""
    revision = Commit.find(config.masterdir, name, config.trust)
    masterdir = revision.write(target, config.masterdir)
    if (place := revision.place_of(config.path)) is not None:
        earlier = configuration.load(target / place, config.trust, Kept(config.node_outputs))
    else:
        earlier = config
        command.print_stderr([f"WARNING {config.path} is not in {name}: its nodes and groups of today are used"])
    repository = resolution.load(replace(earlier, masterdir=masterdir), Decryption(masterdir, commands))
    manifests = Manifests(repository, keep, AsCheckedOut(config.masterdir), earlier.always_run)
    return _of_nodes(manifests, list(earlier.nodes.values()))


def _summary(result: Effects) -> str:
    changed = {name for names in result.nodes_of.values() for name in names}
    number = len(result.nodes_of)
    lines = f"{number} effect{'' if number == 1 else 's'}"
    return f"{lines} on {nodes_in_words(len(changed))}, {len(result.unchanged)} unchanged; no node was contacted"
