"""Lines of the kernel log in every shape a host prints them: when, how grave, and the message alone."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from console.model.facts import KernelLine
from console.model.text import clean, clean_line

_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")

_PRIORITY = re.compile(r"<(\d{1,3})>")
_FACILITY = re.compile(r"[a-z0-9]{2,8}\s*:(emerg|alert|crit|err|warn|notice|info|debug)\s*:\s?")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?(?=\s|$)", re.ASCII
)
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?= )", re.ASCII)
_HUMAN = re.compile(r"\[\s*[A-Z][a-z]{2} ([A-Z][a-z]{2})\s+(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\]\s?", re.ASCII)
_UPTIME = re.compile(r"\[\s*(\d{1,10}\.\d{1,9})\](?:\[\s*[CT]\d+\])?\s?", re.ASCII)
_SENDER = re.compile(r"\s+\S+ ([\w./()@-]+?)(?:\[\d+\])?:\s?")
_KMSG = re.compile(r"(\d{1,5}),\d+,(\d{1,19}),[^;]{0,40};", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse(text: bytes | str, *, now_ns: int | None = None, boot_ns: int | None = None) -> Iterator[KernelLine]:
    """Lines of `dmesg` (bare, -T, -x, --time-format iso), `journalctl -k` (short, short-iso), kern.log and /dev/kmsg.

    `now_ns` gives the year to stamps that have none; `boot_ns` a time of day to stamps since boot. Lines of other
    programs than the kernel are left out. Never raises; what has no known frame is taken whole.
    """
    for raw in clean(text).split("\n"):
        if raw.strip():
            line = _line(raw.strip(), now_ns, boot_ns)
            if line is not None:
                yield line


def since_boot(lines: Iterable[KernelLine]) -> tuple[KernelLine, ...]:
    """The lines from the kernel's last banner on, of a log that may reach back over several boots."""
    kept: list[KernelLine] = []
    for line in lines:
        if line.text.startswith("Linux version "):
            kept = []
        kept.append(line)
    return tuple(kept)


def _line(raw: str, now_ns: int | None, boot_ns: int | None) -> KernelLine | None:
    level, rest = "", raw
    if (found := _KMSG.match(rest)) is not None:
        at_ns = _after(boot_ns, int(found[2]) / 1e6)
        return KernelLine(text=_text(rest[found.end() :]), raw=raw, at_ns=at_ns, level=_LEVELS[int(found[1]) & 7])
    if (found := _PRIORITY.match(rest)) is not None:
        level, rest = _LEVELS[int(found[1]) & 7], rest[found.end() :]
    by_dmesg = False
    if (found := _FACILITY.match(rest)) is not None:
        level, rest, by_dmesg = found[1], rest[found.end() :], True
    at_ns, rest, sender = _stamped(rest, now_ns)
    if sender and not by_dmesg and (found := _SENDER.match(rest)) is not None:
        if found[1] != "kernel":
            return None
        rest = rest[found.end() :]
    rest = rest.strip()
    if (found := _UPTIME.match(rest)) is not None:
        at_ns = at_ns if at_ns is not None else _after(boot_ns, float(found[1]))
        rest = rest[found.end() :]
    return KernelLine(text=_text(rest), raw=raw, at_ns=at_ns, level=level)


def _stamped(rest: str, now_ns: int | None) -> tuple[int | None, str, bool]:
    """The time of day in front of a line, the rest, and whether a host and a program come next (syslog and journal)."""
    if (found := _ISO.match(rest)) is not None:
        return _iso(found), rest[found.end() :], "," not in found[0]  # dmesg writes the fraction after a comma
    if (found := _SYSLOG.match(rest)) is not None:
        return _yearless(found, now_ns), rest[found.end() :], True
    if (found := _HUMAN.match(rest)) is not None:
        at_ns = _stamp(int(found[6]), found[1], found.group(2, 3, 4, 5), None)
        return at_ns, rest[found.end() :], False
    return None, rest, False


def _text(text: str) -> str:
    return clean_line(text, 1000)


def _after(boot_ns: int | None, uptime_s: float) -> int | None:
    return None if boot_ns is None else boot_ns + round(uptime_s * 1e9)


def _iso(found: re.Match[str]) -> int | None:
    zone = found[8]
    offset = timedelta(0)
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    try:
        numbers = [int(found[index]) for index in range(1, 7)]
        moment = datetime(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], tzinfo=UTC)
        return _ns(moment - offset, found[7])
    except (ValueError, OverflowError):
        return None


def _yearless(found: re.Match[str], now_ns: int | None) -> int | None:
    """A syslog stamp has no year: the latest one that is not in the future, a day of clock differences allowed."""
    if now_ns is None:
        return None
    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    at = _stamp(now.year, found[1], found.group(2, 3, 4, 5), found[6])
    if at is not None and at > now_ns + 86_400_000_000_000:
        at = _stamp(now.year - 1, found[1], found.group(2, 3, 4, 5), found[6])
    return at


def _stamp(year: int, month: str, rest: Sequence[str], fraction: str | None) -> int | None:
    if month not in _MONTHS:
        return None
    day, hour, minute, second = (int(part) for part in rest)
    try:
        return _ns(datetime(year, _MONTHS.index(month) + 1, day, hour, minute, second, tzinfo=UTC), fraction)
    except ValueError:
        return None


def _ns(moment: datetime, fraction: str | None) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + (int(fraction.ljust(9, "0")) if fraction else 0)
