"""What docs/compatibility.md calls public stays: a change of these tests is a change for users."""

from __future__ import annotations

import inspect
import tomllib
from importlib import resources
from pathlib import Path

from pytest_synctool import checks
from pytest_synctool.plugin.options import OPTIONS

ROOT = Path(__file__).parents[3]


def test_names_for_suites_of_your_own() -> None:
    assert checks.__all__ == [
        "ABSENT",
        "Absent",
        "Change",
        "Entry",
        "FileState",
        "Kind",
        "compare",
        "compare_absent",
        "compare_owed",
    ]


def test_signatures_for_suites_of_your_own() -> None:
    functions = (checks.compare, checks.compare_absent, checks.compare_owed)
    assert [list(inspect.signature(function).parameters) for function in functions] == [
        ["expected", "actual"],
        ["actual"],
        ["actual"],
    ]
    assert list(inspect.signature(checks.Change).parameters) == ["what", "expected", "found"]
    assert [kind.name for kind in checks.Kind] == ["FILE", "DIRECTORY", "LINK", "OTHER"]
    fields = "kind mode size uid gid owner group md5 target touched capabilities acl label"
    assert list(inspect.signature(checks.FileState).parameters) == fields.split()


def test_options() -> None:
    assert [option.name for option in OPTIONS] == [
        *(
            "--synctool-conf",
            "--trust-owner",
            "--fix",
            "--nodename",
            "--batch",
            "--serial",
            "--max-fail-nodes",
            "--no-syslog",
        ),
        *("--no-saved", "--saved-dir", "--restore", "--skip-rsync", "--tasks", "--no-waivers"),
        *("--trust-ctime", "--no-cache", "--diff"),
        *("--unmanaged", "--unmanaged-fail", "--explain"),
        *("--connect-timeout", "--ssh-persist", "--node-timeout", "--trigger-timeout", "--granularity"),
        *("--synctool-lint", "--synctool-reports", "--synctool-jsonl", "--synctool-summary"),
        *(
            "--synctool-codequality",
            "--synctool-baseline",
            "--notify",
            "--history-keep",
            "--metrics-nodes",
            "--runs-keep",
            "--runs-days",
        ),
    ]


def test_commands_and_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(project["scripts"]) == [
        *(
            "dcp",
            "dsh",
            "dsh-ping",
            "synctool",
            "synctool-aggr",
            "synctool-config",
            "synctool-history",
            "synctool-init",
        ),
        *("synctool-scp", "synctool-ssh"),
    ]
    assert project["entry-points"]["pytest11"] == {"pytest_synctool.plugin": "pytest_synctool.plugin"}


def test_schemas_and_types_are_in_the_package() -> None:
    package = resources.files("pytest_synctool")
    assert sorted(file.name for file in (package / "schema").iterdir()) == [
        *("attributes.json", "drift.json", "synctool.json", "waivers.json"),
    ]
    assert (package / "py.typed").is_file()
