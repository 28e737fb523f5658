"""The line of a run for Nagios, Icinga and other systems that run their plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pytest_synctool.report.ending import NodeEnding, in_words

_STATES: Final = {0: "OK", 1: "WARNING", 2: "CRITICAL"}


def plugin_line(endings: Mapping[NodeEnding, int], status: int) -> str:
    """Return the line of a run with this exit status: its state, the counts in words, and performance data.

    Any status but 0, 1 and 2 means unknown. All endings are in the data, zeros too, as graphs need them.
    """
    data = {"nodes": sum(endings.values()), **{ending.value: endings.get(ending, 0) for ending in NodeEnding}}
    numbers = " ".join(f"{name}={number}" for name, number in data.items())
    return f"SYNCTOOL {_STATES.get(status, 'UNKNOWN')} - {in_words(endings)} | {numbers}"
