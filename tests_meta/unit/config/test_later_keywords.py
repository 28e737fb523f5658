"""Configurations as the releases 4.3 to 7.1 of synctool take them, and the keywords that synctool 4 did not have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_synctool.config import load, parse
from pytest_synctool.config.later_keywords import FOREVER, persist_seconds
from pytest_synctool.config.model import Layout
from pytest_synctool.errors import ConfigError

OF_4_3: Final = """
MasterDir MASTER
symlink_mode 0755
ssh_cmd ssh -o ConnectTimeout=10 -q
scp_cmd scp -p
rsync_cmd rsync -a --delete
diff_cmd diff -u
synctool_cmd /opt/synctool/sbin/synctool.py -q
logfile /var/log/synctool.log
num_proc 16
ignore_dotfiles no
ignore_dotdirs yes
ignore_file .gitignore
ignore_files *.swp core
ignore_dir .svn
ignore_dirs CVS RCS
host head1 master all
host cn1 batch rack1 all interface:cn1-ib
host cn2 batch rack1 \\
    interface:cn2-ib
ignore_host cn9 batch rack2 all
ignore_group retired
ignore_group none
on_update /etc/inetd.conf hupdaemon.sh inetd
on_update /etc/cron.d rm -f /etc/cron.d/*.saved ; /etc/init.d/cron reload  # twice
always_run /bin/date
"""
OF_4_5: Final = OF_4_3 + "ignore_group test test2\nNODE cn3 batch all interface:10.0.0.3\nignore_node cn3 cn4\n"
OF_4_6: Final = OF_4_5 + "group wn batch mounts ldap\ngroup bigwn memory wn\nnode cn5 bigwn\nnode spare none\n"
OF_4_7: Final = OF_4_6 + "ignore .git .*.swp tmp[0-9]?\nnode cn6 wn interface:cn6-ib hostname:six.example.org\n"
COLOURS: Final = (
    *("info", "warn", "error", "fail", "sync", "link", "mkdir", "rm", "chown", "chmod", "exec", "upload", "new"),
    *("type", "dryrun", "fixing", "ok"),
)
SHOWN: Final = "terse no\ncolorize yes\ncolorize_full_line no\ncolorize_full_lines no\ncolorize_bright yes\n" + (
    "colorize_bold yes\nfull_path no\n" + "\n".join(f"color_{name} cyan" for name in COLOURS) + "\n"
)
OF_5_0: Final = (
    OF_4_7
    + SHOWN
    + """
overlaydir MASTER/overlay/common
overlaydir $masterdir/overlay/mail
deletedir MASTER/delete
tasksdir $masterdir/tasks
scriptdir MASTER/scripts/
require_extension yes
backup_copies yes
ping_cmd ping -q -c 1 -t 1
pkg_cmd /opt/synctool/sbin/synctool_pkg.py
package_manager apt-get
default_nodeset batch cn1
node cn7 wn ipaddress:10.0.0.7 hostid:/etc/hostid
include local.conf
"""
)
OF_6_0: Final = (
    SHOWN
    + """
default_nodeset wn
master head.example.org
slave cn8 cn9
tempdir /tmp/synctool
group wn batch
node cn8 wn ipaddress:cn8-mgmt hostname:cn8.example.org rsync:no
node cn9 wn hostid:/etc/hostid
ignore_node head cn9
ignore_group test none
ignore .svn .git .*.swp
ignore_dotfiles no
ignore_dotdirs no
require_extension yes
backup_copies yes
syslogging yes
diff_cmd diff -u
ping_cmd ping -q -c 1 -t 1
ssh_cmd ssh -o ConnectTimeout=10 -x -q
scp_cmd scp -o ConnectTimeout=10 -p
rsync_cmd rsync -ar --numeric-ids --delete --delete-excluded -q
synctool_cmd $SYNCTOOL/bin/synctool-client
pkg_cmd $SYNCTOOL/bin/synctool-client-pkg
package_manager yum
num_proc 16
include local.conf
"""
)
OF_7_0: Final = (
    OF_6_0
    + "node cn[10-25] wn\nnode cn[101-200] wn ipaddress:192.168.1.[20]\nslave cn[10-11]\n"
    + ("ssh_control_persist 1h\nsync_times no\nignore_group rack[1-2]\ngroup racks rack[1-2]\nnode n1 racks\n")
)
OF_7_1: Final = OF_7_0 + "manage_master no\n"
RELEASES: Final = {
    **{"4.3": OF_4_3, "4.5": OF_4_5, "4.6": OF_4_6, "4.7": OF_4_7, "5.0": OF_5_0},
    **{"6.0": OF_6_0, "7.0": OF_7_0, "7.1": OF_7_1},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory as releases from 6 on have it: etc/ beside var/."""
    for name in ("etc", "var/overlay/common", "var/overlay/mail", "var/delete", "var/tasks", "var/scripts"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/local.conf").write_text("# nothing of its own\n")
    return tmp_path


@pytest.mark.parametrize("release", RELEASES)
def test_a_configuration_of_a_release(root: Path, release: str) -> None:
    conf = root / "etc" / "synctool.conf"
    conf.write_text(RELEASES[release].replace("MASTER", str(root / "var")))
    cluster = load(conf)
    assert cluster.masterdir == root / "var"
    assert {notice.rule for notice in cluster.notices} <= {"ignored-name", "without-effect"}
    assert sum(notice.rule == "without-effect" for notice in cluster.notices) == (release >= "5")
    assert not [
        word for warning in cluster.warnings for word in ("did you mean 'masterdir'", "unknown") if word in warning
    ]


def test_keywords_with_an_equal_have_its_effect(root: Path) -> None:
    lines = ["backup_copies no", "syslogging off", "colorize 0", "ssh_control_persist 1h30m", "node n"]
    cluster = parse("\n".join(lines), root / "etc/synctool.conf")
    assert (cluster.backup_copies, cluster.syslogging, cluster.colorize, cluster.ssh_persist) == (False,) * 3 + (5400,)
    assert [cluster.persist_seconds(option) for option in (None, 0, 7)] == [5400, 0, 7]
    plain = parse("node n", root / "etc/synctool.conf")
    assert (plain.backup_copies, plain.syslogging, plain.colorize, plain.persist_seconds(None)) == (*(True,) * 3, 60)
    assert cluster.warnings == ()


def test_keywords_without_effect_are_one_warning(root: Path) -> None:
    conf = root / "etc/synctool.conf"
    cluster = parse("prefix /x\nnode n\nmaster m\ncolor_ok red\nslave n\ncolor_rm red\nslave m", conf)
    assert cluster.warnings == (
        f"{conf}:1: prefix, master, slave, color_... have no effect here: remove them unless another program "
        "reads them",
    )
    assert cluster.without_effect["slave"] == "m"
    cluster = parse("node n\nterse yes", conf)
    assert cluster.warnings == (f"{conf}:2: terse has no effect here: remove it unless another program reads it",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), ("1h", 3600), ("1H30M", 5400), ("2w", 999_999), ("yes", FOREVER), ("none", 0), ("no", 0), ("0", 0)]
    + [(text, None) for text in ("", "1x", "h", "-1", "1h ", "maybe")],
)
def test_ssh_control_persist(text: str, seconds: int | None) -> None:
    assert persist_seconds(text) == seconds


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_none(text: str) -> None:
    seconds = persist_seconds(text)
    assert seconds is None or 0 <= seconds <= FOREVER


@pytest.mark.parametrize(
    ("lines", "directories"),
    [
        (["overlaydir $masterdir/overlay/common", "overlaydir overlay/mail"], ("overlay/common", "overlay/mail")),
        (["overlaydir $masterdir/overlay/"], None),
        (["overlaydir $masterdir/overlay/", "layout 7"], None),
    ],
)
def test_directories_of_overlay(root: Path, lines: list[str], directories: tuple[str, ...] | None) -> None:
    cluster = parse("\n".join(("node n", *lines)), root / "etc/synctool.conf")
    assert cluster.directories.get("overlay") == directories
    assert cluster.layout is (Layout.GROUPS if "layout 7" in lines else None)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["overlaydir /srv/o"], "2: 'overlaydir /srv/o': only ROOT/var/overlay and directories in it can be used, "
         "since nodes have the same: move it there, or make a link there"),
        (["overlaydir ../var/overlays"], "2: 'overlaydir ../var/overlays': only ROOT/var/overlay and directories in it "
         "can be used, since nodes have the same: move it there, or make a link there"),
        (["scriptdir scripts/x"], "2: 'scriptdir scripts/x': only ROOT/var/scripts can be used, since nodes have the "
         "same: move it there, or make a link there"),
        (["overlaydir overlay", "overlaydir overlay/mail"], "3: 'overlaydir overlay/mail': this is in overlay, or it "
         "contains it: remove one"),
        (["overlaydir overlay/mail", "layout 6"], "2: 'overlaydir overlay/mail': with 'layout 7', the directories of "
         "ROOT/var/overlay are those of groups: remove this line"),
        (["tasksdir tasks/none"], "2: 'tasksdir': ROOT/var/tasks/none is not a directory: create it, or correct "
         "this line"),
        (["backup_copies perhaps"], "2: 'backup_copies' expects yes or no, not 'perhaps'"),
        (["ssh_control_persist soon"], "2: 'ssh_control_persist' expects a time like 1h30m, yes or none, not 'soon'"),
        (["maste m"], "2: unknown keyword 'maste' (did you mean 'master'?)"),
    ],
    ids=str,
)  # fmt: skip
def test_problems(root: Path, lines: list[str], problem: str) -> None:
    conf = root / "etc/synctool.conf"
    with pytest.raises(ConfigError) as caught:
        parse("\n".join(("node n", *lines)), conf)
    assert str(caught.value).removeprefix(f"{conf}:").replace(str(root), "ROOT") == problem


def test_without_var_beside_etc_there_is_no_default_masterdir(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with pytest.raises(ConfigError, match="no 'masterdir' line"):
        parse("node n", tmp_path / "etc/synctool.conf")
