"""Rules about templates and variables. They render all templates for all nodes, and decrypt nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_synctool.common.nodenames import fold
from pytest_synctool.config.model import Place
from pytest_synctool.config.variables import ALL
from pytest_synctool.lint.context import Finding, LintContext
from pytest_synctool.repository.source import Source

if TYPE_CHECKING:
    from pytest_synctool.repository.rendering import Rendering


def template_error(context: LintContext) -> Iterator[Finding]:
    """Find templates that cannot be rendered for some node."""
    for source, rendering, nodes in _renderings(context):
        if rendering.error:
            message = f"{rendering.error}, for {fold(nodes)}: correct it, or set what is missing"
            place = Place(context.path_of(source.relative), rendering.line)
            yield context.finding("template-error", source.shown, message, place)


def template_constant(context: LintContext) -> Iterator[Finding]:
    """Find templates that are the same for every node of every cluster."""
    seen = set()
    for source, rendering, _ in _renderings(context):
        is_constant = not (rendering.asked or rendering.uses_cluster or rendering.error)
        if is_constant and source.relative not in seen:
            seen.add(source.relative)
            message = "the template uses neither node, vars nor cluster: make it an ordinary file"
            yield context.source_finding("template-constant", source.relative, message)


def variable_unused(context: LintContext) -> Iterator[Finding]:
    """Find variables that decide nothing in any template. A template that cannot be examined may use all."""
    used: set[tuple[object, str]] = set()
    for source, _ in context.rendered:
        rendering = None if source.made is None else source.made.rendering
        if rendering is None or rendering.error:
            return
        used |= {(group, name) for (kind, name), group in rendering.asked if kind == "vars"}
    for group, variables in context.repository.variables.items():
        for name, variable in variables.items():
            if (group, name) not in used:
                whose = f"variable '{name}'" if group == ALL else f"variable '{name}' of '{group}'"
                message = f"no template uses the {whose} on any node: remove it, or correct its name"
                yield context.finding("variable-unused", f"{name}._{group}", message, variable.place)


def _renderings(context: LintContext) -> Iterator[tuple[Source, Rendering, list[str]]]:
    for source, nodes in context.rendered:
        if source.made is not None and source.made.rendering is not None:
            yield source, source.made.rendering, nodes
