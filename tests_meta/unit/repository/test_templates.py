"""Templates: names and rules that make one, the values that they can use, and renderings shared by nodes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_synctool.config import Config, parse
from pytest_synctool.errors import RepositoryError, SynctoolError
from pytest_synctool.model import Kind
from pytest_synctool.repository import resolution
from pytest_synctool.repository.entry import Entry
from pytest_synctool.repository.rendering import Renderer
from pytest_synctool.repository.resolution import Repository

CONF = """masterdir .
node node1 batch rack1 ipaddress:10.0.0.1
node node2 batch rack2 ipaddress:10.0.0.2 hostname:two
node node3 login
var ntp ntp1
var ntp._rack2 ntp2
var ntp._node2 own
var ldap no
"""

PAIRS = """masterdir .
node n1 a
node n2 b
node n3 a b
node n4 b a
node n5
var x._a 1
var x._n5 2
var y 3
var y._b 4
var y._n4 5
"""

Site = Callable[..., Repository]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A function that makes a repository of files by their names below overlay/, with more configuration and rules."""

    def make(files: dict[str, str | bytes], conf: str = "", rules: str = "", text: str = CONF) -> Repository:
        for name, content in files.items():
            path = tmp_path / "overlay" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        (tmp_path / "attributes.yaml").write_text(rules)
        make.config = parse(text + conf, tmp_path / "synctool.conf")  # type: ignore[attr-defined]
        return resolution.load(make.config)  # type: ignore[attr-defined]

    return make


def config_of(site: Site) -> Config:
    config: Config = site.config  # type: ignore[attr-defined]
    return config


def entry_of(site: Site, repository: Repository, node: str, path: bytes = b"/etc/f") -> Entry:
    entries = repository.entries(config_of(site).nodes[node])
    return next(entry for entry in entries if entry.destination == path)


def content(site: Site, repository: Repository, node: str, path: bytes = b"/etc/f") -> str:
    return entry_of(site, repository, node, path).source.read().decode()


def rendered(site: Site, text: str, node: str = "node1", conf: str = "") -> str:
    return content(site, site({"etc/f._template._all": text}, conf), node)


def failure(site: Site, text: str | bytes, conf: str = "") -> str:
    repository = site({"etc/f._template._all": text}, conf)
    with pytest.raises(RepositoryError) as caught:
        repository.check_contents(config_of(site).nodes.values())
    return str(caught.value).replace(f"{config_of(site).masterdir}/overlay/etc/", "")


def test_the_values_of_a_template(site: Site) -> None:
    text = "server {{ vars.ntp }}\n{% if 'batch' in node.groups %}\nbatch\n{% endif %}\n{{ node }} {{ node.address }}"
    repository = site({"etc/f._template._all": text})
    contents = [content(site, repository, node) for node in ("node1", "node2", "node3")]
    assert contents == [
        "server ntp1\nbatch\nnode1 10.0.0.1",
        "server own\nbatch\nnode2 10.0.0.2",
        "server ntp1\nnode3 node3",
    ]


@settings(max_examples=15)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                "{{ node.name }}",
                "{% if 'a' in node.groups %}A{% endif %}",
                "{% if vars.x is defined %}{{ vars.x }}{% else %}{{ node.groups | length }}{% endif %}",
                "{{ vars.y }}",
                "{% if 'b' in node.groups %}{{ vars.z }}{% endif %}",
                "{% for n in cluster.nodes if n != node %}{{ n }}{% endfor %}",
                "{{ node.groups[1:] | join }}",
                "x",
            ]
        ),
        max_size=5,
    )
)
def test_a_shared_rendering_is_that_of_the_node_itself(parts: list[str]) -> None:
    """Whatever a template asks for, and in which order nodes are rendered."""
    config = parse(PAIRS, Path(__file__).with_suffix(".conf"))
    shared = Renderer(config.nodes, config.groups, config.variables)
    text = "".join(parts).encode()
    for node in (*config.nodes.values(), *reversed(tuple(config.nodes.values()))):
        alone = Renderer(config.nodes, config.groups, config.variables).render(b"f", text, node)
        rendering = shared.render(b"f", text, node)
        assert (rendering.content, rendering.error, rendering.line) == (alone.content, alone.error, alone.line)


def test_the_expected_state_is_that_of_the_rendered_bytes(site: Site) -> None:
    repository = site({"etc/f._template._all": "{{ node.hostname }}\n"})
    expected = entry_of(site, repository, "node2").expected
    assert (expected.kind, expected.size, expected.md5) == (Kind.FILE, 4, hashlib.md5(b"two\n").hexdigest())
    assert entry_of(site, repository, "node2").source.shown == "overlay/etc/f._template._all"
    assert entry_of(site, repository, "node2").source.mirrored == b"overlay/etc/f._all"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% if vars.ldap %}yes{% else %}no{% endif %} {{ vars.ldap }}", "no no"),
        ("{{ vars.nothing | default('d') }} {{ vars.nothing is defined }}", "d false"),
        ("{% for n in cluster.nodes %}{{ n.address }} {{ n.name }}{{ '*' if n == node }}\n{% endfor %}", None),
        ("{{ cluster.groups.batch | join(',') }} {{ cluster.addresses.node2 }}", "node1,node2 10.0.0.2"),
        ("{{ node.groups | join(' ') }}", "node1 batch rack1 all"),
        ("a\r\nb {{ node.name }}\r\n", "a\r\nb node1\r\n"),
        ("a\n\n", "a\n\n"),
        ("{{ vars.t.items }} {% for k, v in vars.u.items() %}{{ k }}={{ v }};{% endfor %}", "1 a=2;b=x;"),
        ("{{ 1 ~ '-' ~ node ~ '-' ~ vars.ntp }} {{ 7 % 4 }} {{ 'a' + 'b' }} {{ '%s' % 1 }}", "1-node1-ntp1 3 ab 1"),
        ("{{ [1, 2] | sum }} {{ 'é' }} {{ true }} {{ 1.5 }}", "3 é true 1.5"),
        ("  {% set x = 1 %}\n{# no #}\n{{ x }}\n", "1\n"),
    ],
)
def test_what_a_template_can_do(site: Site, tmp_path: Path, text: str, expected: str | None) -> None:
    (tmp_path / "vars").mkdir()
    (tmp_path / "vars" / "all.yaml").write_text("t: {items: 1}\nu: {a: 2, b: x}\n")
    hosts = "10.0.0.1 node1*\n10.0.0.2 node2\nnode3 node3\n"
    assert rendered(site, text) == (hosts if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{{ vars.ntpp }}", "2: variable 'ntpp' is not set (did you mean 'ntp'?)"),
        ("{{ nodes }}", "1: 'nodes' is undefined"),
        (
            "{{ node.nmae }}",
            "1: a node has no 'nmae' (did you mean 'name'?): name, groups, ",
        ),
        ("{{ cluster.size }}", "1: a cluster has no 'size': nodes, groups, addresses"),
        ("a\nb\n{% if %}", "3: Expected an expression, got 'end of statement block'"),
        ("{{ cluster.groups }}", "1: a table cannot be printed: use a loop, join or an item of it"),
        ("{{ none }}", "1: none cannot be printed: use a loop, join or an item of it"),
        ("{{ vars }}", "1: this cannot be printed: use a loop, join or an item of it"),
        ("\n{% include 'x' %}", "2: a template is one file: no include, import or extends"),
        ("{% import 'x' as y %}", "1: a template is one file: no include, import or extends"),
        ("{{ [1] | random }}", "1: No filter named 'random'."),
        ("{{ lipsum() }}", "1: 'lipsum' is undefined"),
        ("{{ 'x' * 10 ** 9 }}", "1: a product is too large"),
        ("{{ 'x' | center(10 ** 9) }}", "1: a number is too large"),
        ("{{ 'x'.ljust(10 ** 12) }}", "1: a number is too large"),
        ("{{ 'x' | indent(10 ** 12) }}", "1: a number is too large"),
        ("{{ [1] | slice(10 ** 12) | list }}", "1: a number is too large"),
        ("{{ '%0999999999d' % 1 }}", "1: a number is too large"),
        ("{{ '%0999999999d' | format(1) }}", "1: a number is too large"),
        ("{{ '{:0999999999}'.format(1) }}", "1: a number is too large"),
        (
            "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
            "1: a value has more than 16,777,216 characters",
        ),
        (
            "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
            "1: a value has more than 16,777,216 characters",
        ),
        (
            "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = [n.s, n.s] | join %}{% endfor %}",
            "1: a value has more than 16,777,216 characters",
        ),
        ("{{ 3 ** 10000 }}", "1: a number is too large"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "1: a number is too large"),
        ("{{ ''.__class__ }}", "1: SecurityError: access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ node._run }}", "1: a node has no '_run': name, groups, address, hostname, ipaddress"),
        ("{{ '{0.__class__}'.format(node) }}", "1: a node has no '__class__'"),
        ("{{ vars.__class__.__mro__ }}", "1: variable '__class__' is not set"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "1: RecursionError: "),
        ("{{ '\\ud800' }}", " UnicodeEncodeError: "),
        (b"a\nb\xff", "2: not a text in UTF-8 (byte 3)"),
        ("{{ " + "(" * 5000, " it is nested too deep"),
        ("{{ '%s' | format }}", "1: not enough arguments for format string"),
    ],
)
def test_errors_have_file_line_and_nodes(site: Site, text: str | bytes, message: str) -> None:
    error = failure(site, text)
    assert error.startswith(f"f._template._all:{message}")
    assert error.endswith(", for node[1-3]")


def test_the_filter_attr_is_in_the_sandbox(site: Site) -> None:
    """Old versions of Jinja do not ask our environment, and refuse it all the same."""
    refusals = ("a node has no '__class__'", "SecurityError: access to attribute '__class__' of 'OwnView' object")
    error = failure(site, "{{ node | attr('__class__') }}")
    assert error.startswith(tuple(f"f._template._all:1: {refusal}" for refusal in refusals))


def test_errors_do_not_quote_what_not_everybody_may_see(site: Site, tmp_path: Path) -> None:
    repository = site(
        {"etc/f._template._all": "{{ vars.ntp | int('horse') + 1 }}"}, rules="- {path: /etc/f, mode: 0600}"
    )
    with pytest.raises(RepositoryError) as caught:
        repository.check_contents(config_of(site).nodes.values())
    assert "_all:1: cannot be rendered; the message may quote contents, which are not public, for" in str(caught.value)
    assert "horse" not in str(caught.value)


def test_all_errors_of_all_nodes_are_reported_at_once(site: Site) -> None:
    files = {"etc/f._template._all": "{{ vars.x }}", "etc/g._template._batch": "\n{{ vars.slots }}", "etc/h._all": "h"}
    repository = site(files, "var x._node2 1\nvar x._node3 1\n")
    with pytest.raises(RepositoryError) as caught:
        repository.check_contents(config_of(site).nodes.values())
    top = f"{config_of(site).masterdir}/overlay/etc"
    assert str(caught.value).split("\n") == [
        f"{top}/f._template._all:1: variable 'x' is not set: only for node2, node3, for node1",
        f"{top}/g._template._batch:2: variable 'slots' is not set, for node[1-2]",
    ]
    with pytest.raises(RepositoryError, match="variable 'x' is not set"):
        _ = entry_of(site, repository, "node1").expected
    assert entry_of(site, repository, "node2").expected.size == 1


@pytest.mark.parametrize(
    "loop",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    ],
)
def test_a_loop_without_an_end_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    monkeypatch.setattr("pytest_synctool.repository.template_values.LONGEST", 0.2)
    assert failure(site, loop) == "f._template._all:1: it takes longer than 5 s, for node[1-3]".replace("5", "0.2")


def test_a_rendered_file_has_a_largest_size(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_synctool.repository.template_environment.LARGEST", 1000)
    error = failure(site, "{% for i in range(999) %}xx{% endfor %}")
    assert error.startswith("f._template._all: it would have more than 1,000 bytes")


def test_a_rule_makes_a_template(site: Site) -> None:
    rules = "- path: /etc/f\n  groups: batch\n  template: yes\n- path: /etc/**\n  template: yes\n  owner: root\n"
    files: dict[str, str | bytes] = {"etc/f._all": "{{ node.name }}", "etc/sub/g._all": "{{ vars.ntp }}"}
    repository = site(files, rules=rules.replace("template: yes\n  owner", "owner"))
    assert [content(site, repository, node) for node in ("node1", "node3")] == ["node1", "{{ node.name }}"]
    assert entry_of(site, repository, "node1").source.mirrored == b"overlay/etc/f._all"
    assert content(site, repository, "node1", b"/etc/sub/g") == "{{ vars.ntp }}"
    assert "template yes by attributes.yaml:1" in entry_of(site, repository, "node1").attributes.origins  # type: ignore[union-attr]


def test_importance_is_as_without_templates(site: Site) -> None:
    files: dict[str, str | bytes] = {
        "etc/f._template._all": "all",
        "etc/f._batch": "batch",
        "etc/f._template._node2": "2",
    }
    repository = site(files)
    assert [content(site, repository, node) for node in ("node1", "node2", "node3")] == ["batch", "2", "all"]


def test_nodes_with_the_same_rendering_share_their_entries(site: Site) -> None:
    files: dict[str, str | bytes] = {"etc/f._template._all": "{{ vars.ntp }}", "etc/g._all": "g"}
    repository = site(files, text="masterdir .\nnode n[1-50] a\nnode m[1-50] b\nvar ntp 1\nvar ntp._b 2\nvar x 3\n")
    lists = {id(repository.entries(node)) for node in config_of(site).nodes.values()}
    assert len(lists) == 2


def test_a_trigger_belongs_to_the_rendered_file(site: Site) -> None:
    repository = site({"etc/f._template._all": "x", "etc/f.post": "#!/bin/sh\n"})
    assert entry_of(site, repository, "node1").trigger == b"overlay/etc/f.post"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("etc/f.post._template._all", "a trigger cannot be a template"),
        ("etc/._template._all", "cannot be a destination"),
    ],
)
def test_names_that_cannot_be_templates(site: Site, name: str, reason: str) -> None:
    with pytest.raises(SynctoolError, match=reason):
        site({name: "x"})


def test_a_link_cannot_be_a_template(site: Site, tmp_path: Path) -> None:
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "f._template._all").symlink_to("/etc/passwd")
    with pytest.raises(SynctoolError, match=r"f\._template\._all: a template must be a regular file"):
        site({})


def test_a_template_needs_a_group_as_other_files_do(site: Site) -> None:
    repository = site({"etc/f._template": "x", "etc/g._template._bacth": "x"})
    assert [line.split(":")[0] for line in repository.warnings] == [
        "overlay/etc/f._template",
        "overlay/etc/g._template._bacth",
    ]
    assert content(site, site({}, "require_extension no\n"), "node1") == "x"


def test_a_group_may_be_called_template(site: Site) -> None:
    repository = site({"etc/f._template": "{{ x }}"}, "node node4 template\n")
    assert content(site, repository, "node4") == "{{ x }}"
    assert all(entry.destination != b"/etc/f" for entry in repository.entries(config_of(site).nodes["node1"]))


def test_generator_scripts_of_later_releases_are_refused(site: Site) -> None:
    with pytest.raises(SynctoolError, match=r"overlay/all/etc/f\._template\.post \(write the template for Jinja2"):
        site({"all/etc/f._template": "@X@", "all/etc/f._template.post": "#!/bin/sh\n"}, "layout 7\n")


def test_a_template_in_the_layout_of_later_releases(site: Site) -> None:
    repository = site({"batch/etc/f._template": "{{ node.name }}"}, "layout 7\nrequire_extension no\n")
    assert content(site, repository, "node2") == "node2"


def test_an_unreadable_template_is_an_error_of_its_entries(site: Site, tmp_path: Path) -> None:
    repository = site({"etc/f._template._all": "x"})
    (tmp_path / "overlay/etc/f._template._all").unlink()
    with pytest.raises(RepositoryError, match=r"cannot read overlay/etc/f\._template\._all: No such file"):
        repository.check_contents(config_of(site).nodes.values())


def test_many_nodes_and_templates_are_quick(site: Site) -> None:
    text = "{{ node.name }} {{ vars.ntp }}\n{% if 'a' in node.groups %}{{ node.address }}{% endif %}\n"
    files: dict[str, str | bytes] = {f"etc/f{n}._template._all": text for n in range(20)}
    repository = site(files, text="masterdir .\nnode n[1-1000] a\nvar ntp ntp1\n")
    started = time.process_time()
    repository.check_contents(config_of(site).nodes.values())
    assert time.process_time() - started < 3  # the limit is what is tested


def test_a_site_without_templates_does_not_load_jinja2(site: Site, tmp_path: Path) -> None:
    site({"etc/f._all": "x"})
    program = (
        "import sys; from pathlib import Path; from pytest_synctool import config; "
        "from pytest_synctool.repository import resolution; c = config.load(Path(sys.argv[1])); "
        "r = resolution.load(c); r.check_contents(c.nodes.values()); print('jinja2' in sys.modules)"
    )
    (tmp_path / "synctool.conf").write_text(CONF)
    run = [sys.executable, "-c", program, str(tmp_path / "synctool.conf")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "False\n"
