"""Test ids on the command line: an id as a report prints it works wherever the compliance suite is installed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from pytest_synctool.plugin.invocation import SUITE
from pytest_synctool.plugin.options import add_bare_values, add_short_names, values_of_short_names


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str], parser: pytest.Parser
) -> Generator[None, object, object]:
    """Add --pyargs if an argument names a file of the suite that is not in the current directory.

    Add the values of options that may be left out. Add the short names of options when all conftests have been loaded,
    which may have options of the same names. pytest loads no conftest for the value of such an option.
    """
    directory = early_config.invocation_params.dir
    if any(_is_elsewhere(argument, directory) for argument in args):
        args.insert(0, "--pyargs")  # pytest still accepts paths with it
        early_config.known_args_namespace.pyargs = True
    paths = early_config.known_args_namespace.file_or_dir
    for value in values_of_short_names(parser, args):
        if value in paths:
            paths.remove(value)
    try:
        result = yield
        add_bare_values(parser, args)
        return result
    finally:
        add_short_names(parser)


def settle_arguments(config: pytest.Config) -> None:
    """Rewrite `config.args` before anything is collected.

    Reports name tests as if the suite lay in the current directory; such ids become module names. If `addopts` names
    the whole suite and the user names single tests, only these tests stay: `--fix` with an id must not repair
    everything.
    """
    typed = set(map(str, config.invocation_params.args))
    if any(argument in typed and _is_part(argument) for argument in config.args):
        config.args[:] = [argument for argument in config.args if argument != SUITE or argument in typed]
    for position, argument in enumerate(config.args):
        if config.option.pyargs and _is_elsewhere(argument, config.invocation_params.dir):
            name, colons, rest = argument.partition("::")
            config.args[position] = f"{name.removesuffix('.py').replace('/', '.')}{colons}{rest}"


def _is_part(argument: str) -> bool:
    """Return True if an argument names a part of the suite, such as `synctool_checks.test_overlay` or an id."""
    return "::" in argument or argument.startswith((f"{SUITE}.", f"{SUITE}/"))


def _is_elsewhere(argument: str, directory: Path) -> bool:
    """Return True if an argument is the path of a file of the suite that does not exist below the directory."""
    name = argument.partition("::")[0]
    return name.startswith(f"{SUITE}/") and not (directory / name).exists()
