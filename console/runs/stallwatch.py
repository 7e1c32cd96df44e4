"""Notices that an attempt makes no steps any more, whatever the clocks of its hosts say."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

from console.model.attempt import Sample, Signal
from console.workloads.stall import stalled

WATCHER = "stall watch"
"""Who asks for the stop of an attempt that stalled."""

REMEMBERED = 200


class StallWatch:
    """Fed with the signals of all parts. Silence is measured on our clock from the moment a step was heard."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._steps: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._heard_at: dict[str, int] = {}

    def heard(self, part: str, signal: Signal) -> None:
        """Take note of a signal; only steps count."""
        if isinstance(signal, Sample) and signal.source == "iteration line":
            self._steps[part].append(signal)
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
            why = stalled(tuple(steps), steps[-1].at_ns + silent_ns)
            if why is None:
                return None
            found.append(why)
        return found[0] if found else None
