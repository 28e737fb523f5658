"""Run a job for many nodes on ClusterShell's engine: at most N nodes at once, with a time limit, until Ctrl-C."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ClusterShell.Event import EventHandler
from ClusterShell.NodeSet import NodeSet
from ClusterShell.Task import task_self, task_terminate
from ClusterShell.Worker.Worker import FANOUT_UNLIMITED

from pytest_synctool.connection.ssh import ISOLATION, NO_FORWARDINGS, SSH_FAILED
from pytest_synctool.dsh.calls import Call, CallEnding
from pytest_synctool.dsh.causes import Causes, FindCause
from pytest_synctool.dsh.clients import Worker
from pytest_synctool.dsh.gateways import ChannelWorker, GatewayWorker, routed, topology
from pytest_synctool.dsh.output import Output
from pytest_synctool.dsh.stdin import Feed, whole
from pytest_synctool.dsh.stop_handler import STOP_LIMIT, StopHandler
from pytest_synctool.dsh.wakeup import TimerHandler, Wakeup
from pytest_synctool.errors import AnswerTooLong

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERVAL: Final = 0.25  # seconds between two looks of a watcher
_GRACE: Final = 3.0  # seconds for a command to announce itself; a login rarely takes longer
_INPUT: Final = b"input"
_SIGNAL: Final = b"signal"
_CAUSE: Final = b"cause"


class Job(Protocol):
    """The work for each node."""

    def line(self, node: str) -> str:
        """Return the command line for a node."""

    def argv_of(self, node: str, line: str) -> Sequence[str]:
        """Return the argument list that runs this line on a node, or on a gateway."""

    def stop_line(self, call: Call) -> str | None:
        """Return the command line that ends a call's command, or None if the command ends with its connection."""

    def done(self, call: Call) -> Sequence[bytes]:
        """Return the lines to print on standard output after the command of a call has ended."""


class Watcher(Protocol):
    """Somebody who wants to see how far a run is."""

    def look(self, calls: Collection[Call], begun: Mapping[str, float]) -> None:
        """Look at the calls of the run, and at the times when they began."""


class _DirectWorker(Worker):
    """A worker for one node that passes many lines at a time, and uses no gateway."""

    def handle_lines(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """Pass the lines to the runner."""
        self.eh.handle_lines(node, stream, lines)
        if self.eh.calls[node].has_begun:
            self.begin()


class CallRunner(EventHandler):  # type: ignore[misc]  # ClusterShell's classes are untyped here
    """A runner of one job for all calls, in their order. It sets their outcomes.

    At most `width` calls run at once, each for at most `limit` seconds. All of them read from `stdin`, a file
    descriptor or None. The first signal calls `interrupted`. It prints exit statuses other than 0; `quiet`: none,
    `verbose`: all. `watcher` looks several times a second, until the last call ends or a signal comes.

    `cause_finder` returns a function that finds causes of failed connections, except those of ClusterShell's gateways.

    After run(), `signal` is the signal that ended it, or None. `begun` has the times at which calls had begun, by node.
    For commands that were running then, `stopped` has the nodes where they were ended, and `problems` has the reason
    for each node where they could not be ended.
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
        verbose: bool = False,
        interrupted: Callable[[], None] = lambda: None,
        watcher: Watcher | None = None,
        cause_finder: Callable[[], FindCause] | None = None,
    ) -> None:
        super().__init__()
        self.calls = {call.node: call for call in calls}
        self.signal: int | None = None
        self.begun: dict[str, float] = {}
        self.stopped: list[str] = []
        self.problems: dict[str, str] = {}
        self._job, self._output, self._interrupted, self._watcher = job, output, interrupted, watcher
        self._quiet, self._verbose = quiet, verbose
        self._width, self._limit, self._stdin = width, limit, stdin
        self._queue = deque(calls)
        self._active: dict[str, Any] = {}  # the worker of a node, or of all nodes with one line behind gateways
        self._failure: OSError | None = None
        self._ending = False
        self._routed: frozenset[str] = frozenset()
        self._feed: Feed | None = None
        self._input = b""
        self._direct: type[Worker] = _DirectWorker
        self._task: Any = None
        self._wakeup = Wakeup()
        self._causes = None if cause_finder is None else Causes(cause_finder, lambda: self._wakeup.send(_CAUSE))

    def run(self, *, tree: bool = False, connect_timeout: int = 10) -> None:
        """Run the job. With `tree`, use the gateways of ClusterShell's topology.conf for the nodes behind them.

        Raise ConfigError if the topology is invalid, and OSError if output cannot be written.
        """
        logging.getLogger("ClusterShell").addHandler(logging.NullHandler())  # all failures are printed by this class
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
        """Return the calls for nodes behind gateways, and take them from the queue."""
        if topology(self._task) is None:
            return []
        nodes = routed(self._task, [call.node for call in self._queue if call.is_ssh])
        self._routed = frozenset(nodes)
        behind = [call for call in self._queue if call.node in nodes]
        self._queue = deque(call for call in self._queue if call.node not in nodes)
        return behind

    def _configure(self, connect_timeout: int) -> None:
        # ClusterShell passes these to the gateways.
        self._task.set_info("fanout", self._width)
        self._task.set_info("connect_timeout", connect_timeout)
        self._task.set_info(
            "ssh_options", " ".join(["-T", *(f"-o{option}" for option in (*ISOLATION, NO_FORWARDINGS))])
        )
        for name in ("stdout_msgtree", "stderr_msgtree"):
            self._task.set_default(name, False)
        self._task.set_default("distant_worker", ChannelWorker.announcing(self._job.argv_of))

    def _worker_class(self, base: type[Worker], feed: Feed | None = None) -> type[Worker]:
        has_input = base is _DirectWorker and (feed is not None or bool(self._input))
        values = {"argv_of": staticmethod(self._job.argv_of), "feed": feed, "may_write": not has_input}
        return type(base.__name__, (base,), values)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as after nohup
        before = {number: signal.signal(number, self._note) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self.signal is not None:  # the second signal: leave everything as it is
            raise KeyboardInterrupt
        self.signal = number
        self._wakeup.send(_SIGNAL)

    def _begin(self, behind: Sequence[Call]) -> None:
        """Schedule all calls behind gateways, and the first ones of the others."""
        self._task.schedule(self._wakeup.worker({_INPUT: self._resume, _SIGNAL: self._end, _CAUSE: self._print_causes}))
        if self._watcher is not None:
            self._task.timer(_INTERVAL, TimerHandler(self._look), interval=_INTERVAL, autoclose=True)
        if self._stdin is not None and not behind:
            self._feed = Feed(self._stdin, lambda: self._wakeup.send(_INPUT))
        if self._stdin is not None and behind:
            self._input = whole(self._stdin)
        self._direct = self._worker_class(_DirectWorker, self._feed)
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
        for node, cause in () if self._causes is None else self._causes.rest(wait=not self._ending):
            self._print_err(node, self.calls[node].end_unreachable(cause))
        for call in () if self._ending else self.calls.values():
            if call.outcome is None:
                self._print_err(call.node, call.end_unreachable("it has not answered"))

    def _resume(self) -> None:
        try:
            if self._feed is not None:
                self._feed.resume()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self._failure is None:
            self._failure = error
            self._wakeup.send(_SIGNAL)

    def _end(self) -> None:
        """End the running commands, here and on the nodes, and begin no other call."""
        if self._ending:
            return
        self._ending = True
        if self.signal is not None:
            self._interrupted()
        self._queue.clear()
        for call in self.calls.values():
            if call.group is not None and call.outcome is None:
                self._end_one(call)
        # A command that has not announced itself may have begun, too: it gets some time to do so.
        self._task.timer(_GRACE, TimerHandler(self._abort), autoclose=True)

    def _end_one(self, call: Call) -> None:
        worker = self._active.get(call.node)
        if worker is not None:
            worker.abort()
        self._stop(call)

    def _abort(self) -> None:
        """End all workers after the time of grace."""
        for worker in set(self._active.values()):
            worker.abort()

    def _look(self) -> None:
        if self._watcher is not None and not self._ending:
            self._watcher.look(self.calls.values(), self.begun)

    def _stop(self, call: Call) -> None:
        """End a call's command on the node if it has announced itself."""
        if call.group is None:
            return
        if (line := self._job.stop_line(call)) is None:
            self._stopped(call, None)
            return
        stopper = StopHandler(call, self._stopped)
        worker = (GatewayWorker if call.node in self._routed else self._worker_class(Worker))(
            call.node, stopper, STOP_LIMIT, command=line, stderr=True
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
                self._print_err(call.node, [f"could not be stopped: {problem}".encode()])

    def _print_err(self, node: str, lines: Sequence[bytes]) -> None:
        if lines:
            self._print(self._output.err, node, lines)

    def _print_out(self, node: str, lines: Sequence[bytes]) -> None:
        self._print(self._output.out, node, lines)

    def _print(self, write: Callable[[str, Sequence[bytes]], None], node: str, lines: Sequence[bytes]) -> None:
        if self._failure is not None:
            return
        try:
            write(node, lines)
        except OSError as error:
            self._fail(error)
        except AnswerTooLong as error:
            self._cut_off(node, str(error))

    def _cut_off(self, node: str, reason: str) -> None:
        """End a call that has printed too much. One behind a gateway goes on, and no more of it is printed."""
        call = self.calls.get(node)
        if call is not None and call.outcome is None:
            call.cut_off(reason)
            self._end_one(call)

    def handle_lines(self, node: str, stream: str, lines: Sequence[bytes]) -> None:
        """Print lines of a node, or of a gateway that is not one of the nodes."""
        call = self.calls.get(node)
        if stream == Worker.SNAME_STDOUT and call is not None and call.is_container and not call.has_begun:
            lines = self._begin_in_container(call, lines)
        if stream == Worker.SNAME_STDOUT and call is not None and call.left_out is not None:
            left_out = [line for line in lines if call.add_stdout(line)]
            self._print_err(node, left_out)
            self._print_out(node, [line for line in lines if line not in left_out])
        elif stream == Worker.SNAME_STDOUT:
            self._print_out(node, lines)
        elif call is None:
            self._print_err(node, lines)
        else:
            before = call.group
            self._print_err(node, [shown for line in lines for shown in call.add_stderr(line)])
            if self._ending and call.group != before and call.outcome is None:
                self._end_one(call)

    def _begin_in_container(self, call: Call, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Return the lines of standard output without the announcement, if it is among them."""
        for number, line in enumerate(lines):
            if (held := call.begin(line)) is not None:
                self._print_err(call.node, held)
                if self._ending and call.outcome is None:
                    self._end_one(call)
                return [*lines[:number], *lines[number + 1 :]]
        return lines

    def ev_read(self, worker: Any, node: str, sname: str, msg: bytes) -> None:
        """Print a line of a node behind a gateway."""
        self.handle_lines(node, sname, [msg])

    def ev_pickup(self, worker: Any, node: str) -> None:
        """Note that the call of a node has begun."""
        self.begun[node] = time.monotonic()

    def ev_hup(self, worker: Any, node: str, rc: int) -> None:
        """Set the outcome of a call whose process has ended."""
        call = self.calls[node]
        if call.outcome is not None or (self._ending and call.group is not None):
            return  # the outcome is known already, or this class has ended the process
        lines = call.end(rc)
        if self._is_searched(call):
            return
        status = call.outcome.status if call.outcome is not None else 0
        is_done = call.outcome is not None and call.outcome.ending is CallEnding.DONE
        if is_done and (status or self._verbose) and not self._quiet:
            unclear = ", or ended by a signal or with its connection" if status == SSH_FAILED and call.is_ssh else ""
            lines = [*lines, f"exit status {status}{unclear}".encode()]
        self._print_err(node, lines)
        if is_done and (words := self._job.done(call)):
            self._print_out(node, words)

    def _is_searched(self, call: Call) -> bool:
        """Return True if the cause of a failed connection is being looked for, and is printed later."""
        outcome = call.outcome
        is_ours = call.is_ssh and call.node not in self._routed and not self._ending
        if self._causes is None or not is_ours or outcome is None or outcome.ending is not CallEnding.UNREACHABLE:
            return False
        return self._causes.search(call.node, outcome.reason, time.monotonic() - self.begun.get(call.node, 0.0))

    def _print_causes(self) -> None:
        if self._causes is not None:
            for node, cause in self._causes.known():
                self._print_err(node, self.calls[node].end_unreachable(cause))

    def ev_close(self, worker: Any, timedout: bool) -> None:
        """Set the outcomes of calls whose time limit has passed, and begin the next call."""
        if timedout and self._limit is not None:
            for call in [self.calls[node] for node in worker.iter_keys_timeout()]:
                if call.outcome is None:
                    self._print_err(call.node, call.time_out(self._limit))
                    self._stop(call)
        self._active = {name: other for name, other in self._active.items() if other is not worker}
        self._next()

    def end_unreachable(self, nodes: Sequence[str], reason: str) -> None:
        """Set the outcomes of nodes that their gateway no longer reaches."""
        for call in [self.calls[node] for node in nodes]:
            if call.outcome is None and not self._ending:
                self._print_err(call.node, call.end_unreachable(reason))
