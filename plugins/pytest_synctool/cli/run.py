"""Audit, repair or restore many nodes for the `synctool` command, and print it in the documentation's words."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from pytest_synctool.audit.built_in_checks import answers, checks
from pytest_synctool.audit.check import Check
from pytest_synctool.cli import command
from pytest_synctool.cli.check_names import check_name, nodeid
from pytest_synctool.cli.connections import connections_of
from pytest_synctool.cli.run_history import RunHistory, is_writable
from pytest_synctool.cli.status_line import INTERVAL, StatusLine
from pytest_synctool.common.console import shown
from pytest_synctool.common.nodenames import fold
from pytest_synctool.common.wording import printable
from pytest_synctool.config import Config
from pytest_synctool.connection.connections import Connections
from pytest_synctool.dsh.aggregate import Aggregate
from pytest_synctool.engine.batches import Batches, split
from pytest_synctool.engine.engine import Engine
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.engine.settings import Mode, Settings, old_versions
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import Node, NodeResult, Outcome, Skip, Status, UnixOutput
from pytest_synctool.report.ending import AFTER_RESTORE, NodeEnding, ending_of_result, in_words, unread_in_words
from pytest_synctool.report.grouping import waiver_in_words
from pytest_synctool.report.monitoring import plugin_line
from pytest_synctool.report.node_test_ids import NodeTests
from pytest_synctool.report.progress import Progress
from pytest_synctool.report.repair_log import RepairLog, append_to
from pytest_synctool.repository.entry_commands import always
from pytest_synctool.repository.explain import Explainer
from pytest_synctool.repository.lock import MasterdirLock, who
from pytest_synctool.repository.resolution import Repository, emptiness, is_idle
from pytest_synctool.repository.vital_paths import check_lockouts
from pytest_synctool.repository.waivers import NOTHING_WAIVED, InForce

_RED, _GREEN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"

_NOT_SELECTED: Final = Outcome(Status.SKIPPED, "nothing of it is selected", skip=Skip.NOT_SELECTED)


@dataclass
class ClassicRun:
    """One run of the `synctool` command over the selected nodes.

    `local` is True on a node that works on itself. `connections` are those of the run if it has some already. `endings`
    counts the nodes that have been printed.
    """

    config: Config
    repository: Repository
    nodes: Sequence[Node]
    arguments: Namespace
    local: bool = False
    connections: Connections | None = None
    endings: Counter[NodeEnding] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._aggregate = Aggregate() if self.arguments.aggregate else None
        self._explainer = Explainer(self.repository)
        self._checks: dict[str, list[Check]] = {}
        self._unread = 0
        self._coloured = (
            self.config.colorize
            and sys.stdout.isatty()
            and os.environ.get("TERM") != "dumb"
            and not os.environ.get("NO_COLOR")
        )
        if self.arguments.color is not None:
            self._coloured = self.arguments.color
        self._history = self._new_history()
        # With --unix, all output must be shell text; with --nagios, one line.
        self._framed = not (self.arguments.quiet or self.arguments.unix or self.arguments.nagios)
        is_silent = self.changing or self.arguments.unix or self.arguments.nagios
        self._owes_headline = self.arguments.quiet and not is_silent
        is_watched = self._framed and not self.arguments.aggregate
        self._status_line = StatusLine.on(sys.stdout, os.environ, Progress(len(self.nodes))) if is_watched else None
        self._batches = self._new_batches()
        self._progress = Progress() if self._status_line is None else self._status_line.progress

    @property
    def changing(self) -> bool:
        """True if the run changes nodes."""
        return bool(self.arguments.fix)

    def run(self) -> int:
        """Run the nodes and print their results; return the exit status. Raises SynctoolError before it begins."""
        if (reason := emptiness(self.config, self.repository)) is not None:
            raise RepositoryError(reason)
        if self._mode is Mode.FIX:
            check_lockouts((node, self.repository.entries(node)) for node in self.nodes)
        with self._locked(), closing(self._engine()) as engine, self._logged() as log:
            if self._framed:
                print(self._headline(), flush=True)
            self._checks = {node.name: self._checks_of(node) for node in self.nodes}
            interrupted = self._run_nodes(engine, log)
        if self._aggregate is not None:
            sys.stdout.flush()
            self._aggregate.write(sys.stdout.buffer)
        if self._framed and not interrupted:
            kinds = {"restoring": self.arguments.restore, "erasing": self._mode.is_about_erasing}
            print(in_words(self.endings, **kinds, changing=self.changing))
            if self._unread:
                print(unread_in_words(self._unread))
            self._print_remainder()
            if self._mode is Mode.RESTORE and self.endings[NodeEnding.FIXED]:
                print(AFTER_RESTORE)
        status = command.INTERRUPTED if interrupted else exit_status(self.endings)
        if self.arguments.nagios:
            print(plugin_line(self.endings, status))
        sys.stdout.flush()
        self._checks.clear()  # the history needs their memory
        if self._history is not None and (problem := self._history.store(status, complete=not interrupted)):
            command.print_stderr([f"WARNING {problem}"])
        return status

    def _print_remainder(self) -> None:
        """Print what the counts of the summary do not say."""

    def _new_history(self) -> RunHistory | None:
        keep = self.arguments.history_keep
        if self.local or keep < 1 or not is_writable(self.config):
            return None
        return RunHistory(self.config, self.repository, self.nodes, self._mode, keep)

    def _new_batches(self) -> Batches:
        """Return the batches of the run: one, unless -z or --batch asks for more. Only --batch stops after failures."""
        arguments, total = self.arguments, len(self.nodes)
        number = self._width if arguments.zzz else total
        allowed = total
        if arguments.batch is not None:
            number, allowed = arguments.batch.of(total), arguments.max_fail_nodes or 0
        return Batches(split([node.name for node in self.nodes], number), allowed)

    @property
    def _width(self) -> int:
        """The number of nodes that are contacted at once."""
        return int(self.arguments.numproc or self.config.num_proc)

    @property
    def _mode(self) -> Mode:
        if self.arguments.erase_saved:
            return Mode.ERASE_SAVED if self.arguments.fix else Mode.LIST_SAVED
        if self.arguments.restore:
            return Mode.RESTORE if self.arguments.fix else Mode.RECALL
        return Mode.FIX if self.arguments.fix else Mode.REHEARSE

    @property
    def _unix(self) -> UnixOutput:
        if not self.arguments.unix:
            return UnixOutput.NONE
        return UnixOutput.SCRIPT if self.arguments.verbose and not self.changing else UnixOutput.COMMANDS

    def _headline(self) -> str:
        if self._mode is Mode.RESTORE:
            return "--restore specified, putting back what --fix has kept"
        if self._mode is Mode.ERASE_SAVED:
            return "--erase-saved specified, erasing what --fix has kept"
        return "--fix specified, applying changes" if self.arguments.fix else "DRY RUN, not doing any updates"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A node that works on itself leaves the masterdir unlocked: other nodes may share it, or it may be read-only.
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
        descriptor = None if path is None else append_to(path, self.config.path, self.config.trust)
        mode = {Mode.RESTORE: "--restore", Mode.ERASE_SAVED: "--erase-saved"}.get(self._mode, "--fix")
        log = RepairLog(path, self.config.syslogging and not self.arguments.no_syslog, descriptor, mode)
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
            self._mode,
            deadline=float(arguments.timeout),
            trigger_timeout=arguments.trigger_timeout,
            who=who(),
            waivers=NOTHING_WAIVED if arguments.no_waivers else InForce(self.repository.waivers, date.today()),
            saved=old_versions(
                arguments.saved_dir or b"", are_kept=self.config.backup_copies and not arguments.no_saved
            ),
            log=os.fsencode(self.config.logfile or ""),
            syslog=self.config.syslogging and not arguments.no_syslog,
            unix=self._unix,
            post=not arguments.no_post,
            trust_ctime=arguments.trust_ctime,
            earlier=bool(arguments.list or arguments.single),
            only=frozenset(arguments.single),
        )
        connections = self.connections or connections_of(self.config, arguments, shared=self.changing)
        mirrored = not (arguments.skip_rsync or self._mode.is_about_erasing)
        return Engine(self.config, self.repository, settings, connections, mirrored=mirrored)

    def _checks_of(self, node: Node) -> list[Check]:
        masterdir = os.fsencode(self.config.masterdir)
        if self._mode.is_about_erasing:
            return [answers(masterdir)]
        entries = self.repository.entries(node)
        single, tasks = self.arguments.single, self.arguments.tasks
        is_whole = not (single or tasks)
        made = checks(
            entries,
            single=single,
            tasks=tasks,
            always=[always(text, masterdir) for text in self.config.always_run] if is_whole else [],
        )
        if not (made or is_whole):
            return [replace(answers(masterdir), settled=_NOT_SELECTED)]
        return made if single or tasks or not is_idle(entries) else [answers(masterdir), *made]

    def _run_nodes(self, engine: Engine, log: RepairLog | None) -> bool:
        """Run all nodes and print their results; return True if it was interrupted."""
        fanout = self._fanout(engine, log)
        pending = {node.name: node for node in self.nodes}
        try:
            for batch in self._batches.batches:
                if (reason := self._batches.refusal(batch[0])) is not None:
                    for name in batch:
                        self._leave_out(pending.pop(name), reason, log)
                    continue
                if len(pending) < len(self.nodes):
                    time.sleep(self.arguments.zzz or 0)
                self._run_batch(fanout, [pending[name] for name in batch], pending)
        except KeyboardInterrupt:
            self._interrupt(engine, fanout, pending)
            return True
        fanout.close()
        return False

    def _fanout(self, engine: Engine, log: RepairLog | None) -> Fanout[Node, NodeResult]:
        def work(node: Node, turn: Turn) -> NodeResult:
            with self._progress.working(node.name):
                result = self._run_node(engine, node, turn)
            if log is not None:
                log.take(self._tests(node), result)
            return result

        return Fanout(work, self._width)

    def _run_node(self, engine: Engine, node: Node, turn: Turn) -> NodeResult:
        return engine.run(node, self._checks[node.name], turn.answered)

    def _run_batch(self, fanout: Fanout[Node, NodeResult], batch: Sequence[Node], pending: dict[str, Node]) -> None:
        fanout.announce(batch)  # all at once: a node that hangs delays the output of others, not their work
        if self._history is not None and not self.endings:
            self._history.get_ready(is_whole=not (self.arguments.single or self.arguments.tasks))
        for node in self._in_order_of_output(fanout, batch):
            result = fanout.result(node)
            del pending[node.name]
            self._batches.ended(node.name, well=ending_of_result(result).is_good)
            self._take(node, result)

    def _leave_out(self, node: Node, reason: str, log: RepairLog | None) -> None:
        """Record a node that is not contacted."""
        not_begun = Outcome(Status.SKIPPED, reason, skip=Skip.NOT_BEGUN)
        result = NodeResult(tuple(not_begun for _ in self._checks[node.name]))
        if log is not None:
            log.take(self._tests(node), result)
        self._take(node, result)

    def _in_order_of_output(self, fanout: Fanout[Node, NodeResult], batch: Sequence[Node]) -> Iterator[Node]:
        """Yield the nodes in their order; on a terminal as their work ends, so that a hanging one holds nobody back."""
        if self._status_line is None:
            yield from batch
            return
        waiting = dict.fromkeys(batch)
        while waiting:
            for node in fanout.all_done(waiting, INTERVAL):
                del waiting[node]
                yield node
            self._status_line.show()

    def _interrupt(self, engine: Engine, fanout: Fanout[Node, NodeResult], pending: dict[str, Node]) -> None:
        """End the work on the pending nodes, print the results that exist, and name the nodes without one."""
        if self._status_line is not None:
            self._status_line.erase()
        waits = "; what is under way goes to its end" if self.changing else ""
        command.print_stderr([f"synctool: interrupted{waits}"])
        if not self.changing:
            engine.connections.processes.end_all()
        with suppress(KeyboardInterrupt):
            fanout.close()
        for node, result in fanout.unclaimed():
            if self.changing or result.error is None:  # end_all() above is what makes an audit fail
                del pending[node.name]
                self._take(node, result)
        if pending:
            command.print_stderr([f"synctool: not done: {fold(pending)}"])

    def _tests(self, node: Node) -> NodeTests:
        return NodeTests(node.name, node.name, [nodeid(node, check) for check in self._checks[node.name]])

    def _take(self, node: Node, result: NodeResult) -> None:
        if self._history is not None:
            self._history.take(self._tests(node), result)
        self._print(node, result)

    def _print(self, node: Node, result: NodeResult) -> None:
        self.endings[ending_of_result(result)] += 1
        self._unread += result.unread
        self._progress.take(result)
        self._erase_status()
        if self.arguments.nagios:
            return
        if self._owes_headline and (
            result.planned or any(o.skip is Skip.NOT_RESTORED for o in result.outcomes)
        ):  # not among the lines, which scripts read
            self._owes_headline = False
            command.print_stderr([self._headline()])
        self._print_lines(node, result)

    def _erase_status(self) -> None:
        if self._status_line is not None:
            self._status_line.erase()

    def _print_lines(self, node: Node, result: NodeResult) -> None:
        out = sys.stdout.buffer
        sys.stdout.flush()
        for line in self._lines(node, result):
            if self._aggregate is not None:
                self._aggregate.add(node.name, line)
            else:
                out.write(node.name.encode() + b": " + line + b"\n")
        out.flush()

    def _lines(self, node: Node, result: NodeResult) -> Iterator[bytes]:
        if self.arguments.unix:
            yield from result.unix
            texts = [shown(f"# {text}") for text in (*self._waived(node, result), *self._problems(node, result))]
        else:
            texts = list(self._texts(node, result))
        for text in texts:
            yield text.encode("utf-8", "backslashreplace")

    def _texts(self, node: Node, result: NodeResult) -> Iterator[str]:
        yield from map(shown, self._remarks(node))
        yield from (self._painted(step.line, _RED) for step in result.planned)
        for line in result.done:
            yield self._painted(line, _GREEN)
            yield from map(shown, result.printed.get(line, ()))
        for check, outcome in self._outcomes(node, result):
            if outcome.skip is Skip.NOT_RESTORED:
                yield shown(f"{printable(check_name(check))} {outcome.message}")
        yield from map(shown, (*result.notes, *self._waived(node, result)))
        yield from (self._painted(line, _RED) for line in self._problems(node, result))

    def _waived(self, node: Node, result: NodeResult) -> Iterator[str]:
        """Yield the lines of waived drift."""
        for check, outcome in self._outcomes(node, result):
            if outcome.status is Status.WAIVED:
                yield f"{printable(check_name(check))} {outcome.message} ({waiver_in_words(outcome)})"

    def _outcomes(self, node: Node, result: NodeResult) -> Iterable[tuple[Check, Outcome]]:
        return zip(self._checks[node.name], result.outcomes, strict=True) if result.error is None else ()

    def _problems(self, node: Node, result: NodeResult) -> Iterator[str]:
        """Yield the lines of drift and errors that the lines of changes, planned or made, do not contain."""
        if result.error is not None:
            yield result.error.text
            return
        yield from dict.fromkeys(outcome.message for outcome in result.outcomes if outcome.skip is Skip.NOT_BEGUN)
        planned = {step.path for step in result.planned}
        printed = {line for lines in result.printed.values() for line in lines}
        pairs = [
            (printable(check_name(check)), outcome, check.entry.destination in planned)
            for check, outcome in self._outcomes(node, result)
            if outcome.status in (Status.DRIFT, Status.ERROR)
        ]
        for name, outcome, is_planned in pairs:
            if outcome.status is Status.ERROR or not is_planned:
                yield f"{name} {outcome.message}"
            if outcome.waiver:
                yield f"{name} {waiver_in_words(outcome)}"
            if self.arguments.verbose:
                yield from (f"    {name} {detail}" for detail in outcome.details if detail not in printed)

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{shown(text)}{_PLAIN}" if self._coloured else shown(text)

    def _remarks(self, node: Node) -> Iterator[str]:
        if self.arguments.verbose and not self._mode.is_about_old_versions:
            yield from self._explainer.remarks(node, set(self.arguments.single) or None)


def exit_status(endings: Iterable[NodeEnding]) -> int:
    """Return the exit status for nodes with these endings: that of the worst."""
    return max((_exit_status(ending) for ending in endings), default=command.OK)


def _exit_status(ending: NodeEnding) -> int:
    if ending is NodeEnding.DRIFTED:
        return command.DRIFT
    return command.OK if ending.is_good else command.UNREACHABLE
