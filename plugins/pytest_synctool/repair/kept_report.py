"""The report that a repair keeps on its node, for the case that its controller goes away or gives up.

The repair writes its steps and their results beside the journal, besides printing them. The run that has heard all of
it deletes the report; otherwise the next --fix of the same masterdir takes it over. Each script of a repair has a
report of its own, so several may wait there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pytest_synctool.common.shell import quote, words
from pytest_synctool.common.wording import node_text

LONGEST: Final = 4 << 20  # bytes of the reports that are read; the rest is cut off
MOST_REPORTS: Final = 20
_MOST_STEPS: Final = 100_000
_MOST_FAILURES: Final = 20  # of one report, as notes
_BEGIN: Final = b"synctool-report"
_END: Final = b"synctool-report-end"
_UNDER_WAY: Final = b"synctool-under-way"
UNPLACED: Final = b"unplaced"  # the last line of a script after which another one of the same repair follows

# The background process of beats() ends within a second if the repair is killed. Its sleep holds no stream open.
# It writes to standard error, since a write in between could tear a line of results on standard output.
KEPT_REPORT: Final = (
    rb"""
reported() { # FILE: set $l to the first line of the report
  l=
  [ ! -f "$1" ] || IFS= read -r l <"$1" || :
}
report() { # STEPS [WHO]...: the results that follow go to a report; those of WHO were taken over and go away
  steps=$1
  shift
  for w do drop "$w"; done
  set -- "$journal"/report.*
  [ $# -lt 100 ] || rm -f -- "$@" # many that no --fix has taken over
  f=$journal/report.$$
  e=$( (printf 'by %s\n%s' "$who" "$steps" >>"$f") 2>&1) || refuse "its journal cannot be written: ${e##*"$nl"}"
  exec 6>>"$f"
  beats <&- >&2 &
  beating=$!
}
noted() { # WORD...: the same to the controller and to the report
  printf '%s\n' "$*"
  printf '%s\n' "$*" >&6
}
beats() { # while something is done, the controller hears of it: the stage grows, results come, or a trigger has time
  cd / # it keeps no file system busy
  n=0 idle=0 was=
  while :; do
    sleep 1 >&- 2>&- 6>&-
    # A shell that was killed may keep its number until somebody asks, but not its children.
    if [ -r /proc/self/stat ]; then read -r p p p p l </proc/self/stat; [ "$p" = $$ ] || exit
    else kill -0 $$ 2>&- || exit; fi
    n=$((n + 1)) idle=$((idle + 1))
    [ "$n" -ge "$pause" ] || continue
    n=0
    set -- "$state/stage/$host."*
    if [ -r "$journal/private" ]; then
      while IFS= read -r d; do set -- "$@" "$d"; done <"$journal/private"
    fi
    is=$({ wc -c <"$f"; du -sk -- "$@"; } 2>&-)
    [ "$is" = "$was" ] || idle=0
    was=$is
    case $idle:$(tail -n 1 "$f" 2>&-) in
      0:*) echo ;;
      *:runs*) [ "$idle" -gt $((limit + 10)) ] || echo ;;
    esac
  done
}
quiet() { # SIGTERM may come before a shell that has just begun listens to it
  [ -z "$beating" ] || kill -KILL "$beating" 2>&-
  beating=
}
under_way() { # whether the repair by $1, or any if that is empty, holds the lock
  [ -r "$state/lock" ] && read -r pid b other <"$state/lock" && held "$pid" "$b" && [ "${1:-$other}" = "$other" ]
}
await() { # WHO SECONDS: until that repair has ended
  n=0
  while [ "$n" -lt "$2" ] && under_way "$1"; do
    n=$((n + 1))
    echo >&2
    sleep 1
  done
  ! under_way "$1" || echo UNDER_WAY
}
show() { # BYTES [WHO]: the reports that wait; of WHO only the results
  for f in "$journal"/report.*; do :; done
  [ -f "$f" ] || return 0
  echo BEGIN
  for f in "$journal"/report.*; do
    reported "$f"
    if [ -z "$2" ]; then cat -- "$f"; elif [ "$l" = "by $2" ]; then sed '/^step /d' <"$f"; fi
  done 2>&- | head -c "$1"
  printf '\n%s\n' END
}
drop() { # WHO: the reports of that repair go away
  for f in "$journal"/report.*; do
    reported "$f"
    [ "$l" != "by $1" ] || rm -f -- "$f"
  done
}
heard() { # WHO: its report was heard
  drop "$1"
  [ -e "$state/lock" ] || rmdir -- "$journal/owed" "$journal" 2>&- || :
}
""".replace(b"UNDER_WAY", _UNDER_WAY)
    .replace(b"BEGIN", _BEGIN)
    .replace(b"END", _END)
)


def begin(steps: Iterable[tuple[int, str]], taken: Iterable[str] = ()) -> bytes:
    """Return the shell text that begins the report of a script with these steps, by number.

    The reports of the repairs `taken` go away.
    """
    text = "".join(f"step {number} {step}\n" for number, step in steps if step)
    return words(b"report", _encoded(text), *map(_encoded, taken))


def take() -> bytes:
    """Return the shell text that shows the reports of earlier repairs, unless one is under way."""
    return b"under_way '' || show %d" % (LONGEST + 1)


def wait_for(who: str, seconds: float) -> bytes:
    """Return the shell text that awaits a repair for some time, and then shows its results."""
    return b"await %s %d; show %d %s" % (name := quote(_encoded(who)), max(1, seconds), LONGEST + 1, name)


def heard(whose: Iterable[str]) -> bytes:
    """Return the shell text that deletes the reports of these repairs, which were heard."""
    return b"\n".join(words(b"heard", _encoded(who)) for who in whose)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@dataclass
class KeptReport:
    """The report of one repair: who made it, and its steps with the reason of their failure.

    `text` is what its scripts printed, as far as it is kept. It is whole if all of them have come to their end, and one
    to the end of the repair.
    `is_cut` is True if the end of the report was not read.
    """

    by: str
    text: bytes = b""
    steps: dict[str, str | None] = field(default_factory=dict)
    is_whole: bool = False
    is_cut: bool = False

    def done(self) -> Iterator[str]:
        """Return the lines of a log, without the steps that failed."""
        return (f"{step} (by an earlier --fix)" for step, failure in self.steps.items() if failure is None)

    def notes(self) -> Iterator[str]:
        """Return the lines for people."""
        failures = [(step, failure) for step, failure in self.steps.items() if failure is not None]
        end = "" if self.is_whole else ", and it was interrupted"
        if self.is_cut:
            end = ", and more: its report is too long"
        done = len(self.steps) - len(failures)
        yield f"an earlier --fix went on without its controller ({self.by}): {done} done, {len(failures)} failed{end}"
        for step, failure in failures[:_MOST_FAILURES]:
            yield f"the earlier --fix failed: {step}: {failure}"
        if len(failures) > _MOST_FAILURES:
            yield f"{len(failures) - _MOST_FAILURES} more steps of the earlier --fix failed"


def is_under_way(answer: bytes) -> bool:
    """Return True if wait_for() has not seen the end of the repair."""
    return _UNDER_WAY in answer.split(b"\n")


def parse(answer: bytes) -> list[KeptReport]:
    """Parse the reports that a node shows. Any bytes are possible; what is no report is ignored."""
    lines = answer.split(b"\n")
    if _BEGIN not in lines or _END not in lines:
        return []
    lines = lines[lines.index(_BEGIN) + 1 : lines.index(_END)]
    # The scripts of one repair have a report each.
    scripts: dict[bytes, list[list[bytes]]] = {}
    of_script: list[bytes] = []
    for line in lines:
        if not line.startswith(b"by "):
            of_script.append(line)
            continue
        of_script = []
        if line[3:] in scripts or len(scripts) < MOST_REPORTS:
            scripts.setdefault(line[3:], []).append(of_script)
    reports = [_report(by, of_repair) for by, of_repair in scripts.items()]
    if reports and sum(map(len, lines)) + len(lines) > LONGEST:
        reports[-1].is_cut = True
    return reports


def _report(by: bytes, scripts: Sequence[Sequence[bytes]]) -> KeptReport:
    text = b"".join(b"%s\n" % line for lines in scripts for line in lines)
    ended = all(b"end" in lines or UNPLACED in lines for lines in scripts) and any(b"end" in lines for lines in scripts)
    report = KeptReport(node_text(by), text, is_whole=ended)
    names: dict[bytes, str] = {}
    for line in text.split(b"\n"):
        word, _, rest = line.partition(b" ")
        number, _, step = rest.partition(b" ")
        if word == b"step" and len(names) < _MOST_STEPS:
            names[number] = node_text(step)
        elif word in (b"ok", b"failed") and number in names:
            report.steps[names[number]] = None if word == b"ok" else node_text(step) or "failed without a message"
    return report
