"""Times people write on a command line, and times as we print them: UTC, ISO."""

import re
from datetime import UTC, datetime, timedelta

import click

_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)?")
_SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0, None: 1.0}


def seconds(text: str) -> float:
    """`90`, `90s`, `15m`, `1h30m`, `2d` as seconds. Raises BadParameter."""
    total, position = 0.0, 0
    compact = text.strip().replace(" ", "")
    while position < len(compact):
        match = _PIECE.match(compact, position)
        if match is None:
            break
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if not compact or position < len(compact):
        raise click.BadParameter(f"{text!r} is not a time; write 90s, 15m, 1h30m or 2d")
    return total


def moment_ns(text: str, now: datetime) -> int:
    """A moment to come, as nanoseconds since 1970: `18:30` (next, local), an ISO date and time, or `+2h`.

    An ISO time without an offset is local. Raises BadParameter, also for a moment that has passed.
    """
    text = text.strip()
    if text.startswith("+"):
        at = now + timedelta(seconds=seconds(text[1:]))
    elif clock := re.fullmatch(r"(\d{1,2}):(\d{2})", text):
        at = _next_clock(int(clock[1]), int(clock[2]), text, now)
    else:
        try:
            at = datetime.fromisoformat(text).astimezone()
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a time; write 18:30, 2026-03-01T06:00Z or +2h") from None
    if at <= now:
        raise click.BadParameter(f"{text!r} has passed")
    return round(at.timestamp() * 1e9)


def _next_clock(hour: int, minute: int, text: str, now: datetime) -> datetime:
    local = now.astimezone()
    try:
        at = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time of day") from None
    return at if at > local else at + timedelta(days=1)


def iso(ns: int | None) -> str | None:
    """Nanoseconds since 1970 as UTC ISO time with seconds."""
    if ns is None:
        return None
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
