"""Manual pages and shell completion, made from the commands' own parsers: `python -m tests_meta.share` writes them."""

from __future__ import annotations

import shutil
import sys
import tomllib
from argparse import REMAINDER, Action, ArgumentParser, HelpFormatter
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import shtab
from argparse_manpage.manpage import Manpage
from pytest_synctool import __version__, config
from pytest_synctool.common.trust import EVERYBODY
from pytest_synctool.config.later_keywords import WITHOUT_EFFECT
from pytest_synctool.config.settings import settings

from tests_meta import manual

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
DIRECTORIES: Final = ("completion/bash", "completion/zsh", "man/man1", "man/man5", "man/man7")
OTHER_NAMES: Final = {"synctool-scp": "dcp", "synctool-ssh": "dsh"}
# What some characters are to groff if nothing is said: typographic quotes and accents.
_PLAIN: Final = str.maketrans({"`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})

# Names come from the configuration that the command itself would read, -c included. The shell never expands them: a
# configuration that anybody may have put into this directory is no reason to run what it holds.
_NAMES: Final = r"""
# $1=option of synctool-config, other arguments=the command line
_synctool_names() {
  local option=$1 conf=
  shift
  while [[ $# -gt 1 ]]; do
    case $1 in
      -c|--conf) [[ $2 != "=" ]] || shift; conf=${2-} ;;
      --conf=*) conf=${1#*=} ;;
    esac
    shift
  done
  [[ $conf != "~/"* ]] || conf=$HOME/${conf#*/}
  synctool-config "$option" ${conf:+"--conf=$conf"} 2>/dev/null | sed 's/ (ignored)$//'
}
"""
_BASH: Final = """
# $1=COMP_WORDS[1], a list of which the last name is completed
_synctool_{what}() {{
  local name before=
  [[ $1 != *,* ]] || before=${{1%,*}},
  while IFS= read -r name; do
    [[ $before$name != "$1"* ]] || printf '%s\\n' "$before$name"
  done < <(_synctool_names {option} "${{COMP_WORDS[@]}}")
}}
"""
_ZSH: Final = """
_synctool_{what}() {{
  local -a names=(${{(f)"$(_synctool_names {option} "${{(@)words}}")"}})
  _sequence compadd - -a names
}}
"""
_LISTS: Final = {"nodes": "--list-nodes", "groups": "--list-groups"}
# Git runs no program of a repository that belongs to somebody else, and here none at all.
_MORE: Final = r"""
# arguments=the command line
_synctool_run_ids() {
  local reports= number id rest
  while [[ $# -gt 1 ]]; do
    case $1 in
      --reports) [[ $2 != "=" ]] || shift; reports=${2-} ;;
      --reports=*) reports=${1#*=} ;;
    esac
    shift
  done
  [[ $reports != "~/"* ]] || reports=$HOME/${reports#*/}
  synctool-history --last=100 ${reports:+"--reports=$reports"} 2>/dev/null |
    while read -r number id rest; do [[ $number != -* ]] || printf '%s\n' "$id"; done
}
# arguments=the command line
_synctool_refs() {
  local directory
  directory=$(_synctool_names --masterdir "$@")
  [[ -z $directory ]] ||
    git -c core.fsmonitor=false -C "$directory" for-each-ref '--format=%(refname:short)' 2>/dev/null
}
"""
_MORE_OF: Final = {
    "bash": r"""
# $1=the beginning of a line of standard input
_synctool_beginning() {
  local name
  while IFS= read -r name; do
    [[ $name != "$1"* ]] || printf '%s\n' "$name"
  done
}
# $1=COMP_WORDS[1], a path on a node, or a file of this machine
_synctool_files() {
  case $1 in
    "" | /*) _synctool_names --list-destinations "${COMP_WORDS[@]}" | _synctool_beginning "$1" ;;
    *) _shtab_compgen_files "$1" ;;
  esac
}
_synctool_run_or_file() {
  case $1 in
    /*) _synctool_files "$1" ;;
    *) _synctool_run_ids "${COMP_WORDS[@]}" | _synctool_beginning "$1" ;;
  esac
}
_synctool_revision() {
  _synctool_refs "${COMP_WORDS[@]}" | _synctool_beginning "$1"
  _shtab_compgen_files "$1"
}
""",
    "zsh": r"""
_synctool_files() {
  local -a names
  case $PREFIX in
    "" | /*) names=(${(f)"$(_synctool_names --list-destinations "${(@)words}")"}); compadd -a names ;;
    *) _files ;;
  esac
}
_synctool_run_or_file() {
  local -a names
  case $PREFIX in
    /*) _synctool_files ;;
    *) names=(${(f)"$(_synctool_run_ids "${(@)words}")"}); compadd -a names ;;
  esac
}
_synctool_revision() {
  local -a names=(${(f)"$(_synctool_refs "${(@)words}")"})
  compadd -a names
  _files
}
""",
}
_PREAMBLE: Final = {
    shell: _NAMES
    + "".join(function.format(what=what, option=option) for what, option in _LISTS.items())
    + _MORE
    + _MORE_OF[shell]
    for shell, function in (("bash", _BASH), ("zsh", _ZSH))
}
_NODES, _GROUPS, _FILES, _RUNS, _REVISION = (
    {"bash": f"_synctool_{what}", "zsh": f"_synctool_{what}", "preamble": _PREAMBLE}
    for what in (*_LISTS, "files", "run_or_file", "revision")
)
_BY_DEST: Final = {
    "node": _NODES,
    "exclude": _NODES,
    "nodename": _NODES,
    "group": _GROUPS,
    "exclude_group": _GROUPS,
    "suffix": _GROUPS,
    "single": _FILES,
    "ref": _FILES,
    "render": _FILES,
    "diff": _FILES,
    "changes": _REVISION,
    "between": _RUNS,
    "what": _RUNS,
}
# Other files of nodes are completed as those of this machine, which often are the same.
_BY_METAVAR: Final = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "DEST": shtab.DIRECTORY}
# Commands for nodes are completed as those for this machine. Bash can do that only for files.
_COMMAND_LINE: Final = {"bash": shtab.FILE["bash"], "zsh": "_normal"}


def commands() -> list[str]:
    """The names of all commands."""
    return sorted(_scripts())


def parser(command: str) -> ArgumentParser:
    """The parser of a command, with what shtab needs to know; its help is not broken into lines."""
    module, _, _ = _scripts()[command].partition(":")
    found: ArgumentParser = import_module(module).new_parser()
    assert found.prog == command
    found.formatter_class = partial(HelpFormatter, width=1_000_000)
    vars(found)["color"] = False  # Python 3.14 colors help, if FORCE_COLOR is set also without a terminal
    for action in found._actions:
        _complete(action)
    return found


def _settings() -> list[str]:
    """The names of all settings that have an effect."""
    with TemporaryDirectory() as directory:
        conf = Path(directory) / "synctool.conf"
        (conf.parent / "overlay").mkdir()
        conf.write_text(f"masterdir {directory}\nnode node1\n")
        names = settings(config.load(conf, EVERYBODY))
    return [name for name in names if name not in WITHOUT_EFFECT]


def _complete(action: Action) -> None:
    if action.dest in ("setting", "command") and action.nargs != REMAINDER:
        names = _settings()
        commands_ = [name.removesuffix("_cmd") for name in names if name.endswith("_cmd")]
        action.choices = names if action.dest == "setting" else commands_
        return
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    how = _COMMAND_LINE if action.nargs == REMAINDER else _BY_DEST.get(action.dest) or _BY_METAVAR.get(metavar)
    if how is not None and action.nargs != 0:
        action.complete = how  # type: ignore[attr-defined]


def _scripts() -> Mapping[str, str]:
    """The commands with their functions, without other names of the same command."""
    scripts: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    return {name: function for name, function in scripts.items() if name not in OTHER_NAMES}


def page(command: str) -> str:
    """The manual page of a command, for man's macros. It has no date: it is the version's, whenever it was made."""
    found = parser(command)
    heading, _, statuses = (found.epilog or "").partition(": ")
    found.epilog = None
    summary, _, _ = (found.description or "").partition(". ")
    made = Manpage(found)
    made.date, made.source, made.manual = "", f"pytest-synctool {__version__}", "synctool"
    made.description = summary[:1].lower() + summary[1:].removesuffix(".")
    made.synopsis = [made.synopsis[0], *(word.replace("-", r"\-") for word in made.synopsis[1:])]
    if statuses:
        made.add_section(heading, "=", made.format_text(statuses))
    others = (other for other in commands() if other != command)
    made.add_section("see also", "=", ",\n".join(f"\\fB{made.format_text(other)}\\fR(1)" for other in others))
    return str(made).translate(_PLAIN)


def files() -> Iterator[tuple[str, str]]:
    """All files: their names below docs/, and what they hold."""
    for command in commands():
        yield f"man/man1/{command}.1", page(command)
        yield f"completion/bash/{command}", shtab.complete(parser(command), "bash") + "\n"
        yield f"completion/zsh/_{command}", _every_file(shtab.complete(parser(command), "zsh")) + "\n"
    for name, command in OTHER_NAMES.items():
        yield f"man/man1/{name}.1", f".so man1/{command}.1\n"
    for each in manual.PAGES:
        yield each.file, manual.page(each)


def _every_file(text: str) -> str:
    """The same for zsh, with all FILE... of a command line completed: what shtab 1.13 writes is for the first one."""
    for written, meant in (('"(*)::', '"*:'), ('"(*):', '"*:'), ("one_or_more='(*)'", "one_or_more='*:'")):
        text = text.replace(written, meant)
    return text


def main() -> int:
    """Write all files, and no others: what stands for a command that is gone goes too."""
    made = dict(files())
    for directory in DIRECTORIES:
        shutil.rmtree(DOCS / directory, ignore_errors=True)
        (DOCS / directory).mkdir(parents=True)
    for name, text in made.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    print(f"{len(made)} files written below {DOCS.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
