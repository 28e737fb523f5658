"""What `synctool` does to nodes: look, repair or restore, many at once, and tell it in the documentation's words."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date

from pytest_synctool.audit.built_in_checks import checks
from pytest_synctool.audit.check import Check
from pytest_synctool.cli import command
from pytest_synctool.cli.connections import connections_of
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.dsh.aggregate import Aggregate
from pytest_synctool.engine.engine import Engine
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.engine.settings import Mode, Settings
from pytest_synctool.model import Node, NodeResult, Outcome, Status
from pytest_synctool.report.ending import NodeEnding, ending_of_result, in_words
from pytest_synctool.report.grouping import waiver_in_words
from pytest_synctool.report.node_tests import NodeTests
from pytest_synctool.report.nodeids import encode
from pytest_synctool.report.repair_log import RepairLog, append_to
from pytest_synctool.repository.entry_commands import always
from pytest_synctool.repository.explain import Explainer
from pytest_synctool.repository.lock import MasterdirLock, who
from pytest_synctool.repository.resolution import Repository
from pytest_synctool.repository.waivers import NOTHING_WAIVED, InForce

_DEFINITIONS_END = b"\nbegin\n"
_RED, _GREEN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


@dataclass
class Work:
    """One run over the selected nodes."""

    config: Config
    repository: Repository
    nodes: Sequence[Node]
    arguments: Namespace
    local: bool = False
    endings: Counter[NodeEnding] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._told = Aggregate() if self.arguments.aggregate else None
        self._explainer = Explainer(self.repository)
        self._checks: dict[str, list[Check]] = {}
        self._coloured = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._framed = not (self.arguments.quiet or self.arguments.unix)  # a shell has to understand all of --unix

    @property
    def changing(self) -> bool:
        """Whether anything on a node is changed."""
        return bool(self.arguments.fix or self.arguments.restore)

    def run(self) -> int:
        """Do it and tell it. Returns the exit status. Raises SynctoolError for what keeps it from beginning."""
        with self._locked(), closing(self._engine()) as engine, self._logged() as log:
            if self._framed:
                print(self._headline(), flush=True)
            interrupted = self._all(engine, log)
        if self._told is not None:
            sys.stdout.flush()
            self._told.write(sys.stdout.buffer)
        if self._framed and not interrupted:
            print(in_words(self.endings, restoring=self.arguments.restore))
        return command.INTERRUPTED if interrupted else exit_status(self.endings)

    def _headline(self) -> str:
        if self.arguments.restore:
            return "--restore specified, putting back what the last --fix has kept"
        return "--fix specified, applying changes" if self.arguments.fix else "DRY RUN, not doing any updates"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A node at work on itself does not keep others from the masterdir, which they may share or only read.
        if not self.changing or self.local:
            yield
            return
        with closing(MasterdirLock(self.config.masterdir)):
            yield

    @contextmanager
    def _logged(self) -> Iterator[RepairLog | None]:
        if not self.changing:
            yield None
            return
        path = self.config.logfile
        descriptor = None if path is None else append_to(path, self.config.path)
        mode = "--restore" if self.arguments.restore else "--fix"
        log = RepairLog(path, not self.arguments.no_syslog, descriptor, mode)
        log.began(len(self.nodes))
        try:
            yield log
        finally:
            log.ended()
            if log.problem is not None:
                command.print_stderr([f"WARNING the log {log.problem}"])

    def _engine(self) -> Engine:
        arguments = self.arguments
        settings = Settings(
            self.config.masterdir,
            Mode.FIX if arguments.fix else Mode.RESTORE if arguments.restore else Mode.REHEARSE,
            deadline=float(arguments.timeout),
            trigger_timeout=arguments.trigger_timeout,
            who=who(),
            waivers=NOTHING_WAIVED if arguments.no_waivers else InForce(self.repository.waivers, date.today()),
            saved=b"-" if arguments.no_saved else arguments.saved_dir or b"",
            log=os.fsencode(self.config.logfile or ""),
            syslog=not arguments.no_syslog,
        )
        connections = connections_of(self.config, arguments, shared=self.changing)
        return Engine(self.config, self.repository, settings, connections, mirrored=not arguments.skip_rsync)

    def _checks_of(self, node: Node) -> list[Check]:
        masterdir = os.fsencode(self.config.masterdir)
        return checks(
            self.repository.entries(node),
            single=self.arguments.single,
            tasks=self.arguments.tasks,
            always=[] if self.arguments.single else [always(text, masterdir) for text in self.config.always_run],
        )

    def _all(self, engine: Engine, log: RepairLog | None) -> bool:
        """Run all nodes, and tell of each in their order. Says whether it was interrupted."""
        for node in self.nodes:
            self._checks[node.name] = self._checks_of(node)

        def work(node: Node, turn: Turn) -> NodeResult:
            result = engine.run(node, self._checks[node.name], turn.answered)
            if log is not None:
                log.take(self._tests(node), result)
            return result

        fanout = Fanout(work, self.arguments.numproc or self.config.num_proc)
        left = {node.name: node for node in self.nodes}
        try:
            fanout.announce(self.nodes)  # all: one that hangs keeps nobody from being begun, only from being told
            for node in self.nodes:
                result = fanout.result(node)
                del left[node.name]
                self._tell(node, result)
        except KeyboardInterrupt:
            waits = "; what is under way goes to its end" if self.changing else ""
            command.print_stderr([f"synctool: interrupted{waits}"])
            if not self.changing:
                engine.connections.processes.end_all()
            with suppress(KeyboardInterrupt):
                fanout.close()
            for node, result in fanout.unclaimed():
                if self.changing or result.error is None:  # what was changed or found is told all the same
                    del left[node.name]
                    self._tell(node, result)
            if left:
                command.print_stderr([f"synctool: not done: {fold(left)}"])
            return True
        fanout.close()
        return False

    def _tests(self, node: Node) -> NodeTests:
        return NodeTests(node.name, node.name, [f"::{encode(_name(check))}" for check in self._checks[node.name]])

    def _tell(self, node: Node, result: NodeResult) -> None:
        self.endings[ending_of_result(result)] += 1
        out = sys.stdout.buffer
        sys.stdout.flush()
        for line in self._lines(node, result):
            if self._told is not None:
                self._told.add(node.name, line)
            else:
                out.write(node.name.encode() + b": " + line + b"\n")
        out.flush()

    def _lines(self, node: Node, result: NodeResult) -> Iterator[bytes]:
        if self.arguments.unix:
            yield from _script(result.script, whole=not self.arguments.quiet)
            texts = [f"# {text}" for text in (*self._waived(node, result), *self._problems(node, result))]
        else:
            texts = list(self._texts(node, result))
        for text in texts:
            yield text.encode("utf-8", "backslashreplace")

    def _texts(self, node: Node, result: NodeResult) -> Iterator[str]:
        yield from self._remarks(node)
        yield from (self._painted(step.line, _RED) for step in result.planned)
        yield from (self._painted(line, _GREEN) for line in result.done)
        yield from result.notes
        yield from self._waived(node, result)
        yield from (self._painted(line, _RED) for line in self._problems(node, result))

    def _waived(self, node: Node, result: NodeResult) -> Iterator[str]:
        """What differs, and is accepted for a while."""
        for check, outcome in self._outcomes(node, result):
            if outcome.status is Status.WAIVED:
                yield f"{printable(_name(check))} {outcome.message} ({waiver_in_words(outcome)})"

    def _outcomes(self, node: Node, result: NodeResult) -> Iterable[tuple[Check, Outcome]]:
        return zip(self._checks[node.name], result.outcomes, strict=True) if result.error is None else ()

    def _problems(self, node: Node, result: NodeResult) -> Iterator[str]:
        """What is not said by what would be done, or was done."""
        if result.error is not None:
            yield result.error.text
            return
        planned = {step.path for step in result.planned}
        pairs = [
            (printable(_name(check)), outcome, check.entry.destination in planned)
            for check, outcome in self._outcomes(node, result)
            if outcome.status in (Status.DRIFT, Status.ERROR)
        ]
        for name, outcome, is_planned in pairs:
            if outcome.status is Status.ERROR or not is_planned:
                yield f"{name} {outcome.message}"
            if outcome.waiver:
                yield f"{name} {waiver_in_words(outcome)}"
            if self.arguments.verbose:
                yield from (f"    {name} {detail}" for detail in outcome.details)

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._coloured else text

    def _remarks(self, node: Node) -> Iterator[str]:
        if self.arguments.verbose:
            yield from self._explainer.remarks(node, set(self.arguments.single) or None)


def exit_status(endings: Iterable[NodeEnding]) -> int:
    """Return the exit status for nodes that ended so: that of the worst."""
    return max((_exit_status(ending) for ending in endings), default=command.OK)


def _exit_status(ending: NodeEnding) -> int:
    if ending is NodeEnding.DRIFTED:
        return command.DRIFT
    return command.OK if ending.is_good else command.UNREACHABLE


def _name(check: Check) -> bytes:
    """A check as node ids have it."""
    if check.command is None or check.is_task:
        return check.entry.destination
    return f"{check.command.kind}:".encode() + check.entry.destination


def _script(text: bytes, *, whole: bool) -> list[bytes]:
    """The lines of what would be done; without the definitions of the functions if not `whole`."""
    if not whole:
        text = text.partition(_DEFINITIONS_END)[2]
    return [line for line in text.split(b"\n") if line]
