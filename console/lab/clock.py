"""Two clocks: real time for what is stamped, simulated time for what programs do and report."""

import time
from datetime import UTC, datetime


class Clock:
    """Simulated seconds pass `speed` times as fast as real ones. Stamps are real nanoseconds and strictly rise."""

    def __init__(self, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed
        self._last_ns = 0

    def stamp(self) -> int:
        """Real UTC nanoseconds, never twice the same."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return self._last_ns

    def pace(self) -> float:
        """Simulated seconds in a real one, as of now."""
        return self.speed

    def real(self, simulated_s: float) -> float:
        """Real seconds that these simulated seconds take."""
        return simulated_s / self.pace()


class HostClock(Clock):
    """A host's own: as fast as the lab's, whose speed may change, and `ahead_ns` before it."""

    def __init__(self, lab: Clock) -> None:
        super().__init__(lab.speed)
        self._lab = lab
        self.ahead_ns = 0

    def stamp(self) -> int:
        """UTC nanoseconds on the host's clock, never twice the same."""
        return super().stamp() + self.ahead_ns

    def pace(self) -> float:
        """The lab's own."""
        return self._lab.pace()


def rfc3339(ns: int) -> str:
    """RFC 3339 with nine digits, as Docker prints times."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09d}Z"


ZERO_TIME = "0001-01-01T00:00:00Z"


def parse_since(text: str | None) -> int | None:
    """`seconds[.nanoseconds]` to nanoseconds, exactly; None when absent or zero. ValueError on anything else."""
    if not text:
        return None
    seconds, _, fraction = text.partition(".")
    value = int(seconds) * 1_000_000_000 + (int(fraction[:9].ljust(9, "0")) if fraction else 0)
    return value or None
