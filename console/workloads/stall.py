"""A run that stopped making steps: nothing is printed, nobody ends, and the programs' own timeouts are hours away."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from console.model.attempt import Sample
from console.model.units import duration

TIMES_MEDIAN = 5.0
"""Without a step for so many times the median step, a run counts as stalled (the rule of AMD's own guides)."""

LEAST_S = 60.0
"""Shorter silences are no stall, however short the steps: logs arrive in batches."""

STEPS_NEEDED = 4
"""The first steps compile and tune; before so many nothing is known of the pace."""


def stalled(samples: Sequence[Sample], now_ns: int, after_s: float | None = None) -> str | None:
    """Why a run counts as stalled, in words; None while it goes on, is not known to, or has made its last step.

    Pure. `samples` are those of the part that prints the steps, in their order; `now_ns` is on the clock of their
    `at_ns`, which is the host's. A slow start is not judged: the deadline is for that; nor is a step which something
    else follows, or whose place among all of them is not told. `after_s`: so many seconds of silence are a stall
    whatever the pace, 0 for never.
    """
    steps = [sample for sample in samples if sample.source == "iteration line" and sample.done is not None]
    if len(steps) < STEPS_NEEDED:
        return None
    last = steps[-1]
    ended = last.total is not None and last.done is not None and last.done >= last.total
    if ended or last.pause or after_s == 0 or (last.total is None and after_s is None):
        return None
    gaps = [(after.at_ns - before.at_ns) / 1e9 for before, after in pairwise(steps)]
    pace, silent = median(gaps), (now_ns - last.at_ns) / 1e9
    if silent <= (max(LEAST_S, TIMES_MEDIAN * pace) if after_s is None else after_s):
        return None
    return (
        f"no step for {duration(silent)} after step {last.done:.0f}; a step takes {duration(pace)}: stalled"
        if pace >= 1
        else f"no step for {duration(silent)} after step {last.done:.0f}; a step takes less than a second: stalled"
    )
