"""Unmanaged files on their way from a worker of xdist to the controller."""

from __future__ import annotations

import execnet
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.model import ABSENT, Deviation, NodeResult, Unknown, Unmanaged, UnmanagedFiles
from pytest_synctool.plugin.node_reports import pack, unpack

from tests_meta.unit.audit.test_compare import states
from tests_meta.unit.helpers import state
from tests_meta.unit.plugin.test_node_reports import suite

_actual = states() | st.just(ABSENT) | st.builds(Unknown, st.sampled_from(["", "Permission denied"]))
_actual |= st.just(state(owner="\udcff", group=None))
_unmanaged = st.builds(
    UnmanagedFiles,
    st.dictionaries(st.binary(), st.builds(Unmanaged, st.sampled_from(Deviation), _actual), max_size=4),
    st.lists(st.sampled_from(["a", "b"])).map(tuple),
    st.booleans(),
)


@given(st.none() | _unmanaged)
def test_what_a_worker_sends_is_what_the_controller_gets(unmanaged: UnmanagedFiles | None) -> None:
    report = pack(suite(), NodeResult(unmanaged=unmanaged), 1, 1)
    sent = execnet.loads(execnet.dumps(report._to_json()))
    node = unpack(type(report)._from_json(sent))
    assert node is not None
    assert node.result.unmanaged == unmanaged
