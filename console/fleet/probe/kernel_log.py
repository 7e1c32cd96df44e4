"""The newest part of the kernel log, from the first place that lets the account read it.

dmesg (needs root where kernel.dmesg_restrict is 1), journalctl (needs the group adm or systemd-journal), the log files.
`sudo` only where the fleet file allows it. Where none can be read the log is unknown, never clean.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from console.fleet.probe.reading import Table
from console.fleet.script import Area, Section
from console.model.facts import KernelLine, KernelLog, Known, Unknown
from console.model.text import clean_line

LINES = 4000
BYTES = 1 << 20
"""No more than these is sent, counted from the end."""

_SCRIPT = """
# logged NAME COMMAND...: its exit status and what it says of a failure, `@log`, the newest part of its output
logged() {
  section=$1; shift
  begin "$section" "$*"
  if [ -n "$ROOT" ]; then
    said=
    if [ -r "$ROOT/@commands/$section" ]; then
      said=$(tail -n $LOG_LINES "$ROOT/@commands/$section" | tail -c $LOG_BYTES)
    fi
  elif command -v "$1" >/dev/null 2>&1; then
    {
      said=$({ $LIMIT "$@" 2>&4 </dev/null; printf '@exit %s\\n' $? >&4; } |
        tail -n $LOG_LINES | tail -c $LOG_BYTES)
    } 4>&1
  else said=; fi
  if [ -n "$said" ]; then printf '@log\\n%s\\n' "$said"; found=yes; fi
  end "$section" 0
}
found=
logged kernel.dmesg dmesg -x --time-format iso
if [ -z "$found" ]; then logged kernel.plain dmesg; fi
if [ -z "$found" ] && [ "$SUDO_PROBE" = yes ]; then
  logged kernel.sudo sudo -n dmesg -x --time-format iso
fi
if [ -z "$found" ]; then logged kernel.journal journalctl -k -b 0 -q -o short-iso-precise --no-pager -n $LOG_LINES; fi
for file in /var/log/kern.log /var/log/dmesg; do
  if [ -z "$found" ]; then
    begin "kernel.file.${file##*/}" "$file"
    if [ -r "$ROOT$file" ] && [ -s "$ROOT$file" ]; then
      found=yes
      printf '@log\\n'
      $LIMIT tail -n $LOG_LINES "$ROOT$file" 2>/dev/null | tail -c $LOG_BYTES
      end "kernel.file.${file##*/}" 0
    elif [ -e "$ROOT$file" ]; then end "kernel.file.${file##*/}" denied
    else end "kernel.file.${file##*/}" absent; fi
  fi
done
"""


def script(lines: int = LINES) -> str:
    """Asks for so many of the newest lines."""
    return f"\nLOG_LINES={lines + 1} LOG_BYTES={BYTES + 1}{_SCRIPT}"


SCRIPT = script()

_SECTIONS = (
    "kernel.dmesg",
    "kernel.plain",
    "kernel.sudo",
    "kernel.journal",
    "kernel.file.kern.log",
    "kernel.file.dmesg",
)
_SHOW = ("sudo", "dmesg")

_LEVEL = r"(?:\w{1,10} *:(?P<level>\w{1,7}) *: )?"
_ISO = r"(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:[+-]\d\d:?\d\d|Z))"
_SINCE = r"\[ *(?P<since>\d{1,9}\.\d{1,9})\] ?"
_FROM = rf"(?:\S+ kernel: (?:{_SINCE})?)?"
_FORMS = (
    re.compile(rf"{_LEVEL}{_ISO} {_FROM}(?P<text>.*)", re.ASCII),
    re.compile(rf"{_LEVEL}{_SINCE}(?P<text>.*)", re.ASCII),
    re.compile(rf"\w{{3}} [ \d]\d \d\d:\d\d:\d\d {_FROM}(?P<text>.*)", re.ASCII),
    re.compile(rf"{_LEVEL}\[\w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d \d{{4}}\] (?P<text>.*)", re.ASCII),
)
"""`dmesg --time-format iso` and the journal, `dmesg`, older log files, `dmesg -T`. Local times are no times."""

_STRANGE = re.compile(rb"[^\t\n -~]")
_LINE_LIMIT = 4096


def parse(found: Mapping[str, Section]) -> Known[KernelLog] | Unknown:
    """The log of the first source that gave one; unknown with what each of them said when none did."""
    said: list[str] = []
    for name in _SECTIONS:
        section = found.get(name)
        if section is None:
            continue
        head, mark, body = (b"\n" + section.data).partition(b"\n@log\n")
        if section.exit is None:
            return Unknown("the answer was cut off", section.source, _SHOW)
        if mark and body.strip():
            return Known(_log(section.source, body, _boot_ns(found), name.startswith("kernel.file")), section.source)
        words = clean_line(section.why) or clean_line(re.sub(rb"@exit (\d+)", rb"(exit \1)", head)[-300:]) or "nothing"
        said.append(f"{section.source}: {words}")
    if not said:
        return Unknown("the answer was cut off", "kernel log", _SHOW)
    return Unknown("no place where the kernel log is kept may be read", "; ".join(said), _SHOW)


def _boot_ns(found: Mapping[str, Section]) -> int | None:
    """When the host booted, on its own clock; None when it cannot be told (files alone have no clock)."""
    section = found.get("clock.begin")
    uptime = Table(found.get("host")).raw("/proc/uptime") or ""
    now = section.data.strip() if section is not None and section.ok else b""
    match = re.match(r"(\d{1,12})\.(\d\d) ", uptime, re.ASCII)
    if match is None or not re.fullmatch(rb"\d{19}", now):
        return None
    return int(now) - int(match.group(1)) * 1_000_000_000 - int(match.group(2)) * 10_000_000


def _log(source: str, body: bytes, boot_ns: int | None, from_file: bool) -> KernelLog:
    plain = _STRANGE.search(body) is None
    raw = body.rstrip(b"\n").split(b"\n")
    cut = len(raw) > LINES or len(body) > BYTES
    if cut:
        raw = raw[1:][-LINES:]
    texts = [line.decode("ascii")[:_LINE_LIMIT] if plain else clean_line(line, _LINE_LIMIT) for line in raw]
    boots = [number for number, text in enumerate(texts) if "Linux version " in text]
    this_boot = True
    if from_file and not source.endswith("dmesg"):
        this_boot = bool(boots)
        texts = texts[boots[-1] :] if boots else texts
    lines = tuple(kernel_lines(texts, boot_ns if this_boot else None))
    complete = bool(boots) and (not cut or from_file) and not source.endswith("/dmesg")
    return KernelLog(source=source, lines=lines, complete=complete, this_boot=this_boot)


def kernel_lines(texts: Sequence[str], boot_ns: int | None = None) -> list[KernelLine]:
    """Clean lines of any form, read. `boot_ns` turns seconds since boot into times; empty lines are left out."""
    found = []
    last = 0
    for raw in texts:
        if not raw:
            continue
        match = _FORMS[last].fullmatch(raw)
        if match is None:
            for number, form in enumerate(_FORMS):
                match = form.fullmatch(raw)
                if match is not None:
                    last = number
                    break
        if match is None:
            found.append(KernelLine(text=raw, raw=raw))
            continue
        groups = match.groupdict()
        at_ns = _time(groups.get("iso"))
        if at_ns is None and boot_ns is not None and groups.get("since"):
            at_ns = boot_ns + round(float(groups["since"]) * 1e9)
        found.append(KernelLine(text=groups["text"], raw=raw, at_ns=at_ns, level=groups.get("level") or ""))
    return found


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    except (ValueError, OverflowError):
        return None


AREA = Area("kernel_log", SCRIPT, parse)
