"""The choice of runs whose reports are kept, and the reports that count as those of the whole cluster."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.common.trust import Trust
from pytest_synctool.report.kept_runs import Keeping, KeptRun, is_whole, kept_runs, prune, superfluous

NOW = datetime(2026, 11, 29, 12).astimezone()
WHOLE = '{\n "format": "x",\n "version": 1,\n "run": {"id": "a", "whole": true},\n "results": []\n}\n'
PART = WHOLE.replace("true", "false")


def document(reports: Path, number: int, days: int, text: str = WHOLE) -> Path:
    """Write the drift.json of a kept run that began so many days ago; return its directory."""
    began = NOW - timedelta(days=days)
    directory = reports / "runs" / f"{began:%Y%m%dT%H%M%S}-{number:06x}"
    directory.mkdir(parents=True)
    (directory / "drift.json").write_text(text)
    return directory


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 200))), st.integers(0, 5), st.integers(0, 100))
def test_the_last_whole_run_always_stays(runs: list[tuple[bool, int]], number: int, days: int) -> None:
    kept = [KeptRun(Path(f"{n}"), NOW - timedelta(days=age), whole) for n, (whole, age) in enumerate(sorted(runs))]
    gone = list(superfluous(kept, Keeping(number, days), NOW))
    left = [run for run in kept if run not in gone]
    for whole in (True, False):
        of_kind = [run for run in kept if run.is_whole is whole]
        stays = [run for run in left if run.is_whole is whole]
        if whole and of_kind:
            assert of_kind[0] in stays
        assert len(stays) <= max(number, 1 if whole else 0)
        young = [run for run in of_kind[:number] if not days or run.began >= NOW - timedelta(days=days)]
        assert set(young) <= set(stays)


def test_old_runs_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    old, young = document(tmp_path, 1, 40), document(tmp_path, 2, 2)
    older_part, part = document(tmp_path, 3, 50, PART), document(tmp_path, 4, 1, PART)
    others = [tmp_path / "runs" / name for name in ("mine", "20261101T010101-00000", "20269901T010101-000000")]
    for path in others:
        path.mkdir()
    link = tmp_path / "runs" / "20200101T010101-000009"
    link.symlink_to(others[0])
    prune(tmp_path, Keeping(30, 30), NOW, Trust.of_caller())
    assert [path.exists() for path in (old, young, older_part, part, link, *others)] == [
        *(False, True, False, True, True),
        *(True, True, True),
    ]
    assert [run.path for run in kept_runs(tmp_path, Trust.of_caller())] == [part, young]
    prune(tmp_path / "nowhere", Keeping(1, 1), NOW, Trust.of_caller())


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        *((WHOLE, True), (PART, False), ("", False), ("[]", False), ('{"run": [true]}', False), ('{"run": {', False)),
        *((WHOLE.replace('"whole": true', '"x": 1'), False), ('{"run": {"whole": "yes"}}', False), ("\xff", False)),
    ],
)
def test_the_head_of_a_document(tmp_path: Path, text: str, whole: bool) -> None:
    (tmp_path / "drift.json").write_text(text, encoding="latin-1")
    assert is_whole(tmp_path, Trust.of_caller()) is whole


def test_what_is_no_regular_file_is_no_report(tmp_path: Path) -> None:
    assert not is_whole(tmp_path, Trust.of_caller())
    os.mkfifo(tmp_path / "drift.json")
    assert not is_whole(tmp_path, Trust.of_caller())
