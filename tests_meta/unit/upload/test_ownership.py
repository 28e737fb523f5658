"""Owner and mode of uploaded files, and the rules that keep them: an upload loses nothing, or it reports the loss."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pytest_synctool.errors import ConfigError
from pytest_synctool.model import Change, FileState, Kind
from pytest_synctool.repository.attributes import AttributeRules, parse
from pytest_synctool.repository.attributes.appender import Addition, append_rules, rules_text
from pytest_synctool.repository.attributes.writer import is_utf8
from pytest_synctool.repository.source import Source, Tree
from pytest_synctool.upload.masterdir_writer import OwnerIds
from pytest_synctool.upload.ownership import WritingUser, needed, unkept

from tests_meta.unit.helpers import file_names, state

ROOT = WritingUser(0, 0)
USER = WritingUser(4321, 4321)
GROUPS = ("node1", "batch", "all")
PATH = Path("attributes.yaml")


def source(node_state: FileState, name: bytes = b"f") -> Source:
    """Return the future source overlay/f._node1 for a file of a node."""
    return Source(Tree.OVERLAY, b"/master", b"overlay/" + name + b"._node1", b"/" + name, node_state)


def rules(text: str) -> AttributeRules:
    """Parse the rules of a text."""
    return parse(text, PATH, GROUPS)


class TestWritingUser:
    """Owner and mode on the disk of the controller."""

    @given(
        kind=st.sampled_from(Kind),
        mode=st.integers(0, 0o7777),
        uid=st.integers(0, 5000),
        user=st.sampled_from([ROOT, USER]),
    )
    def test_nobody_else_can_write_or_become_somebody(self, kind: Kind, mode: int, uid: int, user: WritingUser) -> None:
        written = user.as_written(state(kind, owner="somebody", uid=uid, group="some", gid=uid, mode=mode))
        assert OwnerIds(written.uid, written.gid) == user.owner
        assert kind is Kind.LINK or not written.mode & 0o7022

    @pytest.mark.parametrize(
        ("node_state", "lost"),
        [
            (state(), []),
            (state(mode=0o640), []),
            (state(mode=0o4755), [Change("mode", "0755", "4755")]),
            (state(mode=0o666), [Change("mode", "0644", "0666")]),
            (state(Kind.DIRECTORY, mode=0o1777), [Change("mode", "0755", "1777")]),
            (state(owner="daemon", uid=1), [Change("owner", "root", "daemon")]),
            (state(Kind.LINK, owner="daemon", uid=1), [Change("owner", "root", "daemon")]),
        ],
    )
    def test_what_needs_a_rule(self, node_state: FileState, lost: list[Change]) -> None:
        assert unkept(source(node_state), rules(""), GROUPS, ROOT) == lost


class TestNeeded:
    """The rule that attributes.yaml needs."""

    @pytest.mark.parametrize(
        ("text", "node_state", "settings"),
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
    @pytest.mark.parametrize("user", [ROOT, USER])
    def test_it_sets_only_the_attributes_that_other_rules_leave_open(
        self, text: str, node_state: FileState, settings: str, user: WritingUser
    ) -> None:
        addition = needed(source(node_state), rules(text), GROUPS, user)
        assert ", ".join(f"{a} {word}" for a, word in (addition.attributes if addition else ())) == settings

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
        user=st.sampled_from([ROOT, USER]),
    )
    def test_with_the_rule_nothing_is_lost(self, text: list[str], owner: str, mode: int, user: WritingUser) -> None:
        """The old text of the file stays as it was."""
        before = "\n".join(text)
        one = source(state(owner=owner, uid=1000, mode=mode))
        addition = needed(one, rules(before), GROUPS, user)
        assume(addition is not None)
        assert addition is not None
        after = append_rules(before.encode(), PATH, GROUPS, [addition]).decode()
        assert after.startswith(before)
        assert unkept(one, rules(after), GROUPS, user) == []
        assert needed(one, rules(after), GROUPS, user) is None


class TestAppending:
    """Rules appended to attributes.yaml. The old rules keep their meaning."""

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
    def test_the_new_rule_follows_the_old_text(self, before: str) -> None:
        after = append_rules(before.encode(), PATH, GROUPS, [self.ADDITION]).decode()
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
    def test_a_file_that_cannot_be_extended_is_refused(self, before: str) -> None:
        with pytest.raises(ConfigError) as error:
            append_rules(before.encode(), PATH, GROUPS, [self.ADDITION])
        assert str(error.value).endswith(f"add these rules by hand:\n{self.TEXT.rstrip()}")

    @pytest.mark.parametrize("before", [b"- mode: 9\n", b"\xff"])
    def test_a_file_with_mistakes_is_refused(self, before: bytes) -> None:
        with pytest.raises(ConfigError, match=r"not a text file|mode"):
            append_rules(before, PATH, GROUPS, [self.ADDITION])

    def test_sources_with_the_same_attributes_share_a_rule(self) -> None:
        others = [Addition(b"overlay/a._all", (("mode", "0600"),)), Addition(b"overlay/b._all", (("owner", "bin"),))]
        assert rules_text([self.ADDITION, *others]) == (
            "- source:\n  - overlay/f._node1\n  - overlay/a._all\n  mode: '0600'\n"
            "- source: overlay/b._all\n  owner: bin\n"
        )

    @given(name=file_names)
    def test_a_rule_for_any_name_covers_only_that_name(self, name: bytes) -> None:
        """Names that are not UTF-8 are refused."""
        one = source(state(mode=0o600), name)
        addition = needed(one, rules(""), GROUPS, ROOT)
        assert addition is not None
        if not is_utf8(name):
            with pytest.raises(ConfigError, match="it is not UTF-8"):
                rules_text([addition])
            return
        text = rules_text([addition])
        assert unkept(one, rules(text), GROUPS, USER) == []
        other = source(state(mode=0o600), name + b"x")
        assert rules(text).decide(other, GROUPS) is None
