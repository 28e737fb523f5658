"""Runs something for many nodes on ClusterShell's engine: so many at once, with a time limit, until Ctrl-C."""

from __future__ import annotations

import logging
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ClusterShell.Event import EventHandler
from ClusterShell.NodeSet import NodeSet
from ClusterShell.Task import task_self, task_terminate
from ClusterShell.Topology import TopologyError
from ClusterShell.Worker.Worker import FANOUT_UNLIMITED

from pytest_synctool.connection.ssh import SSH_FAILED, failure_reason
from pytest_synctool.dsh.calls import Call, CallOutcome, Ending
from pytest_synctool.dsh.clients import Worker
from pytest_synctool.dsh.gateways import GatewayWorker, routed, topology
from pytest_synctool.dsh.output import Output
from pytest_synctool.dsh.stdin import Feed
from pytest_synctool.dsh.wakeup import Wakeup
from pytest_synctool.errors import ConfigError

_STOP_LIMIT: Final = 6.0  # seconds for telling a node to end a command; ending it by force takes two of them
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOST_INPUT: Final = 64 << 20  # bytes
_GRACE: Final = 3.0  # seconds; a login rarely takes longer
_INPUT: Final = b"input"
_SIGNAL: Final = b"signal"


class Job(Protocol):
    """What is to be done for each node."""

    def line(self, node: str) -> str:
        """The line for a node."""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """What to run here for that line; called for gateways as well."""

    def stop_line(self, call: Call) -> str | None:
        """The line that ends what is under way there; None where it ends with its connection."""

    def done(self, node: str) -> Sequence[bytes]:
        """What to show on standard output when it has ended well."""


class _Direct(Worker):
    """A worker of this module, which takes lines as they come, many at a time."""

    def said(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """Hand them on."""
        self.eh.said(node, stream, lines)


class CallRunner(EventHandler):  # type: ignore[misc]
    """Carries a work out for all calls, in their order, and settles their outcomes.

    `width` nodes are under way at once, each for at most `limit` seconds. `stdin` is a file descriptor that all of them
    read from, or None; `interrupted` is called at the first signal. After run(), `signal` is the one that ended it, if
    any, and `stopped` and `problems` tell of the commands that were under way then: the nodes where they have been
    ended, and where not, with the reason. `begun` are the nodes whose turn had come.
    """

    def __init__(
        self,
        job: Job,
        calls: Sequence[Call],
        output: Output,
        *,
        width: int,
        limit: float | None = None,
        stdin: int | None = None,
        quiet: bool = False,
        interrupted: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.calls = {call.node: call for call in calls}
        self.signal: int | None = None
        self.begun: set[str] = set()
        self.stopped: list[str] = []
        self.problems: dict[str, str] = {}
        self._job, self._output, self._quiet, self._interrupted = job, output, quiet, interrupted
        self._width, self._limit, self._stdin = width, limit, stdin
        self._queue = deque(calls)
        self._active: dict[str, Any] = {}  # the worker of a node, or of all nodes with one line behind gateways
        self._failure: OSError | None = None
        self._ending = False
        self._routed: frozenset[str] = frozenset()
        self._feed: Feed | None = None
        self._input = b""
        self._direct: type[Worker] = _Direct
        self._task: Any = None
        self._wakeup = Wakeup()

    def run(self, *, tree: bool = False, connect_timeout: int = 10) -> None:
        """Do the work. With `tree`, nodes behind the gateways of ClusterShell's topology.conf are reached by them.

        Raises ConfigError for a topology that cannot be used, and OSError if what was said could not be written.
        """
        logging.getLogger("ClusterShell").addHandler(logging.NullHandler())  # what matters is said by us
        with Wakeup() as self._wakeup:
            self._task = task_self()
            try:
                behind = self._behind_gateways() if tree else []
                self._configure(connect_timeout)
                with self._signals():
                    self._begin(behind)
                    self._run()
            except OSError as error:
                self._failure = self._failure or error
            finally:
                task_terminate()
                if self._feed is not None:
                    self._feed.close()
        if self._failure is not None:
            raise self._failure

    def _behind_gateways(self) -> list[Call]:
        """The calls that ClusterShell is to route; the others stay in the queue."""
        if topology(self._task) is None:
            return []
        nodes = routed(self._task, [call.node for call in self._queue if call.is_ssh])
        self._routed = frozenset(nodes)
        behind = [call for call in self._queue if call.node in nodes]
        self._queue = deque(call for call in self._queue if call.node not in nodes)
        return behind

    def _configure(self, connect_timeout: int) -> None:
        # Gateways are told these.
        self._task.set_info("fanout", self._width)
        self._task.set_info("connect_timeout", connect_timeout)
        for name in ("stdout_msgtree", "stderr_msgtree"):
            self._task.set_default(name, False)
        self._task.set_default("distant_worker", self._worker_class(Worker))

    def _worker_class(self, base: type[Worker], feed: Feed | None = None) -> type[Worker]:
        return type(base.__name__, (base,), {"argv_of": staticmethod(self._job.argv_of), "feed": feed})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self.signal is not None:  # the second time everything is left as it is
            raise KeyboardInterrupt
        self.signal = number
        self._wakeup.say(_SIGNAL)

    def _begin(self, behind: Sequence[Call]) -> None:
        """Schedule what ClusterShell routes, and the first of the others."""
        self._task.schedule(self._wakeup.worker({_INPUT: self._resume, _SIGNAL: self._end}))
        if self._stdin is not None and not behind:
            self._feed = Feed(self._stdin, lambda: self._wakeup.say(_INPUT))
        self._direct = self._worker_class(_Direct, self._feed)
        if self._stdin is not None and behind:
            self._input = _whole(self._stdin)
        lines: dict[str, list[str]] = {}
        for call in behind:
            lines.setdefault(self._job.line(call.node), []).append(call.node)
        for line, nodes in lines.items():
            self._schedule(line, GatewayWorker(NodeSet.fromlist(nodes), self, self._limit, command=line, stderr=True))
        for _ in range(self._width):
            self._next()

    def _next(self) -> None:
        if self._queue:
            node = self._queue.popleft().node
            self._schedule(node, self._direct(node, self, self._limit, command=self._job.line(node), stderr=True))

    def _schedule(self, name: str, worker: Any) -> None:
        self._active[name] = worker
        if self._feed is None:
            if self._input:
                worker.write(self._input)
            worker.set_write_eof()
        self._task.schedule(worker)

    def _run(self) -> None:
        try:
            self._task.run()
        except KeyboardInterrupt:
            if self.signal is None:
                raise
        except TopologyError as error:  # what a gateway has said makes no sense
            self._give_up(str(error))
        if not self._ending:
            self._give_up("nothing has been heard of it")

    def _give_up(self, reason: str) -> None:
        for call in self.calls.values():
            if call.outcome is None:
                self._say(call.node, call.unreachable(reason))

    def _resume(self) -> None:
        try:
            if self._feed is not None:
                self._feed.resume()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self._failure is None:
            self._failure = error
            self._wakeup.say(_SIGNAL)

    def _end(self) -> None:
        """End what is under way, here and on the nodes, and begin nothing more."""
        if self._ending:
            return
        self._ending = True
        if self.signal is not None:
            self._interrupted()
        self._queue.clear()
        for call in self.calls.values():
            if call.group is not None and call.outcome is None:
                self._end_one(call)
        # What has not announced itself may have begun all the same: it gets a moment for saying so.
        self._task.timer(_GRACE, self, autoclose=True)

    def _end_one(self, call: Call) -> None:
        worker = self._active.get(call.node)
        if worker is not None:
            worker.abort()
        self._stop(call)

    def ev_timer(self, timer: Any) -> None:
        """Nobody is waited for any longer."""
        for worker in set(self._active.values()):
            worker.abort()

    def _stop(self, call: Call) -> None:
        """Let a node end a command that it has announced."""
        if call.group is None:
            return
        if (line := self._job.stop_line(call)) is None:
            self._stopped(call, None)
            return
        stopper = _Stopper(call, self._stopped)
        worker = (GatewayWorker if call.node in self._routed else self._worker_class(Worker))(
            call.node, stopper, _STOP_LIMIT, command=line, stderr=True
        )
        worker._fanout = FANOUT_UNLIMITED
        worker.set_write_eof()
        self._task.schedule(worker)

    def _stopped(self, call: Call, problem: str | None) -> None:
        if problem is None:
            self.stopped.append(call.node)
        else:
            self.problems[call.node] = problem
            if call.outcome is not None:
                self._say(call.node, [f"could not be stopped: {problem}".encode()])

    def _say(self, node: str, lines: Sequence[bytes]) -> None:
        if not lines or self._failure is not None:
            return
        try:
            self._output.err(node, lines)
        except OSError as error:
            self._fail(error)

    def _say_out(self, node: str, lines: Sequence[bytes]) -> None:
        if self._failure is not None:
            return
        try:
            self._output.out(node, lines)
        except OSError as error:
            self._fail(error)

    def said(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """A node has said these lines; of a gateway that is none of the nodes it is passed on."""
        call = self.calls.get(node)
        if stream == Worker.SNAME_STDOUT and call is not None and call.left_out is not None:
            complaints = [line for line in lines if call.complains(line)]
            self._say(node, complaints)
            self._say_out(node, [line for line in lines if line not in complaints])
        elif stream == Worker.SNAME_STDOUT:
            self._say_out(node, lines)
        elif call is None:
            self._say(node, lines)
        else:
            before = call.group
            self._say(node, [shown for line in lines for shown in call.heard(line)])
            if self._ending and call.group != before and call.outcome is None:
                self._end_one(call)

    def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
        """A line from behind a gateway."""
        self.said(node, sname, [msg])

    def ev_pickup(self, worker: Any, node: str) -> None:
        """The node's turn has come."""
        self.begun.add(node)

    def ev_hup(self, worker: Any, node: str, rc: int) -> None:
        """What was run for a node has ended."""
        call = self.calls[node]
        if call.outcome is not None or (self._ending and call.group is not None):
            return  # it is told already, or was ended by us
        shown = call.ended(rc)
        status = call.outcome.status if call.outcome is not None else 0
        if status and not self._quiet:
            unclear = ", or ended by a signal or with its connection" if status == SSH_FAILED and call.is_ssh else ""
            shown = [*shown, f"exit status {status}{unclear}".encode()]
        self._say(node, shown)
        if call.outcome == CallOutcome(Ending.DONE) and (words := self._job.done(node)):
            self._say_out(node, words)

    def ev_close(self, worker: Any, timedout: bool) -> None:
        """A worker has ended."""
        if timedout and self._limit is not None:
            for call in [self.calls[node] for node in worker.iter_keys_timeout()]:
                if call.outcome is None:
                    self._say(call.node, call.late(self._limit))
                    self._stop(call)
        self._active = {name: other for name, other in self._active.items() if other is not worker}
        self._next()

    def lost(self, nodes: Sequence[str], reason: str) -> None:
        """These nodes cannot be reached, or not any longer."""
        for call in [self.calls[node] for node in nodes]:
            if call.outcome is None and not self._ending:
                self._say(call.node, call.unreachable(reason))


class _Stopper(EventHandler):  # type: ignore[misc]
    """Tells whether a node has ended a command: no problem, or the reason."""

    def __init__(self, call: Call, tell: Callable[[Call, str | None], None]) -> None:
        super().__init__()
        self._call, self._tell = call, tell
        self._said: list[bytes] = []
        self._status: int | None = None

    def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
        """What is said about it may be the reason why it did not work."""
        self._said.append(msg)

    def ev_hup(self, worker: Any, node: str, rc: int) -> None:
        """The node has answered, or cannot be reached."""
        self._status = rc

    def lost(self, nodes: Sequence[str], reason: str) -> None:
        """Its gateway has failed."""
        self._said.append(reason.encode())

    def ev_close(self, worker: Any, timedout: bool) -> None:
        """It is over."""
        problem = f"no answer within {_STOP_LIMIT:g} s" if timedout else failure_reason(b"\n".join(self._said))
        self._tell(self._call, None if self._status == 0 else problem)


def _whole(descriptor: int) -> bytes:
    """All of an input that gateways are to be handed; ClusterShell would take any amount into memory at once.

    Raises ConfigError if it is too long.
    """
    with open(descriptor, "rb", closefd=False) as stream:
        data = stream.read(_MOST_INPUT + 1)
    if len(data) > _MOST_INPUT:
        raise ConfigError(
            f"standard input has more than {_MOST_INPUT >> 20} MiB, which gateways cannot be handed; "
            "--no-tree goes to the nodes directly"
        )
    return data
