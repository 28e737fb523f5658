"""`synctool -f --ask`: audit all nodes, print the changes of each one, and repair it only after a yes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pytest_synctool.cli.asking import LEFT_ALONE, Confirmation, Questions, bound, declined
from pytest_synctool.cli.run import ClassicRun
from pytest_synctool.common.nodenames import fold
from pytest_synctool.engine.engine import Engine
from pytest_synctool.engine.fanout import Fanout, Turn
from pytest_synctool.engine.settings import Mode
from pytest_synctool.model import Node, NodeResult
from pytest_synctool.report.repair_log import RepairLog


@dataclass
class AskingRun(ClassicRun):
    """A run that asks before it repairs a node. Audits of other nodes go on meanwhile."""

    questions: Questions = field(default_factory=Questions)
    _agreed: dict[str, NodeResult] = field(default_factory=dict)  # what was shown, by node
    _declined: list[str] = field(default_factory=list)
    _refused: set[str] = field(default_factory=set)  # the nodes whose changes have been shown, and are not made
    _pending: dict[str, Node] = field(default_factory=dict)

    def _print_remainder(self) -> None:
        if self._declined:
            print(f"{LEFT_ALONE}: {fold(self._declined)}")

    def _texts(self, node: Node, result: NodeResult) -> Iterator[str]:
        return iter([LEFT_ALONE]) if node.name in self._refused else super()._texts(node, result)

    def _run_node(self, engine: Engine, node: Node, turn: Turn) -> NodeResult:
        audited = self._agreed[node.name]
        paths = frozenset(step.path for step in audited.planned)
        return engine.run(node, bound(self._checks[node.name], audited.outcomes), turn.answered, paths)

    def _run_nodes(self, engine: Engine, log: RepairLog | None) -> bool:
        self._pending = {node.name: node for node in self.nodes}
        audits, repairs = self._audits(engine), self._fanout(engine, log)
        try:
            audits.announce(self.nodes)
            for node in self._in_order_of_output(audits, self.nodes):
                if self._answer(node, audits.result(node), repairs, log) is Confirmation.QUIT:
                    break
            for node in [node for name, node in self._pending.items() if name in self._agreed]:
                self._end(node, repairs.result(node))
            repairs.close()
        except KeyboardInterrupt:
            print(flush=True)  # below the question
            if not any(name in self._agreed for name in self._pending):
                engine.connections.processes.end_all()
            self._leave_audited(audits, log, interrupted=True)
            self._interrupt(engine, repairs, self._pending)
            return True
        self._leave_audited(audits, log)
        for node in list(self._pending.values()):
            self._leave_out(self._pending.pop(node.name), "not looked at: the answer was quit", log)
        return False

    def _audits(self, engine: Engine) -> Fanout[Node, NodeResult]:
        rehearsal = replace(engine, settings=replace(engine.settings, mode=Mode.REHEARSE))

        def audit(node: Node, turn: Turn) -> NodeResult:
            with self._progress.working(node.name):
                return rehearsal.run(node, self._checks[node.name], turn.answered)

        return Fanout(audit, self._width)

    def _answer(
        self, node: Node, audited: NodeResult, repairs: Fanout[Node, NodeResult], log: RepairLog | None
    ) -> Confirmation:
        """Print the changes of a node and ask about them. After a yes, return when the node is repaired."""
        if not audited.planned:
            self._leave_alone(node, audited, log)
            return Confirmation.NO
        self._erase_status()
        self._print_lines(node, audited)
        answer = self.questions.answer(node.name)
        if answer in (Confirmation.NO, Confirmation.QUIT):
            self._refused.add(node.name)
            self._leave_alone(node, audited, log)
            return answer
        self._agreed[node.name] = audited
        repairs.announce([node])
        if answer is Confirmation.YES:
            self._end(node, repairs.result(node))
        return answer

    def _end(self, node: Node, result: NodeResult) -> None:
        del self._pending[node.name]
        self._take(node, result)

    def _leave_alone(self, node: Node, audited: NodeResult, log: RepairLog | None) -> None:
        """Record a node that is not repaired: nobody has agreed, or there is nothing to do."""
        result = audited
        if audited.planned:
            self._declined.append(node.name)
            result = declined(audited)
        if log is not None:
            log.take(self._tests(node), result)
        self._end(node, result)

    def _leave_audited(
        self, audits: Fanout[Node, NodeResult], log: RepairLog | None, *, interrupted: bool = False
    ) -> None:
        """End the audits that have begun, and record the nodes that nobody was asked about."""
        with suppress(KeyboardInterrupt):
            audits.close()
        for node, result in audits.unclaimed():
            is_ended = interrupted and result.error is not None  # end_all() has made it fail
            if node.name in self._pending and node.name not in self._agreed and not is_ended:
                self._leave_alone(node, result, log)
