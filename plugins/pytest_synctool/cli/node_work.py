"""Scripts of `synctool` that only read, on many nodes at once."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from pytest_synctool.cli.connections import connections_of
from pytest_synctool.common.wording import internal_error
from pytest_synctool.config import Config
from pytest_synctool.connection.transport import HostTransport
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.errors import AnswerTooLong, RemoteError, TransportError
from pytest_synctool.model import Node

Value = TypeVar("Value")


def on_nodes(
    config: Config,
    arguments: Namespace,
    nodes: Sequence[Node],
    work: Callable[[Node, HostTransport], Value],
    failed: Callable[[Node, str], Value],
) -> dict[str, Value]:
    """Run `work` with a connection to each node. Return the results by name, in the order of the nodes.

    For a node where it fails, the result is what `failed` makes of the reason. A fault of this program costs only that
    node's result.
    """
    connections = connections_of(config, arguments)

    def guarded(node: Node, _: Turn) -> Value:
        try:
            with closing(connections.to(node)) as connection:
                return work(node, connection)
        except (RemoteError, AnswerTooLong) as error:
            return failed(node, str(error))
        except TransportError as error:
            return failed(node, f"unreachable: {error}")
        except Exception as error:
            return failed(node, f"internal error: {internal_error(error)}")

    fanout = Fanout(guarded, arguments.numproc or config.num_proc)
    try:
        fanout.announce(nodes)
        return {node.name: fanout.result(node) for node in nodes}
    finally:
        connections.processes.end_all()
        fanout.close()
