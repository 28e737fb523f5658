"""The environment of Jinja2 in which templates run: a sandbox in which no mistake takes all time or all memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from pytest_synctool.common.wording import printable_text
from pytest_synctool.repository.template_values import GroupsView, LimitError, NodeView, View

LARGEST: Final = 16 << 20  # bytes of a rendered file, and characters of any text in a template
TICK: Final = "_synctool_tick"  # a function that a template calls in each round of a loop
_CONCATENATE: Final = "_synctool_concatenate"
_LONGEST_NUMBER: Final = 4096  # bits
_WIDE: Final = re.compile("[0-9]{8}")  # the width of a field in a format
_OUTSIDE: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


def compile_template(text: str) -> Template:
    """Compile the text of a template. Raises TemplateSyntaxError, and errors of Python for one that is too complex."""
    environment = _Environment("\r\n" if "\r\n" in text else "\n")
    tree = environment.parse(text)
    for outside in tree.find_all(_OUTSIDE):
        raise TemplateSyntaxError("a template is one file: no include, import or extends", outside.lineno)
    loop: Any
    for loop in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)):
        loop.body.insert(0, nodes.ExprStmt(_call(TICK, [])).set_lineno(loop.lineno))
    tree = _Concatenations().visit(tree)
    return Template.from_code(environment, environment.compile(tree), environment.globals)


def _call(name: str, arguments: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load"), arguments, [], None, None)


class _Concatenations(NodeTransformer):
    """Replaces `a ~ b` by the call of a function that looks at the size."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call(_CONCATENATE, node.nodes).set_lineno(node.lineno)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**", "+", "%"))

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
        self.globals[_CONCATENATE] = _concatenated
        self.filters.pop("random", None)
        self.filters = {name: _bounded(function) for name, function in self.filters.items()}

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

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return the result of a call. Raises LimitError if an argument or the result is too large."""
        method = getattr(function, "__wrapped__", function)  # the sandbox wraps str.format()
        _check_arguments((getattr(method, "__self__", None), *args, *kwargs.values()))
        return _checked(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an operation. Raises LimitError if it would be too large."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            if isinstance(left, int) and isinstance(right, int) and _bits(operator, left, right) > _LONGEST_NUMBER:
                raise LimitError("a number is too large")
        elif operator == "*":
            for text, times in ((left, right), (right, left)):
                if isinstance(times, int) and len(text) * times > LARGEST:
                    raise LimitError("a product is too large")
        elif operator == "%":
            _check_arguments((left, right))
        return _checked(super().call_binop(context, operator, left, right))


def _bits(operator: str, left: int, right: int) -> int:
    """Return the most bits that the result of an operation can have."""
    return left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that raises LimitError if an argument or its result is too large."""

    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_arguments((*args, *kwargs.values()))
        return _checked(function(*args, **kwargs))

    return bounded


def _check_arguments(values: Iterable[Any]) -> None:
    for value in values:
        if (isinstance(value, int) and abs(value) > LARGEST) or (isinstance(value, str) and _is_wide(value)):
            raise LimitError("a number is too large")


def _is_wide(text: str) -> bool:
    return ("%" in text or "{" in text) and _WIDE.search(text) is not None


def _checked(value: Any) -> Any:
    if isinstance(value, str | list | tuple) and len(value) > LARGEST:
        raise LimitError(f"a value has more than {LARGEST:,} characters or items")
    return value


def _concatenated(*values: Any) -> str:
    return str(_checked("".join(map(str, values))))


def _printed(value: object) -> object:
    """Return the text of a value. Raises TypeError for one that no file would have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined | NodeView):
        return value
    kinds = {tuple: "a list", list: "a list", GroupsView: "a list", dict: "a table", type(None): "none"}
    raise TypeError(f"{kinds.get(type(value), 'this')} cannot be printed: use a loop, join or an item of it")
