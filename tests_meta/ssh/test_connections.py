"""Nodes that are not reached over ssh, and the plugin installed elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_synctool.audit import owed_commands
from pytest_synctool.connection.processes import Processes
from pytest_synctool.connection.ssh import SshSettings
from pytest_synctool.connection.transport import connect
from pytest_synctool.model import Node
from pytest_synctool.repair.mirror import Mirror
from pytest_synctool.repair.mirror_contents import Extract

from tests_meta.site import Site
from tests_meta.terminal import run as run_command

CHECKOUT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can chroot and change owners")


def busybox_root(directory: Path) -> Path:
    """A root directory with nothing but a static BusyBox in it."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    for name in ("bin", "etc", "tmp"):
        (directory / name).mkdir(parents=True)
    shutil.copy(busybox, directory / "bin" / "busybox")
    subprocess.run(["chroot", str(directory), "/bin/busybox", "--install", "-s", "/bin"], check=True)
    (directory / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (directory / "etc" / "group").write_text("root:x:0:\n")
    return directory


@needs_root
def test_chroot(site: Site) -> None:
    """`connection:chroot:///path`: the whole job in a directory that has neither Python nor rsync nor GNU tools."""
    root = busybox_root(site.directory / "image root")
    site.nodes = {"image1": f"batch connection:chroot://{site.directory}/image-root"}
    root.rename(site.directory / "image-root")
    root = site.directory / "image-root"
    site.put("file._batch", "content\n")
    site.put("it's odd\\._all", "x\n")
    site.link("link._all", "/etc/passwd")
    # There is neither /proc, by which BusyBox starts itself, nor /dev/null, so nothing runs in the background.
    site.script("file.post", "busybox seq 20000 && echo done >/tmp/post\n")
    site.delete("evil._all")
    (root / site.top[1:]).mkdir(parents=True)
    (root / site.top[1:] / "evil").touch()
    audit = site.pytest()
    assert audit.status == 1
    assert audit.word("image1", f"{site.top}/evil", "delete") == "failure"
    fixed = site.pytest("--fix")
    assert fixed.status == 0, fixed.output
    assert (root / site.top[1:] / "file").read_text() == "content\n"
    assert (root / "tmp" / "post").read_text() == "done\n"
    assert not (root / site.top[1:] / "evil").exists()
    assert site.pytest("-n2").status == 0
    copied = run_command(site.directory, "dcp", "-d", "/tmp", "synctool.conf")
    assert (copied.status, (root / "tmp/synctool.conf").exists()) == (0, True), copied
    assert list(root.glob("dev/*")) == []


@needs_root
def test_chroot_mirror_does_not_leave_the_chroot(site: Site) -> None:
    """A link in the image that points out of it is not followed."""
    root = busybox_root(site.directory / "image")
    outside = site.directory / "outside"
    outside.mkdir()
    mirror = root / site.masterdir.relative_to("/")
    mirror.parent.mkdir(parents=True)
    mirror.symlink_to(outside)
    site.nodes = {"image1": f"batch connection:chroot://{root}"}
    site.put("file._batch")
    run = site.pytest("--fix")
    assert run.status == 1
    assert "leads out of" in run.message("image1", f"{site.top}/file")
    assert list(outside.iterdir()) == []
    mirror.unlink()
    mirror.symlink_to(mirror.name)  # to itself
    run = site.pytest("--fix")
    assert run.status == 1
    assert "Too many levels of symbolic links" in run.message("image1", f"{site.top}/file")


def test_a_chroot_that_is_not_there_is_unreachable(site: Site) -> None:
    """Never absent files, always an error."""
    site.nodes = {"image1": "batch connection:chroot:///nonexistent"}
    site.put("file._batch")
    site.delete("evil._all")
    run = site.pytest()
    assert run.status == 1
    assert run.count("error") == 1
    assert run.count("passed") == run.count("failure") == 0
    assert "image1" in run.output


@pytest.mark.usefixtures("sole_repair")
def test_local(site: Site) -> None:
    """`connection:local://`: this machine is the node, the masterdir is read where it is, and nothing is mirrored.

    What the controller makes gets there all the same.
    """
    target = site.directory / "target"
    target.mkdir(mode=0o755)
    site.top = str(target)
    site.put("file._all", "content\n")
    site.put("file2._template._all", "{{ node.name }}\n")
    site.put("file3._all", "plain secret\n", 0o600)
    rule = f"- {{path: {target}/file3, decrypt: /bin/sed s/plain/very/ %s}}\n"
    (site.masterdir / "attributes.yaml").write_text(rule)
    # Were anything above the target repaired by mistake, this machine would pay for it: so there is nothing to repair.
    for place in Path(str(target)[1:]).parents:
        overlay = site.masterdir / "overlay" / place
        overlay.chmod((Path("/") / place).stat().st_mode & 0o7777)
    site.nodes = {"here": "batch connection:local://"}
    site.lines.append("rsync_cmd /nonexistent/rsync")
    audit = site.pytest("-k", "target")
    assert audit.word("here", f"{target}/file") == "failure"
    assert not (target / "file").exists()
    assert site.pytest("--fix", "-k", "target and file").status == 0
    assert [(target / name).read_text() for name in ("file", "file2", "file3")] == [
        *("content\n", "here\n", "very secret\n"),
    ]
    made = owed_commands.made_files(os.fsencode(site.masterdir))
    assert not os.path.lexists(made)
    assert site.pytest("-k", "target").status == 0


def test_unknown_connection(site: Site) -> None:
    """A kind of connection that testinfra does not have is an error of its node."""
    site.nodes = {"x": "batch connection:carrier-pigeon://x"}
    site.put("file._all")
    run = site.pytest()
    assert run.status == 1
    assert "Unknown connection type 'carrier-pigeon'" in run.output


def test_container_connections_carry_the_script_as_an_argument(site: Site) -> None:
    """docker, podman and kubectl by stand-ins that run what they are given here: in parts, odd names included."""
    tools = site.directory / "tools"
    tools.mkdir()
    calls = site.directory / "calls"
    for tool in ("docker", "podman", "kubectl"):
        # what comes behind the container's name, and kubectl's --, is the command
        (tools / tool).write_text(
            f'#!/bin/sh\necho {tool} >>{calls}\n[ "$1" = exec ] || exit 125\nshift 2\n'
            '[ "$1" != -- ] || shift\nexec "$@"\n'
        )
        (tools / tool).chmod(0o755)
    for number in range(300):
        site.put(f"{'file' * 20}{number}._all")
        site.put(f"{'файл' * 20}{number}._all")  # longer as an argument
    site.put(b"odd '\xff\\ name._all")
    site.delete("evil._all")
    site.nodes = {
        "web1": "a connection:docker://c1",
        "web2": "a connection:podman://c2",
        "web3": "a connection:kubectl://c3",
    }
    run = site.pytest(environment={"PATH": f"{tools}:{os.environ['PATH']}"})
    assert run.status == 1
    for node in site.nodes:
        assert run.word(node, f"{site.top}/{'file' * 20}7") == "failure"
        assert run.word(node, f"{site.top}/{'файл' * 20}7") == "failure"
        assert run.word(node, f"{site.top}/odd '%FF\\ name") == "failure"
        assert run.word(node, f"{site.top}/evil", "delete") == "passed"
    assert run.count("error") == 0
    assert calls.read_text().split().count("docker") > 1


@needs_root
@pytest.mark.parametrize(
    ("connection", "call"),
    [
        ("docker://c1", "docker exec -i c1 /bin/sh -c"),
        ("docker://web@c1", "docker exec -i -u web c1 /bin/sh -c"),
        ("podman://c1", "podman exec -i c1 /bin/sh -c"),
        (
            "kubectl://p1?namespace=ns&container=web",
            "kubectl --namespace=ns --container=web exec -i p1 -- /bin/sh -c",
        ),
    ],
)
def test_files_reach_a_container_through_its_own_exec(site: Site, connection: str, call: str) -> None:
    """rsync speaks through the container's exec: a stand-in runs the other end where the masterdir is hidden.

    What it prints on standard error is lost, as that of a real exec sometimes is.
    """
    tool = site.directory / "tools" / connection.partition(":")[0]
    tool.parent.mkdir()
    inside = (
        'mount -t tmpfs none "$1"; out=$2; masterdir=$1; shift 2; "$@" 2>/dev/null; s=$?; '
        'cp -a "$masterdir/." "$out"; exit $s'
    )
    tool.write_text(
        "#!/bin/sh\n"
        f'echo "{tool.name} $*" >{site.directory}/call\n'
        'while [ "$1" != /bin/sh ]; do shift; done\n'
        f"exec unshare --mount --propagation private sh -c '{inside}' sh {site.masterdir} {site.directory}/out \"$@\"\n"
    )
    tool.chmod(0o755)
    (site.directory / "out").mkdir()
    path = site.put("it's a file._all", "content\n").relative_to(site.masterdir)
    node = Node("c1", ("c1", "all"), "c1", connection=connection)
    environment = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environment["PATH"])
        mirror = Mirror.of(site.masterdir, ["rsync"], 60)
        assert mirror.bring(connect(node, SshSettings(), Processes()), Extract((os.fsencode(path),), {})) == ()
    assert (site.directory / "out" / path).read_text() == "content\n"
    assert (site.directory / "call").read_text().startswith(call)


@needs_root
def test_a_cycle_in_a_container_that_has_no_rsync_and_loses_standard_error(site: Site) -> None:
    """No decision waits for a word there. The contents of all files that differ come by one exec.

    The script of the repair is too long for one.
    """
    root = busybox_root(site.directory / "image")
    for name in ("proc", "dev"):
        (root / name).mkdir()
    (root / "dev/null").touch()
    tools, calls = site.directory / "tools", site.directory / "calls"
    tools.mkdir()
    mounts = "mount -t proc proc proc && mount --bind /dev/null dev/null"
    inside = f'cd "$1" && shift && {mounts} && exec chroot . "$@" 2>/dev/null'
    (tools / "podman").write_text(
        f'#!/bin/sh\ncase "$*" in */pytest-synctool/script.*) echo piece ;; *) echo call ;; esac >>{calls}\n'
        'while [ "$1" != /bin/sh ]; do shift; done\n'
        f"exec unshare --mount --propagation private sh -c '{inside}' sh {root} \"$@\"\n"
    )
    (tools / "podman").chmod(0o755)
    site.nodes = {"web1": "a connection:podman://c1"}
    (root / site.top[1:]).mkdir(parents=True)
    for number in range(32):
        site.put(f"file{number}._all", "new\n")
        (root / site.top[1:] / f"file{number}").write_text("old\n")
        site.put(f"{'файл' * 20}{number}._all", "new\n")
        site.script(f"{'файл' * 20}{number}.post", f"echo {number} >>/tmp/posts\n")
    site.put("secret._all", "new\n", 0o600)
    site.script("file3.post", "echo ran >/tmp/post\n")
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    audit = site.pytest(environment=environment)
    assert (audit.status, audit.count("error")) == (1, 0), audit.output
    assert "-old" in audit.message("web1", f"{site.top}/file31")
    assert len(calls.read_text().split()) == 2
    fixed = site.pytest("--fix", environment=environment)
    assert fixed.status == 0, fixed.output
    assert (root / "tmp/post").read_text() == "ran\n"
    assert sorted((root / "tmp/posts").read_text().split()) == sorted(str(number) for number in range(32))
    assert not [*(root / "var/lib/pytest-synctool").glob("script.*")]
    assert calls.read_text().split().count("piece") > 2
    assert site.pytest(environment=environment).status == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environment["PATH"])
        ran = run_command(site.directory, "dsh", "-a", "echo out; exit 3")
        assert (ran.status, ran.out) == (3, b"web1:\n    out\n")
        (site.directory / "copied").write_text("copied\n")
        copied = run_command(site.directory, "dcp", "-a", "-d", "/tmp", "copied")
        assert copied.status == 0, copied
    assert (root / "tmp/copied").read_text() == "copied\n"


def test_installed_elsewhere(site: Site) -> None:
    """`pip install .`, then `pytest --pyargs synctool_checks` in another directory does the same job."""
    library = site.directory / "library"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(library), str(CHECKOUT)], check=True, stdout=subprocess.DEVNULL)
    site.put("file._all")
    run = site.pytest("--collect-only", "-q", environment={"PYTHONPATH": str(library)})
    assert f"synctool_checks/test_overlay.py::node1::{site.top}/file" in run.output
    where = "import pytest_synctool, synctool_checks; print(pytest_synctool.__file__, synctool_checks.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(library)}
    found = subprocess.run(
        [sys.executable, "-c", where], env=environment, cwd=site.directory, capture_output=True, text=True, check=True
    )
    assert found.stdout.count(str(library)) == 2
    for shared in ("man/man1/dsh.1", "bash-completion/completions/dsh", "zsh/site-functions/_dsh"):
        assert (library / "share" / shared).is_file()
    assert run.status == 0


def test_plain_pytest_in_the_checkout(site: Site) -> None:
    """`pytest` in the checkout runs the suite, with the same node ids."""
    site.put("file._all")
    conf = site.configure()
    arguments = ["--collect-only", "-q", f"--synctool-conf={conf}", f"--junitxml={site.directory / 'junit.xml'}"]
    run = site.pytest(command=["sh", "-c", f'cd "{CHECKOUT}" && exec "$0" -m pytest "$@"', sys.executable, *arguments])
    assert f"synctool_checks/test_overlay.py::node1::{site.top}/file" in run.output
