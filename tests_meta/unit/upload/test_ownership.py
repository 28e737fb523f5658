"""Owner and mode of what is written on the master, and the rules that say them: nothing is lost, or it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import Change, FileState, Kind
from pytest_synctool.repository.attributes import AttributeRules, parse
from pytest_synctool.repository.attributes.appender import Addition, extended, text_of
from pytest_synctool.repository.attributes.writer import is_utf8
from pytest_synctool.repository.source import Source, Tree
from pytest_synctool.upload.ownership import Writer, needed, unkept

from tests_meta.unit.helpers import file_names, state

ROOT = Writer(0, 0, frozenset({0}))
USER = Writer(4321, 4321, frozenset({4321, 1}))
GROUPS = ("node1", "batch", "all")
PATH = Path("attributes.yaml")


def source(found: FileState, name: bytes = b"f") -> Source:
    """What is to be overlay/f._node1."""
    return Source(Tree.OVERLAY, b"/master", b"overlay/" + name + b"._node1", b"/" + name, found)


def rules(text: str) -> AttributeRules:
    """The rules of a text."""
    return parse(text, PATH, GROUPS)


class TestWriter:
    """Who can give what to whom."""

    @pytest.mark.parametrize(
        ("writer", "found", "owners"),
        [
            (ROOT, state(owner="daemon", uid=99, group="daemon", gid=99), (1, 1)),
            (ROOT, state(owner="no-such-user", uid=99, group="no-such-group", gid=98), (99, 98)),
            (ROOT, state(owner=None, uid=99, group=None, gid=98), (99, 98)),
            (USER, state(), (4321, 4321)),
            (USER, state(group="daemon", gid=99), (4321, 1)),
        ],
    )
    def test_owners(self, writer: Writer, found: FileState, owners: tuple[int, int]) -> None:
        """By name, where it is known here, else by number."""
        assert writer.owners(found) == owners

    def test_what_would_be_lost(self) -> None:
        none = rules("")
        assert unkept(source(state()), none, GROUPS, ROOT) == []
        assert unkept(source(state(owner=None, uid=99)), none, GROUPS, ROOT) == []
        assert unkept(source(state(owner="no-such-user", uid=4321)), none, GROUPS, ROOT) == []
        # The number means somebody else here.
        assert unkept(source(state(owner="no-such-user", uid=1)), none, GROUPS, ROOT) == [
            Change("owner", "daemon", "no-such-user")
        ]
        assert [change.what for change in unkept(source(state()), none, GROUPS, USER)] == ["owner", "group"]


class TestNeeded:
    """What has to be said in attributes.yaml."""

    @pytest.mark.parametrize(
        ("text", "found", "said"),
        [
            ("", state(), "owner root, group root, mode 0644"),
            ("- {path: /**, owner: root, group: root}", state(), "mode 0644"),
            ("- {path: /f, owner: root, group: root, mode: 0644}", state(), ""),
            ("- {path: /f, owner: root, group: root, mode: 0600}", state(), "mode 0644"),
            ("- {path: /f, owner: 0, group: 0, mode: 0644}", state(), ""),
            ("- {path: /**, owner: bin, group: root, groups: batch}", state(), "owner root, mode 0644"),
            ("- {path: /**, owner: root, group: root}", state(Kind.LINK), ""),
            ("", state(Kind.LINK), "owner root, group root"),
            ("", state(Kind.DIRECTORY, mode=0o1777), "owner root, group root, mode 1777"),
            ("", state(owner=None, uid=77, group="no-such-group", gid=78), "owner 77, group no-such-group, mode 0644"),
        ],
    )
    @pytest.mark.parametrize("writer", [ROOT, USER])
    def test_no_more_than_the_others_leave_open(self, text: str, found: FileState, said: str, writer: Writer) -> None:
        addition = needed(source(found), rules(text), GROUPS, writer)
        assert ", ".join(f"{a} {word}" for a, word in (addition.said if addition else ())) == said

    @given(
        text=st.lists(
            st.sampled_from(
                [
                    "- {path: /**, owner: bin, mode: 0600}",
                    "- {path: /f, group: daemon}",
                    "# a comment",
                    "- path: /f\n  groups: [batch]\n  mode: 0400  # less\n",
                    "- {source: overlay/f._node1, owner: daemon}",
                ]
            ),
            max_size=4,
        ),
        owner=st.sampled_from(["root", "daemon", "no-such-user"]),
        mode=st.integers(0, 0o7777),
        writer=st.sampled_from([ROOT, USER]),
    )
    def test_then_nothing_is_lost(self, text: list[str], owner: str, mode: int, writer: Writer) -> None:
        """And the file begins as it did."""
        before = "\n".join(text)
        one = source(state(owner=owner, uid=1000, mode=mode))
        addition = needed(one, rules(before), GROUPS, writer)
        assume(addition is not None)
        assert addition is not None
        after = extended(before.encode(), PATH, GROUPS, [addition]).decode()
        assert after.startswith(before)
        assert unkept(one, rules(after), GROUPS, writer) == []
        assert needed(one, rules(after), GROUPS, writer) is None


class TestAppending:
    """attributes.yaml is read as before, and as said behind that."""

    ADDITION = Addition(b"overlay/f._node1", (("mode", "0600"),))
    TEXT = "- source: overlay/f._node1\n  mode: '0600'\n"

    @pytest.mark.parametrize(
        "before",
        [
            "",
            "# nothing but a comment",
            "- path: /f\n  mode: 0644\n",
            "- path: /f\n  mode: 0644",
            "- path: /f\n  validate: |\n    visudo -cf %s\n\n# the end\n\n",
            "---\n- path: &names [/f, /g]\n  mode: 0644\n- {path: *names, owner: root}\n",
            "\ufeff- {path: /f, mode: 0644}\n",
            "- path: /f\r\n  mode: 0644\r\n",
        ],
    )
    def test_behind_what_is_there(self, before: str) -> None:
        after = extended(before.encode(), PATH, GROUPS, [self.ADDITION]).decode()
        assert after.startswith(before)
        assert after.removeprefix(before).lstrip("\n") == self.TEXT
        assert len(rules(after.removeprefix("\ufeff")).rules) == len(rules(before.removeprefix("\ufeff")).rules) + 1

    @pytest.mark.parametrize(
        "before",
        [
            "[{path: /f, mode: 0644}]\n",
            "- path: /f\n  mode: 0644\n...\n",
            "  - path: /f\n    mode: 0644\n",
            "- {path: /f, mode: 0644}\n...\n# done\n",
        ],
    )
    def test_where_nothing_can_be_behind(self, before: str) -> None:
        with pytest.raises(ConfigError) as error:
            extended(before.encode(), PATH, GROUPS, [self.ADDITION])
        assert str(error.value).endswith(f"add these rules by hand:\n{self.TEXT.rstrip()}")

    @pytest.mark.parametrize("before", [b"- mode: 9\n", b"\xff"])
    def test_what_is_wrong_before(self, before: bytes) -> None:
        with pytest.raises(ConfigError, match=r"not a text file|mode"):
            extended(before, PATH, GROUPS, [self.ADDITION])

    def test_one_rule_for_all_of_which_the_same_is_said(self) -> None:
        others = [Addition(b"overlay/a._all", (("mode", "0600"),)), Addition(b"overlay/b._all", (("owner", "bin"),))]
        assert text_of([self.ADDITION, *others]) == (
            "- source:\n  - overlay/f._node1\n  - overlay/a._all\n  mode: '0600'\n"
            "- source: overlay/b._all\n  owner: bin\n"
        )

    @given(name=file_names)
    def test_any_name(self, name: bytes) -> None:
        """It is said of this one, and of no other; or refused."""
        one = source(state(mode=0o600), name)
        addition = needed(one, rules(""), GROUPS, ROOT)
        assert addition is not None
        if not is_utf8(name):
            with pytest.raises(ConfigError, match="it is not UTF-8"):
                text_of([addition])
            return
        text = text_of([addition])
        assert unkept(one, rules(text), GROUPS, USER) == []
        other = source(state(mode=0o600), name + b"x")
        assert rules(text).decide(other, GROUPS) is None
