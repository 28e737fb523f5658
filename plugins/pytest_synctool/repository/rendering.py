"""Renderings of templates with Jinja2, one for each distinct outcome.

A rendering is a function of the values that it has asked for. They are recorded, so a node with the same values gets
the same rendering without another one. A template has no other input: no files, no environment, no time, no chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Final, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_synctool.common.wording import Hints, printable_text
from pytest_synctool.model import Node
from pytest_synctool.repository.template_values import (
    ClusterView,
    GroupsView,
    Key,
    LimitError,
    NodeValues,
    NodeView,
    OwnView,
    RenderingRun,
    UsedCluster,
    VarsView,
    View,
)
from pytest_synctool.repository.variable_files import GroupVariables

LARGEST: Final = 16 << 20  # bytes of a rendered file
_LONGEST_NUMBER: Final = 4096  # bits
_LONGEST_MESSAGE: Final = 300
_TICK: Final = "_synctool_tick"
_OUTSIDE: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


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


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, newline: Any) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            newline_sequence=newline,
        )
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.filters.pop("random", None)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of a table rather than a method of the same name."""
        if isinstance(obj, View):
            try:
                return obj.get(str(argument))
            except KeyError as error:
                return self.undefined(hint=str(error.args[0]))
        if isinstance(obj, Mapping):
            if argument in obj:
                return obj[argument]
            if not hasattr(obj, str(argument)):
                return self.undefined(hint=f"'{printable_text(str(argument))}' is not in this table")
        if isinstance(argument, str):
            return super().getattr(obj, argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Return a product or power. Raises LimitError if it is too large."""
        if operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            for text, times in ((left, right), (right, left)):
                if isinstance(times, int) and len(text) * times > LARGEST:
                    raise LimitError("a product is too large")
        elif isinstance(left, int) and isinstance(right, int):
            bits, other = left.bit_length(), right.bit_length() if operator == "*" else 0
            if bits + other > _LONGEST_NUMBER or (operator == "**" and bits * right > _LONGEST_NUMBER):
                raise LimitError("a number is too large")
        return super().call_binop(context, operator, left, right)


def _printed(value: object) -> object:
    """Return the text of a value. Raises TypeError for one that no file would have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined | NodeView):
        return value
    kinds = {tuple: "a list", list: "a list", GroupsView: "a list", dict: "a table", type(None): "none"}
    raise TypeError(f"{kinds.get(type(value), 'this')} cannot be printed: use a loop, join or an item of it")


class _Compiled:
    """A template, or the failure of its text, and the tree of its renderings."""

    def __init__(self, content: bytes) -> None:
        self.failure: _Failure | None = None
        self.template: Template | None = None
        self._tree: _Branch | Rendering | None = None
        try:
            self.template = _compile(content.decode("utf-8"))
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


def _compile(text: str) -> Template:
    environment = _Environment("\r\n" if "\r\n" in text else "\n")
    tree = environment.parse(text)
    for outside in tree.find_all(_OUTSIDE):
        raise TemplateSyntaxError("a template is one file: no include, import or extends", outside.lineno)
    loop: Any
    for loop in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)):
        call = nodes.Call(nodes.Name(_TICK, "load"), [], [], None, None)
        loop.body.insert(0, nodes.ExprStmt(call).set_lineno(loop.lineno))
    return Template.from_code(environment, environment.compile(tree), environment.globals)


@dataclass
class Renderer:
    """The templates of a cluster. A template is compiled once, by its name below the masterdir."""

    nodes: Mapping[str, Node]
    groups: Mapping[str, Sequence[str]]
    variables: GroupVariables
    _compiled: dict[bytes, _Compiled] = field(default_factory=dict)
    _hints: Hints = field(default_factory=Hints)

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
            names = {"node": OwnView(run), "vars": VarsView(run), "cluster": cluster, _TICK: run.tick}
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
        if size > LARGEST:
            raise LimitError(f"it would have more than {LARGEST:,} bytes")
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
