"""The options of `synctool`, and the combinations of them that are mistakes."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from typing import TYPE_CHECKING, Final

from pytest_synctool.audit import remembered
from pytest_synctool.cli import shared_options
from pytest_synctool.cli.selection import add_selection
from pytest_synctool.cli.shared_options import add_flags, add_repeatable

if TYPE_CHECKING:
    from pytest_synctool.engine.batches import Size

_STATUSES: Final = (
    "Exit status: 0 if every entry is in sync, fixed or waived; 1 if an entry differs, if no selected node has the "
    "FILE of -r or -u, or if --check-update or --download fails; 2 for a mistake in the command line, the "
    "configuration or the masterdir; 3 if a node is unreachable or an entry could not be compared."
)
# The fields of the parsed arguments that hold an option.
_SELECTION: Final = "-n, -g, -x and -X"
_FIELDS: Final = {
    **{"-d": ("diff",), "-u": ("upload",), "--check-update": ("check_update",), "--download": ("download",)},
    **{
        "--manifest": ("manifest",),
        "--changes": ("changes",),
        "-r": ("ref",),
        "-f": ("fix",),
        "--restore": ("restore",),
        "-t": ("tasks",),
        "-e": ("erase_saved",),
    },
    **{"-1": ("single",), "--unix": ("unix",), "-a": ("aggregate",), "--skip-rsync": ("skip_rsync",)},
    **{"--list": ("list",), "--nodename": ("nodename",), "--no-saved": ("no_saved",), "--saved-dir": ("saved_dir",)},
    **{"-q": ("quiet",), "-v": ("verbose",), "-s": ("suffix",), "--show-sensitive": ("show_sensitive",)},
    **{"--nagios": ("nagios",), "-z": ("zzz",), "--batch": ("batch",), "--max-fail-nodes": ("max_fail_nodes",)},
    **{"--render": ("render",), "--consensus": ("consensus",), "--unmanaged": ("unmanaged",), "--ask": ("ask",)},
    _SELECTION: ("node", "group", "exclude", "exclude_group"),
}
_OF_RUNS: Final = ("-f", "--restore", "-e", "-t", "-1", "--unix", "-a", "--skip-rsync", "--nodename", "--nagios", "-z")
# The options that are no run of their own kind, with the options of runs that they accept.
_ACTIONS: Final = {
    "-d": ("--nodename", "-a", "-f", "--unix", "--skip-rsync", "--no-saved", "--saved-dir"),
    "-u": ("--nodename", "-f", "--unix"),
    "--consensus": ("--nodename",),
    "--unmanaged": ("--nodename",),
    "--check-update": (),
    "--download": (),
}
_QUERIES: Final = ("--manifest", "--changes", "-r", "--render")
_NOT_WITH_ACTIONS: Final = (*_ACTIONS, *_QUERIES, *_OF_RUNS, "--no-saved", "--saved-dir")
# No option of the first column goes with the second.
_EXCLUSIONS: Final = (
    (("--manifest",), "-r", ": a manifest has every destination"),
    (("--manifest",), "-v", ": remarks are not JSON"),
    (("--manifest", "--changes", "-r", "-v"), "--render", ": it prints contents and nothing else"),
    (("--manifest", "-r", "-v"), "--changes", ": one thing at a time"),
    *(
        ([option for option in _NOT_WITH_ACTIONS if option not in (action, *accepted)], action, ": one thing at a time")
        for action, accepted in _ACTIONS.items()
    ),
    (("--check-update", "--download"), _SELECTION, ": it is about no node"),
    (_OF_RUNS, "--manifest", ", which contacts no node"),
    (_OF_RUNS, "--render", ", which contacts no node"),
    (_OF_RUNS, "--changes", ", which contacts no node"),
    ([option for option in _OF_RUNS if option != "-a"], "-r", ", which contacts no node"),
    (("-t", "--unix"), "--restore", ", which puts back what -f has changed"),
    (("-t", "--restore", "--no-saved", "--saved-dir"), "-e", ", which only erases old versions"),
    (("-f",), "--list", ": a list changes nothing"),
    (("-f", "--restore", "-e", "-t", "--unix", "-a", "-v"), "--nagios", ", which only counts"),
    (("-d", "-u", "-e", "--restore", "-a", "--unix", "--nagios"), "--ask", ": it asks about the changes of -f alone"),
    (("-z", "--batch"), "--ask", ": the answers decide when a node is repaired"),
    (("--no-saved",), "--saved-dir", ": old versions are kept, or they are not"),
)
_NEEDS: Final = (
    ("--ask", "-f", ": without it nothing is changed"),
    ("-s", "-u", ": it is the group extension of an upload"),
    ("--list", "--restore", ": it lists old versions"),
    ("--no-saved", "-f", ": nothing else replaces files"),
    ("--saved-dir", "-f", ": nothing else replaces files"),
    ("--batch", "-f", ": an audit changes nothing, so it looks at all nodes at once (-z makes pauses)"),
    ("--max-fail-nodes", "--batch", ": without it every repair begins at once"),
)


def conflict(arguments: Namespace) -> str | None:
    """Return the reason why the options cannot be combined, or None."""
    present = {
        option
        for option, fields in _FIELDS.items()
        if any(getattr(arguments, field) not in (None, False, []) for field in fields)
    }
    for options, other, reason in _EXCLUSIONS:
        for option in options:
            if {option, other} <= present:
                return f"{option} does not go with {other}{reason}"
    if arguments.restore and not (arguments.node or arguments.group or arguments.nodename):
        return "--restore needs the names of nodes: -n or -g (-g all: every node)"
    if "--show-sensitive" in present and not {"-d", "--render", "--consensus"} & present:
        return "--show-sensitive needs -d, --render or --consensus"
    for option, needed, reason in _NEEDS:
        if option in present and needed not in present:
            return f"{option} needs {needed}{reason}"
    return shared_options.sudo_conflict(arguments)


def new_parser() -> ArgumentParser:
    """Return the parser of `synctool`."""
    parser = shared_options.configured_parser(
        "synctool",
        "Compare the files of nodes with the masterdir and report differences. With -f, repair the nodes.",
        _STATUSES,
    )
    add_selection(parser)
    _add_run(parser)
    _add_queries(parser)
    _add_diff(parser)
    _add_upload(parser)
    _add_update(parser)
    return parser


def _add_run(parser: ArgumentParser) -> None:
    add_flags(parser, ("-f", "--fix", "repair the nodes; without it nothing on them is changed"))
    add_repeatable(
        parser,
        ("-1", "--single", "limit the run to FILE, a path on a node, a source or a task; can be repeated"),
        metavar="FILE",
    )
    add_flags(
        parser,
        ("-t", "--tasks", "run the tasks and nothing else; without -f, list them"),
        ("--unix", "print what is to be done as shell commands; with -v the whole script that -f runs"),
        ("-a", "--aggregate", "print output that several nodes share only once"),
        ("-q", "--quiet", "print only differences, and no warnings"),
        ("--nagios", "print one line with performance data, as a plugin of Nagios or Icinga"),
        ("-v", "--verbose", "print how the source of each entry was chosen, and details of the differences"),
        ("-S", "--skip-rsync", "with -f: do not copy the masterdir to the nodes, they have it already"),
    )
    parser.add_argument("--color", action=BooleanOptionalAction, help="print colors, or none; by default on a terminal")
    parser.add_argument(
        *("-T", "--terse", "-F", "--fullpath"), action="store_true", help="no effect: options of synctool 5 to 7"
    )
    parser.add_argument("--nodename", metavar="NAME", help="work only on this machine, as node NAME")
    add_flags(
        parser,
        (
            "--restore",
            "restore the files that the last -f kept on the nodes of -n or -g, or those of -1 from an earlier run; "
            "without -f only print them",
        ),
        ("--list", "with --restore: print the old versions of earlier runs too, as far as they are still there"),
        (
            "-e",
            "--erase-saved",
            "erase the old versions that -f kept on the nodes, all or those of -1; without -f only print them",
        ),
        ("--no-saved", "with -f: do not keep replaced files as NAME.saved"),
        ("--no-post", "do not run .post scripts and on_update commands: a later -f runs them"),
    )
    parser.add_argument(
        "--saved-dir", metavar="DIR", type=_saved_directory, help="with -f: keep replaced files below DIR on the node"
    )
    parser.add_argument(
        remembered.OPTION, metavar="DAYS", nargs="?", const=remembered.DAYS, type=_days, help=remembered.HELP
    )
    add_flags(
        parser,
        ("--no-waivers", "ignore waivers.yaml"),
        ("--no-syslog", "with -f: do not log repairs to syslog"),
        ("--no-cache", "read every source: use no digests that earlier runs have kept"),
    )
    parser.add_argument(
        "--history-keep",
        metavar="N",
        type=shared_options.number_or_zero,
        default=100,
        help="keep the last N runs in the history, reports/history.sqlite beside the configuration (default: "
        "%(default)s; 0: record nothing)",
    )
    add_flags(parser, ("--ask", "with -f: print the changes of each node and ask before it is repaired (terminal)"))
    _add_limits(parser)


def _add_limits(parser: ArgumentParser) -> None:
    shared_options.add_sudo(parser)
    shared_options.add_parallelism(parser, "-N")
    parser.add_argument(
        "-z",
        "--zzz",
        metavar="SECONDS",
        type=shared_options.number,
        help="pause after each --batch, or after as many nodes as -p contacts at once",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=_batch,
        help="with -f: repair N nodes (or N%% of them) at a time; a batch starts only after one without failures",
    )
    parser.add_argument(
        "--max-fail-nodes",
        metavar="N",
        type=shared_options.number_or_zero,
        help="with --batch: start no further batch once more than N nodes have failed (default: 0)",
    )
    for option, seconds, work in (
        ("--timeout", 120, "longest silence of a node"),
        ("--trigger-timeout", 60, "time limit for one .post script or on_update command"),
    ):
        parser.add_argument(
            option,
            metavar="SECONDS",
            type=shared_options.number,
            default=seconds,
            help=f"{work} (default: %(default)s)",
        )
    parser.add_argument(
        "--ssh-persist",
        metavar="SECONDS",
        type=shared_options.number_or_zero,
        help="keep ssh connections open for later runs (default: ssh_control_persist, or 60; 0: do not)",
    )


def _batch(text: str) -> Size:
    from pytest_synctool.engine.batches import size

    try:
        return size(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _days(text: str) -> int:
    days = shared_options.number(text)
    if days > remembered.MOST_DAYS:
        raise ArgumentTypeError(f"expected at most {remembered.MOST_DAYS} days, not {days}")
    return days


def _add_queries(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("queries", "These contact no node.")
    group.add_argument(
        "-r",
        "--ref",
        "--reference",
        metavar="FILE",
        action="append",
        default=[],
        type=shared_options.file_name,
        help="print the source of FILE, a path on a node or a source; can be repeated",
    )
    group.add_argument(
        "--render",
        metavar="FILE",
        type=os.fsencode,
        help="print the contents that the node of -n gets for FILE, a path on it or a source",
    )
    add_flags(group, ("--manifest", "print the expected state of all nodes, ignored ones too, as JSON"))
    group.add_argument(
        "--changes",
        metavar="REVISION",
        help="print what has changed for which nodes since a revision of the masterdir in git, or since a saved "
        "manifest",
    )


def _add_diff(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("differences")
    add_repeatable(
        group,
        (
            "-d",
            "--diff",
            "print how FILE differs between masterdir and nodes; with -f repair it then; can be repeated",
        ),
        metavar="FILE",
    )
    group.add_argument(
        "--consensus",
        metavar="PATH",
        action="extend",
        nargs="+",
        default=[],
        type=shared_options.destination,
        help="print the versions of PATH over the nodes, in the masterdir or not, and how the first two differ",
    )
    group.add_argument(
        "--unmanaged",
        metavar="DIR",
        nargs="?",
        const=b"/etc",
        type=_plain_directory,
        help="print the files below DIR (/etc) that no entry has and that differ from what packages installed",
    )
    help_ = "with -d, --render and --consensus: also print non-public contents"
    add_flags(group, ("--show-sensitive", help_))


def _add_upload(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("from a node to the masterdir", "Without -f, nothing is written.")
    group.add_argument(
        "-u",
        "--upload",
        metavar="FILE",
        action="append",
        default=[],
        type=shared_options.destination,
        help="copy FILE from the one selected node into overlay/; a directory is copied with its contents; can be "
        "repeated",
    )
    group.add_argument(
        "-s",
        "--suffix",
        metavar="GROUP",
        help="with -u: the group extension; by default that of the node's source, else the node's name",
    )


def _add_update(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the program itself", "Packages come from the index that pip is configured for.")
    add_flags(group, ("--check-update", "report whether there is a newer version"))
    group.add_argument(
        "--download",
        metavar="DIR",
        nargs="?",
        const=".",
        type=_existing_directory,
        help="download the latest version as a file into DIR, by default into this directory",
    )


def _saved_directory(text: str) -> bytes:
    """Parse an absolute path of a directory on nodes, other than /, into its shortest spelling."""
    if not text.startswith("/") or not text.isprintable() or (path := shared_options.destination(text)) == b"/":
        raise ArgumentTypeError(f"expected a directory on the nodes like /var/lib/saved, not {text!r}")
    return path


def _plain_directory(text: str) -> bytes:
    """Parse an absolute path of letters that no shell pattern has."""
    from pytest_synctool.audit.packages import PLAIN_DIRECTORY

    if text.startswith("/") and PLAIN_DIRECTORY.fullmatch(path := shared_options.destination(text)):
        return path
    raise ArgumentTypeError(f"expected a directory on the nodes like /etc, without spaces and patterns, not {text!r}")


def _existing_directory(text: str) -> str:
    if not text or not os.path.isdir(text):
        raise ArgumentTypeError(f"expected a directory, not '{text}'")
    return text
