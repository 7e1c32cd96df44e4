"""Notices that an attempt makes no steps any more, whatever the clocks of its hosts say."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

import msgspec

from console.model.attempt import Sample, Signal
from console.workloads.stall import stalled

WATCHER = "stall watch"
"""Who asks for the stop of an attempt that stalled."""

REMEMBERED = 200

LEAST_REAL_NS = 10_000_000_000
"""Where time is played faster, a silence this short may only be a busy machine."""


class StallWatch:
    """Fed with the signals of all parts. Silence is measured on our clock from the moment a step was heard.

    `speed`: how much faster than time the lab plays; steps and silences are then told in its seconds. `after_s` as in
    `stalled`.
    """

    def __init__(
        self, speed: float = 1.0, clock: Callable[[], int] = time.monotonic_ns, after_s: float | None = None
    ) -> None:
        self._speed = speed
        self._after_s = after_s
        self._clock = clock
        self._steps: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._heard_at: dict[str, int] = {}

    def heard(self, part: str, signal: Signal) -> None:
        """Take note of a signal; only steps count."""
        if isinstance(signal, Sample) and signal.source == "iteration line":
            self._steps[part].append(msgspec.structs.replace(signal, at_ns=int(signal.at_ns * self._speed)))
            self._heard_at[part] = self._clock()

    def start_again(self) -> None:
        """A connection came back: what was printed meanwhile is still to arrive."""
        now = self._clock()
        self._heard_at = dict.fromkeys(self._heard_at, now)

    def verdict(self) -> str | None:
        """Why the attempt counts as stalled, or None. Every part that prints steps must be silent."""
        found = []
        for part, steps in self._steps.items():
            silent_ns = self._clock() - self._heard_at[part]
            why = stalled(tuple(steps), steps[-1].at_ns + int(silent_ns * self._speed), self._after_s)
            if why is None or (self._speed > 1 and silent_ns < LEAST_REAL_NS):
                return None
            found.append(why)
        return found[0] if found else None
