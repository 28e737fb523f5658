"""The search for synctool.conf and the reading of it, whatever it contains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_synctool import config as configuration
from pytest_synctool.config import Config, find, load, parse
from pytest_synctool.errors import ConfigError

from tests_meta.unit.helpers import IS_ROOT, NOBODY

SOUND = "masterdir master\nnode node1\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The path of a configuration beside an empty masterdir. The tests write the file."""
    (tmp_path / "master").mkdir()
    return tmp_path / "synctool.conf"


class TestFind:
    """The order of places: the option, the ini key, $SYNCTOOL_CONF, ./synctool.conf, the default directory."""

    @pytest.fixture(autouse=True)
    def places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Create a file in every place. The tests use `here` as the current directory."""
        monkeypatch.setattr(configuration, "DEFAULT_DIRECTORY", tmp_path / "default")
        (tmp_path / "here").mkdir()
        (tmp_path / "default").mkdir()
        for name in ("here/option.conf", "ini.conf", "here/env.conf", "here/synctool.conf", "default/synctool.conf"):
            (tmp_path / name).touch()

    def test_the_order(self, tmp_path: Path) -> None:
        here = tmp_path / "here"
        env = {"SYNCTOOL_CONF": "env.conf"}
        ini = tmp_path / "ini.conf"
        assert find("option.conf", ini, env, here) == here / "option.conf"
        assert find(None, ini, env, here) == ini
        assert find(None, None, env, here) == here / "env.conf"
        assert find(None, None, {}, here) == here / "synctool.conf"
        assert find(None, None, {"SYNCTOOL_CONF": ""}, here) == here / "synctool.conf"
        (here / "synctool.conf").unlink()
        assert find(None, None, {}, here) == tmp_path / "default/synctool.conf"
        assert find(str(ini), None, {}, here) == ini

    def test_a_named_file_must_exist(self, tmp_path: Path) -> None:
        """The file of another cluster as a fallback would be worse than an error."""
        here = tmp_path / "here"
        gone = here / "gone.conf"
        sources: dict[str, tuple[str | None, Path | None, dict[str, str]]] = {
            "--synctool-conf": ("gone.conf", tmp_path / "ini.conf", {}),
            "synctool_conf in the ini file": (None, gone, {}),
            "$SYNCTOOL_CONF": (None, None, {"SYNCTOOL_CONF": "gone.conf"}),
        }
        for origin, (option, ini, env) in sources.items():
            with pytest.raises(ConfigError) as caught:
                find(option, ini, env, here)
            assert str(caught.value) == f"{gone}: no such file (named by {origin})"

    @pytest.mark.parametrize("default_first", [False, True])
    def test_the_error_lists_all_places_in_their_order(self, tmp_path: Path, default_first: bool) -> None:
        (tmp_path / "default/synctool.conf").unlink()
        with pytest.raises(ConfigError) as caught:
            find(None, None, {}, tmp_path, default_first=default_first)
        directories = [tmp_path, tmp_path / "default"]
        files = [f"{each / 'synctool.conf'} (no such file)" for each in directories]
        places = [
            "--synctool-conf (not given)",
            "synctool_conf in the ini file (not set)",
            "$SYNCTOOL_CONF (not set)",
            *(reversed(files) if default_first else files),
        ]
        assert f"Searched: {', '.join(places)}, and no synctool.yaml in these" in str(caught.value)

    @pytest.mark.parametrize("name", ["x" * 300, "option.conf/below", "loop/x"])
    def test_impossible_file_names_are_errors(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "here/loop").symlink_to("loop")
        with pytest.raises(ConfigError):
            find(name, None, {}, tmp_path / "here")


class TestLoad:
    """Configurations from files on disk."""

    def test_masterdir_is_relative_to_the_file(self, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        conf.write_text(SOUND)
        monkeypatch.chdir("/")
        assert load(conf).masterdir == conf.parent / "master"
        monkeypatch.chdir(conf.parent)
        assert load(Path("synctool.conf")).masterdir == conf.parent / "master"

    def test_masterdir_with_dots_blanks_and_other_scripts(self, conf: Path) -> None:
        wanted = conf.parent / "grüße master"
        wanted.mkdir()
        conf.write_text("masterdir master/../grüße master\nnode node1\n", encoding="utf-8")
        assert load(conf).masterdir == wanted

    def test_an_absolute_masterdir(self, conf: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        conf.write_text(f"masterdir {elsewhere}\nnode node1\n")
        assert load(conf).masterdir == elsewhere

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("missing", "is not a directory"),
            ("synctool.conf", "is not a directory"),
            ("synctool.conf/x", "is not a directory"),
            ("x" * 300, "is not a directory"),
            ("a\0b", "is not a directory"),
        ],
    )
    def test_a_masterdir_that_is_no_directory(self, conf: Path, value: str, reason: str) -> None:
        conf.write_text(f"node node1\nmasterdir {value}\n")
        with pytest.raises(ConfigError, match=":2: masterdir") as caught:
            load(conf)
        assert reason in str(caught.value)

    @pytest.mark.skipif(not IS_ROOT, reason="changes the user, needs root")
    def test_a_masterdir_out_of_reach(self, open_directory: Path) -> None:
        """It is a problem with a line like any other, not a traceback."""
        (open_directory / "locked").mkdir(mode=0o700)
        conf = open_directory / "synctool.conf"
        conf.write_text("node node1\nmasterdir .\n")
        assert load(conf).nodes
        conf.write_text("node node1\nmasterdir locked/master\n")
        os.seteuid(NOBODY)
        try:
            with pytest.raises(ConfigError, match=":2: masterdir"):
                load(conf)
        finally:
            os.seteuid(0)

    def test_a_file_that_cannot_be_read(self, conf: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
            load(conf)
        conf.mkdir()
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            load(conf)

    def test_a_file_that_is_not_text(self, conf: Path) -> None:
        conf.write_bytes(b"masterdir \xff\n")
        with pytest.raises(ConfigError, match=r"not a text file in UTF-8 \(byte 10\)"):
            load(conf)

    def test_a_byte_order_mark_is_no_part_of_the_first_keyword(self, conf: Path) -> None:
        conf.write_text(SOUND, encoding="utf-8-sig")
        assert list(load(conf).nodes) == ["node1"]


_words = st.sampled_from(
    [
        *("node", "group", "ignore_node", "ignore_group", "masterdir", "num_proc", "ignore_dotfiles", "ssh_cmd"),
        *(
            "a",
            "b",
            "c",
            "d",
            "all",
            "none",
            "master",
            "rsync:no",
            "connection:x://y",
            "interface:",
            "#",
            "\\",
            "'",
            "-x",
        ),
    ]
)
_lines = st.lists(st.lists(_words | st.text(max_size=5), max_size=6).map(" ".join), max_size=12).map("\n".join)
_texts = st.one_of(_lines, _lines.map(lambda text: SOUND + text), st.text(max_size=200))


@given(text=_texts)
@example(text="\\\n" * 50)
@example(text=SOUND + "\0\x1c\x85\u2028\ufeff")
def test_any_text_is_a_configuration_or_an_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.getbasetemp() / "any"
    (directory / "master").mkdir(parents=True, exist_ok=True)
    try:
        cluster = parse(text, directory / "synctool.conf")
    except ConfigError:
        return
    assert_is_consistent(cluster)


def assert_is_consistent(cluster: Config) -> None:
    """Check the facts about a Config that all other modules rely on."""
    assert cluster.nodes
    for name, node in cluster.nodes.items():
        assert node.name == name
        assert (node.groups[0], node.groups[-1]) == (name, "all")
        assert len(set(node.groups)) == len(node.groups)
        assert "none" not in node.groups
        for group in node.groups[1:]:
            assert name in cluster.groups[group]
    for group, members in cluster.groups.items():
        assert all(group in cluster.nodes[name].groups for name in members)
        assert group not in cluster.nodes


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"group g{i} g{i + 1}" for i in range(3000)], id="a long chain"),
        pytest.param([f"group g{i} g{i + 1} x{i} g{i + 1}" for i in range(40)], id="many ways to the same group"),
        pytest.param([f"group g{i} " + " ".join(f"g{j}" for j in range(14)) for i in range(14)], id="all in all"),
    ],
)
def test_resolving_groups_of_groups_ends(conf: Path, lines: list[str]) -> None:
    """The test uses a separate process, so an endless loop cannot block the other tests."""
    conf.write_text("\n".join(("masterdir master", "node n g0", *lines)))
    code = (
        "import sys; from pathlib import Path; from pytest_synctool import config, errors\n"
        "try: print(len(config.load(Path(sys.argv[1])).nodes['n'].groups))\n"
        "except errors.ConfigError as error: print('contains itself' in str(error), len(str(error)) < 20000)"
    )
    env = {"PYTHONPATH": str(Path(configuration.__file__).parents[2])}
    argv = [sys.executable, "-c", code, str(conf)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=4, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail("reading the file does not end")
    assert done.returncode == 0, done.stderr[-300:]
    expected = {3000: "3003", 40: "83", 14: "True True"}[len(lines)]
    assert done.stdout.strip() == expected
