"""Figures, sizes and times as the screens write them. Pure."""

from datetime import UTC, datetime

from console.model import units
from console.model.units import binary_size


def figure(value: float | None) -> str:
    """A figure with as many digits as say something; empty when unknown."""
    return "" if value is None else units.figure(value)


def size(count: float | None) -> str:
    """Bytes."""
    return "" if count is None else binary_size(int(count))


def span_s(seconds: float) -> str:
    """A time span in its two largest units: `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole < 600 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago(then_ns: int, now_ns: int) -> str:
    """How long since."""
    return span_s((now_ns - then_ns) / 1e9)


def until(then_ns: int, now_ns: int) -> str:
    """How long from now."""
    return f"in {span_s((then_ns - now_ns) / 1e9)}" if then_ns > now_ns else "now"


def utc(at_ns: int) -> str:
    """A moment, in UTC, to the second."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
