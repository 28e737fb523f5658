"""pytest's terminal writer with the filter in front: only our own workflow commands are obeyed."""

from __future__ import annotations

import io

from _pytest._io import TerminalWriter
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.plugin.disarmed_writer import DisarmedWriter

from tests_meta.unit.common.test_console import obeyed


def writer() -> tuple[TerminalWriter, DisarmedWriter, io.StringIO]:
    """Return a terminal writer, its filter, and the file that both write."""
    file = io.StringIO()
    terminal = TerminalWriter(file)
    return terminal, DisarmedWriter(terminal), file


PIECES = ["  ", " " * 300, "\t", "\n", "\r", ":", "::", "#", "##", "[", "a", "a\n \n", "section_start", "##[a]"]


@given(st.lists(st.sampled_from([*PIECES, "::stop-commands::x"]), max_size=9))
def test_a_line_in_several_pieces(pieces: list[str]) -> None:
    """A command may begin in a later piece than its line."""
    terminal, _, file = writer()
    for piece in pieces:
        terminal.write(piece)
    assert obeyed(file.getvalue()) == []
    assert file.getvalue().replace("\\", "") == "".join(pieces)


def test_our_own_commands_have_a_line_of_their_own() -> None:
    terminal, ours, file = writer()
    terminal.line("node1::/etc/motd FAILED")
    terminal.write("::error::x")
    ours.command("::error title=synctool::node1: a")
    terminal.line("end")
    assert file.getvalue() == "node1::/etc/motd FAILED\n:\\:error::x\n::error title=synctool::node1: a\nend\n"
