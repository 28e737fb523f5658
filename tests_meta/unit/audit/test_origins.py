"""Which version of a path is the masterdir's, for which node."""

from __future__ import annotations

from pytest_synctool.audit.origins import origins
from pytest_synctool.audit.versions import in_words, versions
from pytest_synctool.errors import RepositoryError
from pytest_synctool.model import ABSENT, Actual, FileState, Kind, Unknown
from pytest_synctool.repository.attributes import Attributes
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.source import Made, Source, Tree

from tests_meta.unit.helpers import FixedSource, state

HERE = state(mode=0o644)
DOWN = Unknown("unreachable: x")


def entry(name: str, expected: FileState, made: Made | None = None, attributes: Attributes | None = None) -> Entry:
    """The entry of a source. With `made`, its contents are these."""
    kind = FixedSource if made is None else Source
    tree = Tree(name.partition("/")[0])
    return Entry(kind(tree, b"/masterdir", name.encode(), b"/etc/hosts", expected, made=made), attributes=attributes)


ALL = entry("overlay/hosts._all", HERE)
LOGIN = entry("overlay/hosts._login", state(mode=0o600))


def lines(states: dict[str, Actual], entries: dict[str, Entry]) -> list[str]:
    """The end of the line of each version, and the lines below."""
    distinct = versions(states.items())
    found = origins(distinct, entries)
    words = in_words(distinct, found.marks, hides_targets=False)
    plain = in_words(distinct, hides_targets=False)
    return [f"{line.partition(':')[0]}{line.removeprefix(start)}" for line, start in zip(words, plain, strict=True)] + [
        *found.remarks
    ]


def test_a_version_may_be_that_of_several_sources() -> None:
    """And of no source for some of its nodes."""
    same = entry("overlay/hosts._batch", HERE)
    assert lines({"n1": HERE, "n2": HERE}, {"n1": ALL, "n2": ALL}) == ["n[1-2], as in overlay/hosts._all"]
    entries = {"n1": ALL, "n2": ALL, "n3": same, "n4": LOGIN}
    assert lines(dict.fromkeys(("n1", "n2", "n3", "n4", "n5"), HERE), entries) == [
        "n[1-5], n[1-2] as in overlay/hosts._all, n3 as in overlay/hosts._batch",
        "not as in overlay/hosts._login: n4",
    ]


def test_what_versions_do_not_have_is_not_compared() -> None:
    rules = Attributes(capabilities="cap_net_raw=ep", acl="user:anna:r--", selinux="restore")
    ruled = entry("overlay/hosts._all", HERE, attributes=rules)
    assert lines({"n1": HERE}, {"n1": ruled}) == ["n1, as in overlay/hosts._all"]


def test_only_its_own_entry_counts_for_a_node() -> None:
    assert lines({"n1": LOGIN.expected, "n2": HERE, "n3": DOWN}, {"n1": ALL, "n2": LOGIN, "n3": LOGIN}) == [
        "n1",
        "n2",
        "n3",
        "not as in overlay/hosts._all: n1",
        "not as in overlay/hosts._login: n2",
    ]


def test_missing_is_the_version_of_delete() -> None:
    gone = entry("delete/hosts._all", HERE)
    assert lines({"n1": ABSENT, "n2": HERE}, {"n1": gone, "n2": gone}) == [
        "n1, as in delete/hosts._all",
        "n2",
        "not as in delete/hosts._all: n2",
    ]


def test_what_cannot_be_compared_is_told() -> None:
    """Contents that are not decrypted, and a link where attributes.yaml accepts one."""

    def refuse() -> bytes:
        raise RepositoryError("it is encrypted")

    closed = entry("overlay/hosts._all", HERE, Made(refuse))
    assert lines({"n1": HERE, "n2": HERE}, {"n1": closed, "n2": closed}) == [
        "n[1-2]",
        "not compared with overlay/hosts._all: it is encrypted",
    ]
    followed = entry("overlay/hosts", state(Kind.DIRECTORY), attributes=Attributes(follow=True))
    assert lines({"n1": state(Kind.LINK, target=b"x")}, {"n1": followed}) == ["n1"]


def test_acls_and_capabilities_are_left_out() -> None:
    ruled = entry("overlay/hosts._all", HERE, attributes=Attributes(acl="user:x:r--", capabilities="cap_kill=ep"))
    assert lines({"n1": HERE}, {"n1": ruled}) == ["n1, as in overlay/hosts._all"]
