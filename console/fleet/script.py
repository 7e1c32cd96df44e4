"""One constant shell script, many answers: sections framed by a nonce that nothing on the host can guess.

Every section of the output is `\\n@@<nonce> begin <name> <source>\\n<bytes>\\n@@<nonce> end <name> <exit>\\n`. What a
shell's start-up files print, binary content and a cut connection all leave the other sections readable. The script is
POSIX sh, uses builtins where it can, and bounds every command with `timeout` where the host has it. Values reach it as
quoted assignments in front of it, never as shell text.

Below a root folder (`root`), files are read under it and no command is run: the output of the command of section NAME
is read from `<root>/@commands/NAME`.
"""

import re
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from console.model.facts import Clock
from console.model.text import clean_line

T = TypeVar("T", covariant=True)

COMMANDS = "@commands"
"""Folder of captured command output below a root folder, one file per section."""
COMMAND_LIMIT_S = 10

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")

LIBRARY = r"""
LC_ALL=C; export LC_ALL
PATH="$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/opt/rocm/bin"; export PATH
case $ROOT in ""|/*) ;; *) ROOT=$PWD/$ROOT ;; esac
LIMIT=; if command -v timeout >/dev/null 2>&1; then LIMIT="timeout -s KILL $SECONDS_EACH"; fi

begin() { printf '\n@@%s begin %s %s\n' "$NONCE" "$1" "$2"; }
end() { printf '\n@@%s end %s %s\n' "$NONCE" "$1" "$2"; }

# value PATH: the first line of a small file, as `=PATH VALUE`, or `!PATH why`
value() {
  line=
  if { IFS= read -r line < "$ROOT$1" || [ -n "$line" ]; } 2>/dev/null; then printf '=%s %s\n' "$1" "$line"
  elif [ ! -e "$ROOT$1" ]; then printf '!%s absent\n' "$1"
  elif [ ! -r "$ROOT$1" ]; then printf '!%s denied\n' "$1"
  elif [ -d "$ROOT$1" ]; then printf '!%s folder\n' "$1"
  elif [ ! -s "$ROOT$1" ]; then printf '!%s empty\n' "$1"
  else printf '!%s unreadable\n' "$1"
  fi
}

# there PATH: whether it exists, as `+PATH` or `!PATH absent`
there() { if [ -e "$ROOT$1" ]; then printf '+%s\n' "$1"; else printf '!%s absent\n' "$1"; fi; }

# names GLOB...: what is there, as `+PATH` below the root
names() {
  for each in "$@"; do
    if [ -e "$each" ]; then printf '+%s\n' "${each#"$ROOT"}"; fi
  done
}

# sweep FILE...: every line of files as `FILE:LINE`, then what could not be read and why. One process reads them all,
# and a driver that does not answer costs no more than the time limit. The result is what `end` wants to know.
sweep() {
  { said=$($LIMIT grep -aHm 5000 '' "$@" 2>&1 >&4 </dev/null); status=$?; } 4>&1
  printf '\n@errors\n%s\n' "$said"
  if [ "$status" -le 2 ]; then return 0; fi
  return "$status"
}

# tally FILE...: runs of equal first lines, as `uniq -c` counts them
tally() { $LIMIT cat "$@" 2>/dev/null </dev/null | uniq -c; }

# whole NAME PATH: a section with all of a file
whole() {
  begin "$1" "$2"
  if [ -r "$ROOT$2" ] && [ ! -d "$ROOT$2" ]; then $LIMIT cat "$ROOT$2" 2>/dev/null; end "$1" $?
  elif [ -e "$ROOT$2" ]; then end "$1" denied
  else end "$1" absent
  fi
}

# output NAME COMMAND...: a section with what a command prints; below a root folder, what was captured of it
output() {
  section=$1; shift
  begin "$section" "$*"
  if [ -n "$ROOT" ]; then
    if [ -r "$ROOT/@commands/$section" ]; then cat "$ROOT/@commands/$section"; end "$section" $?
    else end "$section" absent
    fi
  elif command -v "$1" >/dev/null 2>&1; then $LIMIT "$@" 2>&1 </dev/null; end "$section" $?
  else end "$section" absent
  fi
}
"""


class Section(msgspec.Struct, frozen=True):
    """One answer. `exit` is None when the output was cut off; `why` ("absent", "denied"): there was nothing to read."""

    name: str
    source: str
    exit: int | None
    data: bytes
    why: str = ""

    @property
    def ok(self) -> bool:
        """The whole answer is here and its command succeeded."""
        return self.exit == 0


class Area(msgspec.Struct, Generic[T], frozen=True):
    """One part of a probe: what to ask, and how to read the answers. `parse` is pure; strange bytes never raise."""

    name: str
    script: str
    parse: Callable[[Mapping[str, Section]], T]


def compose(areas: Sequence[Area[object]], values: Mapping[str, str], nonce: str) -> bytes:
    """The script: quoted values, the library, the areas. It starts running only when the last line has arrived."""
    lines = assignments({"NONCE": nonce, "SECONDS_EACH": str(COMMAND_LIMIT_S), "ROOT": "", **values})
    body = "\n".join(area.script.strip("\n") for area in areas)
    clock = "output clock.begin date +%s%N\n{body}\noutput clock.end date +%s%N".replace("{body}", body)
    text = "\n".join((*lines, LIBRARY.strip("\n"), f"main() {{\n{clock}\n}}", "main </dev/null", "exit 0", ""))
    return text.encode()


def assignments(given: Mapping[str, str]) -> list[str]:
    """Quoted assignments, the one way values reach a script. ValueError for what cannot be one line of text."""
    for name, value in given.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value or "\n" in value or "\r" in value:
            raise ValueError(f"{name} cannot be given to a script: {value!r}")
    return [f"{name}={shlex.quote(value)}" for name, value in given.items()]


def new_nonce() -> str:
    """128 random bits; nothing on the host knows them before the script runs."""
    return secrets.token_hex(16)


def sections(output: bytes, nonce: str) -> tuple[Section, ...]:
    """Every section of a script's output, in order. Anything outside of frames is noise and left out.

    A section without its own end frame (cut off, or another begins first) has exit None.
    """
    return tuple(_sections(output, nonce.encode("ascii")))


def _sections(output: bytes, nonce: bytes) -> Iterator[Section]:
    # the mark alone, which is quick to search for; that it begins a line is looked at afterwards
    frame = re.compile(rb"@@" + re.escape(nonce) + rb" (begin|end) ([^ \n]*)(?: ([^\n]*))?(?=\n)")
    opened: tuple[str, str, int] | None = None
    for match in frame.finditer(output):
        before = max(0, match.start() - 1)
        if match.start() > 0 and output[before : before + 1] != b"\n":
            continue
        kind, name, rest = match.group(1), clean_line(match.group(2)), match.group(3) or b""
        if kind == b"begin":
            if opened is not None:
                yield Section(opened[0], opened[1], None, output[opened[2] : max(before, opened[2])])
            opened = (name, clean_line(rest), match.end() + 1)
        elif opened is not None and opened[0] == name:
            word = clean_line(rest, 80)
            number = int(word) if word.isdigit() and len(word) < 5 else -1
            data = output[opened[2] : max(before, opened[2])]
            yield Section(name, opened[1], number, data, "" if word.isdigit() else word)
            opened = None
    if opened is not None:
        yield Section(opened[0], opened[1], None, output[opened[2] :])


def by_name(found: Sequence[Section]) -> dict[str, Section]:
    """Sections by name; the first of a name counts, so that nothing later can replace it."""
    table: dict[str, Section] = {}
    for section in found:
        table.setdefault(section.name, section)
    return table


def clock(found: Mapping[str, Section], sent_ns: int, received_ns: int) -> Clock | None:
    """Host clock beside ours from the host's time at the script's begin and end, as NTP reckons; None when it has none.

    `sent_ns` and `received_ns` are our clock before and after. The uncertainty is half of the way there and back.
    """
    first, last = (_nanoseconds(found.get(name)) for name in ("clock.begin", "clock.end"))
    if first is None or last is None:
        return None
    offset = ((first - sent_ns) + (last - received_ns)) // 2
    way = max(0, (received_ns - sent_ns) - (last - first))
    return Clock(offset_ns=offset, uncertainty_ns=way // 2)


def _nanoseconds(section: Section | None) -> int | None:
    text = section.data.strip() if section is not None and section.ok else b""
    return int(text) if re.fullmatch(rb"\d{19}", text) else None
