"""The pytest plugin. This file only lists its hooks; the modules below do the work."""

from __future__ import annotations

import sys

from pytest_synctool.plugin.as_installed import AsInstalled

sys.meta_path.insert(0, AsInstalled)  # before the first large import

from pytest_synctool.plugin.arguments import pytest_load_initial_conftests
from pytest_synctool.plugin.collect import pytest_collect_file
from pytest_synctool.plugin.configure import pytest_cmdline_main, pytest_configure, pytest_unconfigure
from pytest_synctool.plugin.lint import pytest_collection
from pytest_synctool.plugin.options import pytest_addoption
from pytest_synctool.plugin.run import (
    pytest_runtest_protocol,
    pytest_runtestloop,
    pytest_sessionfinish,
    pytest_sessionstart,
)
from pytest_synctool.plugin.terminal import pytest_report_header, pytest_report_teststatus, pytest_terminal_summary
from pytest_synctool.plugin.testinfra_hosts import pytest_generate_tests

__all__ = [
    "pytest_addoption",
    "pytest_cmdline_main",
    "pytest_collect_file",
    "pytest_collection",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_load_initial_conftests",
    "pytest_report_header",
    "pytest_report_teststatus",
    "pytest_runtest_protocol",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]
