"""Figures, sizes and times as the screens write them. Pure."""

from datetime import UTC, datetime

from console.model import units
from console.model.units import duration


def figure(value: float | None) -> str:
    """A figure with as many digits as say something; empty when unknown."""
    return "" if value is None else units.figure(value)


def size(count: float | None) -> str:
    """Bytes."""
    return "" if count is None else units.binary_size(int(count))


def ago(then_ns: int, now_ns: int) -> str:
    """How long since."""
    return duration((now_ns - then_ns) / 1e9)


def until(then_ns: int, now_ns: int) -> str:
    """How long from now."""
    return f"in {duration((then_ns - now_ns) / 1e9)}" if then_ns > now_ns else "now"


def utc(at_ns: int) -> str:
    """A moment, in UTC, to the second."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
