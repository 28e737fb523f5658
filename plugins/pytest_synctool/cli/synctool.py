"""`synctool`: audit and repair nodes; print which source a node uses for a file, and why."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pytest_synctool.cli import command, shared_options
from pytest_synctool.cli.selection import selected_nodes
from pytest_synctool.cli.synctool_options import conflict, new_parser
from pytest_synctool.errors import SelectionError

if TYPE_CHECKING:
    from pytest_synctool.config import Config
    from pytest_synctool.connection.connections import Connections
    from pytest_synctool.model import Node
    from pytest_synctool.repository.made_contents import Decrypt
    from pytest_synctool.repository.resolution import Repository


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the arguments of the process. Return the exit status."""
    return command.execute("synctool", argv, new_parser, _run, conflict)


def _run(arguments: Namespace) -> int:
    if arguments.check_update or arguments.download:
        from pytest_synctool.cli import self_update

        return self_update.run(arguments)
    from pytest_synctool.config import node_commands
    from pytest_synctool.repository import resolution
    from pytest_synctool.repository.made_contents import refuse_to_decrypt

    trust = shared_options.trust_of(arguments)
    config = resolution.load_config(shared_options.find_configuration(arguments), trust, trust, node_commands.run)
    own = _own_node(config, arguments)
    everyone = config.nodes.values() if arguments.manifest or arguments.changes is not None else None
    nodes = [own] if own is not None else selected_nodes(config, arguments, default=everyone)
    makes_no_contents = arguments.ref or arguments.consensus or arguments.unmanaged
    decrypt = refuse_to_decrypt if makes_no_contents else _decrypt(config)
    with _asking_ahead(config, nodes, arguments) as connections:
        repository = resolution.load(config, decrypt, cached=not arguments.no_cache)
        _find_files(repository, nodes, arguments)
        status = _answer(config, repository, nodes, arguments, connections, local=own is not None)
    repository.masterdir.digests.store()
    sys.stdout.flush()  # before the warnings on standard error
    if not arguments.quiet:  # only resolving the entries of the nodes completes the warnings
        command.print_stderr(
            f"WARNING {warning}" for warning in (*config.warnings, *repository.warnings, *_idle(repository, arguments))
        )
    return status


def _idle(repository: Repository, arguments: Namespace) -> Sequence[str]:
    """Return the warning about nodes without entries, for runs that compare entries."""
    queries = ("render", "manifest", "changes", "ref", "diff", "consensus", "unmanaged", "upload", "single")
    return [] if any(getattr(arguments, query) for query in queries) else repository.idle


@contextmanager
def _asking_ahead(config: Config, nodes: Sequence[Node], arguments: Namespace) -> Iterator[Connections | None]:
    """Provide connections over which nodes are asked ahead, for an audit of all entries; None for anything else."""
    others = ("fix", "ask", "restore", "erase_saved", "single", "tasks", "unix", "no_cache", "batch", "zzz")
    queries = ("render", "manifest", "ref", "diff", "consensus", "unmanaged", "upload")
    is_other = any(getattr(arguments, name) for name in (*others, *queries))
    if is_other or arguments.changes is not None or arguments.trust_ctime is not None:
        yield None
        return
    from pytest_synctool.cli.connections import connections_of

    with closing(connections_of(config, arguments)) as connections:
        connections.ask_ahead(config.masterdir, nodes, "synctool", int(arguments.numproc or config.num_proc))
        yield connections


def _answer(
    config: Config,
    repository: Repository,
    nodes: Sequence[Node],
    arguments: Namespace,
    connections: Connections | None,
    *,
    local: bool,
) -> int:
    """Answer the query, or audit or repair the nodes. Return the exit status."""
    if not (arguments.ref or arguments.render or arguments.consensus or arguments.unmanaged):
        repository.check_contents(nodes)
    if arguments.manifest:
        from pytest_synctool.cli import changes

        return changes.write_manifest(config, repository, nodes)
    if arguments.changes is not None:
        from pytest_synctool.cli import changes

        return changes.run(config, repository, nodes, arguments)
    if arguments.render:
        from pytest_synctool.cli import render

        return render.run(repository, nodes, arguments)
    if arguments.ref:
        from pytest_synctool.cli import reference

        return reference.run(repository, nodes, arguments)
    if arguments.consensus:
        from pytest_synctool.cli import consensus

        return consensus.run(config, repository, nodes, arguments)
    if arguments.unmanaged:
        from pytest_synctool.cli import unmanaged

        return unmanaged.run(config, repository, nodes, arguments)
    if arguments.diff:
        from pytest_synctool.cli import diff

        status = diff.run(config, repository, nodes, arguments)
        if not arguments.fix:
            return status
        arguments.single = arguments.diff
    if arguments.upload:
        from pytest_synctool.cli import upload

        return upload.run(config, repository, nodes, arguments)
    return _audit_or_repair(config, repository, nodes, arguments, connections, local=local)


def _decrypt(config: Config) -> Decrypt:
    from pytest_synctool.repository.decryption import Decryption

    return Decryption(config.masterdir)


def _find_files(repository: Repository, nodes: Sequence[Node], arguments: Namespace) -> None:
    """Put paths on nodes in the place of the names of files. Raise SelectionError for a name that no entry has."""
    from pytest_synctool.cli.file_names import FileNames
    from pytest_synctool.repository.source import Tree

    trees = {Tree.TASKS} if arguments.tasks else {Tree.OVERLAY, Tree.DELETE}
    where = "tasks/" if arguments.tasks else "overlay/ or delete/"
    if arguments.single:
        arguments.single = FileNames.of(repository, nodes, trees).paths(
            arguments.single, "-1", where, others=arguments.erase_saved
        )
    if arguments.diff:
        names = FileNames.of(repository, nodes, {Tree.OVERLAY})
        arguments.diff = names.paths(arguments.diff, "-d", "the overlay tree")


def _own_node(config: Config, arguments: Namespace) -> Node | None:
    """Return the node that this machine is, with a local connection, or None unless the options ask for it.

    Raise SelectionError if this machine is no node, or if other options select nodes.
    """
    if arguments.nodename is None and "localhost" not in ",".join(arguments.node).split(","):
        return None
    from pytest_synctool.config import own_node

    expression = ",".join(arguments.node) or None
    if not own_node.is_wanted(config, expression, arguments.nodename, origin="-n"):
        return None
    if arguments.group or arguments.exclude or arguments.exclude_group:
        raise SelectionError("-g, -x and -X do not go with the node that this machine is: it is the only one")
    return own_node.own_node(config, own_node.Machine.this(config.trust), arguments.nodename, origin="-n").node


def _audit_or_repair(
    config: Config,
    repository: Repository,
    nodes: Sequence[Node],
    arguments: Namespace,
    connections: Connections | None,
    *,
    local: bool,
) -> int:
    from pytest_synctool.cli.run import ClassicRun
    from pytest_synctool.common.nodenames import natural

    ordered = sorted(nodes, key=lambda node: natural(node.name))
    if not arguments.ask:
        return ClassicRun(config, repository, ordered, arguments, local, connections).run()
    from pytest_synctool.cli import asking, asking_run

    if (reason := asking.refusal()) is not None:
        raise SelectionError(reason)
    return asking_run.AskingRun(config, repository, ordered, arguments, local).run()


if __name__ == "__main__":
    sys.exit(main())
