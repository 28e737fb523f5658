"""Reports are written into no file, and through no link, that somebody else has put there."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests_meta.plugin.test_bad_input import assert_refused
from tests_meta.site import Run, Site

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
NAMES = ("drift.json", "drift.html", "junit.xml", "metrics.prom", "history.sqlite")


@pytest.fixture
def quick(site: Site) -> Site:
    """A site whose node does not answer, at once."""
    site.lines = ["ssh_cmd false"]
    site.put("file._all")
    return site


def audit(site: Site, *arguments: str, **environment: str) -> Run:
    """Run an audit that writes all reports to their default places."""
    return site.pytest(command=command_of(site, *arguments), environment=environment)


def command_of(site: Site, *arguments: str) -> list[str]:
    """Return the command of an audit without the option of the test site for the JUnit file."""
    return [*(word for word in site.command() if not word.startswith("--junitxml=")), *arguments]


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


class TestModes:
    def test_reports_are_as_secret_as_the_masterdir(self, quick: Site) -> None:
        audit(quick, "--synctool-jsonl=lines", "--synctool-summary=summary", "--synctool-codequality=quality")
        written = [*(quick.directory / "reports" / name for name in NAMES)]
        written += [quick.directory / name for name in ("lines", "summary", "quality")]
        assert {path.name: oct(mode(path)) for path in written} == dict.fromkeys((p.name for p in written), "0o600")

    def test_a_file_keeps_the_mode_that_an_administrator_gave_it(self, quick: Site) -> None:
        audit(quick)
        group = os.getgroups()[-1] if os.geteuid() else NOBODY
        for name in NAMES:
            os.chown(quick.directory / "reports" / name, -1, group)
            (quick.directory / "reports" / name).chmod(0o640)
        audit(quick)
        assert {mode(quick.directory / "reports" / name) for name in NAMES} == {0o640}
        assert {(quick.directory / "reports" / name).stat().st_gid for name in NAMES} == {group}


class TestDirectory:
    @needs_root
    @pytest.mark.parametrize("how", ["owner", "writable", "sticky", "link"])
    def test_one_in_which_others_can_write_is_not_used(self, quick: Site, how: str) -> None:
        reports = quick.directory / "reports"
        if how == "link":
            victim = quick.directory / "victim"
            victim.mkdir()
            reports.symlink_to(victim)
            os.chown(reports, NOBODY, NOBODY, follow_symlinks=False)
        else:
            reports.mkdir()
            reports.chmod({"owner": 0o755, "writable": 0o777, "sticky": 0o1777}[how])
            if how == "owner":
                os.chown(reports, NOBODY, NOBODY)
        run = audit(quick)
        assert "WARNING no reports can be written in " in run.output
        assert "Traceback" not in run.output
        assert list(reports.iterdir()) == []
        assert_refused(audit(quick, "--synctool-reports=reports"), "--synctool-reports: no reports can be written")
        if how in ("owner", "link"):
            assert "--trust-owner=nobody or SYNCTOOL_TRUST=nobody" in run.output
            assert "WARNING no reports" not in audit(quick, SYNCTOOL_TRUST="nobody").output
            assert {path.name for path in reports.iterdir()} >= set(NAMES)


@pytest.mark.parametrize("target", ["fifo", "/dev/zero", "victim"])
def test_what_lies_in_the_place_of_a_report_is_replaced_or_left_alone(quick: Site, target: str) -> None:
    """A pipe, a device or a link takes no time, no memory and no text of a report."""
    reports = quick.directory / "reports"
    reports.mkdir()
    victim = quick.directory / "victim"
    victim.write_text("unchanged")
    os.mkfifo(quick.directory / "fifo")
    for name in (*NAMES, ".history.sqlite.key", ".history.sqlite.lock", "history.sqlite-wal"):
        if target == "fifo":
            os.mkfifo(reports / name)
        else:
            (reports / name).symlink_to(quick.directory / target)
    run = audit(quick)
    assert "Traceback" not in run.output
    assert "WARNING " in run.output
    assert victim.read_text() == "unchanged"
    for name in ("drift.json", "drift.html", "junit.xml", "metrics.prom"):
        assert stat.S_ISREG((reports / name).lstat().st_mode), name


class TestNamed:
    """Files that the user names may be pipes, descriptors, or files of others."""

    OPTIONS = ("--synctool-jsonl", "--synctool-summary", "--synctool-codequality", "--junitxml")

    @pytest.mark.parametrize("option", OPTIONS)
    def test_standard_output(self, quick: Site, option: str) -> None:
        for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            run = audit(quick, f"{option}={name}")
            assert "could not be written" not in run.output
            assert "node1" in run.output
        assert Path("/dev/stdout").is_symlink()

    @pytest.mark.parametrize("option", OPTIONS)
    def test_standard_output_that_is_a_file(self, quick: Site, option: str) -> None:
        """The name of a descriptor is never replaced."""
        command = command_of(quick, f"{option}=/dev/stdout")
        with (quick.directory / "output").open("wb") as output:
            subprocess.run(command, stdout=output, stderr=output, cwd=quick.directory, timeout=60, check=False)
        assert Path("/dev/stdout").is_symlink()
        assert b"node1" in (quick.directory / "output").read_bytes()

    @pytest.mark.parametrize("option", OPTIONS)
    def test_a_pipe(self, quick: Site, option: str) -> None:
        fifo = quick.directory / "fifo"
        os.mkfifo(fifo)
        texts: list[str] = []
        reader = threading.Thread(target=lambda: texts.append(fifo.read_text()), daemon=True)
        reader.start()
        audit(quick, f"{option}={fifo}")
        reader.join(20)
        assert "node1" in texts[0]
        assert stat.S_ISFIFO(fifo.stat().st_mode)

    @needs_root
    @pytest.mark.parametrize("option", OPTIONS)
    def test_a_link_of_another_user_is_not_followed(self, quick: Site, option: str) -> None:
        victim = quick.directory / "victim"
        victim.write_text("unchanged")
        link = quick.directory / "link"
        link.symlink_to(victim)
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
        run = audit(quick, f"{option}=link")
        assert "symbolic link of another user" in run.output
        assert "Traceback" not in run.output
        assert victim.read_text() == "unchanged"

    @needs_root
    def test_the_summary_of_a_job_of_another_user(self, quick: Site) -> None:
        """On GitHub the file and its directory belong to the runner, number 1001."""
        directory = quick.directory / "runner"
        directory.mkdir()
        summary = directory / "step_summary"
        summary.write_text("before\n")
        for path in (directory, summary):
            os.chown(path, 1001, 1001)
        audit(quick, f"--synctool-summary={summary}")
        assert summary.read_text().startswith("before\n")
        assert "node1" in summary.read_text()
        assert summary.stat().st_uid == 1001

    def test_a_baseline_has_a_largest_size(self, quick: Site) -> None:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

        command = quick.command("--synctool-baseline=/dev/zero")
        done = subprocess.run(
            command, cwd=quick.directory, preexec_fn=limit, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 4
        assert "cannot read /dev/zero: more than 128 MiB" in done.stderr
