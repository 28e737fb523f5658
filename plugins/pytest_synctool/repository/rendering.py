"""Renderings of templates with Jinja2, one for each distinct outcome.

A rendering is a function of the values that it has asked for. They are recorded, so a node with the same values gets
the same rendering without another one. A template has no other input: no files, no environment, no time, no chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Final, NamedTuple

from jinja2 import Template, TemplateSyntaxError, UndefinedError

from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import Node
from pytest_synctool.repository import template_environment
from pytest_synctool.repository.template_environment import TICK, compile_template
from pytest_synctool.repository.template_values import (
    ClusterView,
    Key,
    LimitError,
    NodeValues,
    OwnView,
    RenderingRun,
    UsedCluster,
    VarsView,
)
from pytest_synctool.repository.variable_files import GroupVariables

_LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True, eq=False)
class Rendering:
    """One outcome of a template: contents, or `error` with its line. It equals only itself.

    `may_quote` is True if the error may quote values or the text of the template. `asked` has the keys that it has
    asked for, each with a value that decides what the template has got.
    """

    content: bytes
    error: str
    line: int
    may_quote: bool
    asked: tuple[tuple[Key, object], ...]
    uses_cluster: bool

    @property
    def variables(self) -> Iterator[str]:
        """Yield the names of the variables that it has asked for."""
        return (name for kind, name in (key for key, _ in self.asked) if kind == "vars")


class _Failure(NamedTuple):
    """The error of a template. `may_quote` is True if it may quote values, or the text of the template."""

    message: str
    line: int
    may_quote: bool = False


@dataclass
class _Branch:
    """A key that all renderings with the same values so far ask for next, and what follows each of its values."""

    key: Key
    following: dict[object, _Branch | Rendering] = field(default_factory=dict)


class _Compiled:
    """A template, or the failure of its text, and the tree of its renderings."""

    def __init__(self, content: bytes) -> None:
        self.failure: _Failure | None = None
        self.template: Template | None = None
        self._tree: _Branch | Rendering | None = None
        try:
            self.template = compile_template(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.failure = _Failure(f"not a text in UTF-8 (byte {error.start})", line)
        except TemplateSyntaxError as error:
            self.failure = _Failure(_shortened(error.message or "not a template of Jinja2"), error.lineno, True)
        except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):  # of Python, for nested blocks
            self.failure = _Failure("it is nested too deep", 0)

    def known(self, values: NodeValues) -> Rendering | None:
        """Return the rendering of an earlier node with the same values, or None."""
        current = self._tree
        while isinstance(current, _Branch):
            current = current.following.get(values.decisive(current.key))
        return current

    def keep(self, rendering: Rendering) -> None:
        """Keep a rendering for nodes with the same values."""
        if not rendering.asked:
            self._tree = rendering
            return
        if not isinstance(self._tree, _Branch):
            self._tree = _Branch(rendering.asked[0][0])
        branch, last = self._tree, len(rendering.asked) - 1
        for number, (_, value) in enumerate(rendering.asked):
            if number == last:
                branch.following[value] = rendering
                return
            following = branch.following.setdefault(value, _Branch(rendering.asked[number + 1][0]))
            assert isinstance(following, _Branch)
            branch = following


@dataclass
class Renderer:
    """The templates of a cluster. A template is compiled once, by its name below the masterdir."""

    nodes: Mapping[str, Node]
    groups: Mapping[str, Sequence[str]]
    variables: GroupVariables
    _compiled: dict[bytes, _Compiled] = field(default_factory=dict)

    @cached_property
    def _cluster(self) -> ClusterView:
        return ClusterView(tuple(self.nodes.values()), self.groups)

    def render(self, name: bytes, content: bytes, node: Node) -> Rendering:
        """Return the rendering of a template for a node. `content` is that of the file of this name."""
        if name not in self._compiled:
            self._compiled[name] = _Compiled(content)
        compiled, values = self._compiled[name], NodeValues(node, self.variables)
        rendering = compiled.known(values)
        if rendering is None:
            rendering = self._render(compiled, values)
            compiled.keep(rendering)
        return rendering

    def _render(self, compiled: _Compiled, values: NodeValues) -> Rendering:
        run, cluster = RenderingRun(values), UsedCluster(self._cluster)
        content, failure = b"", compiled.failure
        if compiled.template is not None:
            names = {"node": OwnView(run), "vars": VarsView(run), "cluster": cluster, TICK: run.tick}
            content, failure = _filled(compiled.template, names)
        message, line, may_quote = failure or ("", 0, False)
        return Rendering(content, message, line, may_quote, tuple(run.asked.items()), cluster.is_used)


def _filled(template: Template, names: Mapping[str, object]) -> tuple[bytes, _Failure | None]:
    """Return the contents of a template with these names, or the reason why it has none."""
    try:
        text = "".join(_within_limits(template.root_render_func(template.new_context(dict(names)))))
        return text.encode("utf-8"), None
    except UndefinedError as error:
        message = error.message or "something is not defined"
        return b"", _Failure(_shortened(message), _line(template, error.__traceback__))
    except Exception as error:  # a template may call any method of its values
        is_ours = isinstance(error, LimitError)
        message = str(error) if is_ours or isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
        return b"", _Failure(_shortened(message), _line(template, error.__traceback__), not is_ours)


def _within_limits(parts: Iterable[str]) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > template_environment.LARGEST:
            raise LimitError(f"it would have more than {template_environment.LARGEST:,} bytes")
        yield part


def _line(template: Template, traceback: TracebackType | None) -> int:
    """Return the line of a template in which an exception was raised, or 0."""
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _shortened(message: str) -> str:
    text = printable_text(message)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
