"""The last minutes of a host's live readings in arrays that never grow: a point a second, NaN where none was heard."""

import math
from array import array
from collections.abc import Sequence

import msgspec

from console.model.attempt import Beat, Reading

STEP_NS = 1_000_000_000
HELD_STEPS = 2
"""A reading stands for so many seconds after it, as turns of the loop take a little longer than a second."""
GPU_METRICS = ("busy_percent", "vram_used_bytes", "power_w", "junction_c", "sclk_mhz", "throttle")
_NAN = math.nan


class GpuHistory(msgspec.Struct, frozen=True):
    """One GPU: arrays of float32, oldest first, NaN where unknown. `throttle` is 1 while throttled, else 0."""

    index: int
    bdf: str
    busy_percent: "array[float]"
    vram_used_bytes: "array[float]"
    power_w: "array[float]"
    junction_c: "array[float]"
    sclk_mhz: "array[float]"
    throttle: "array[float]"


class History(msgspec.Struct, frozen=True):
    """A copy of a host's last minutes. All arrays are as long as `at_ns`, a second apart, oldest first.

    `at_ns` is our clock. The last point is the newest reading; seconds before the first one are NaN.
    """

    at_ns: "array[int]"
    load_1m: "array[float]"
    memory_available_bytes: "array[float]"
    gpus: tuple[GpuHistory, ...] = ()


class Ring:
    """The recorder of one host. Fixed size once its GPUs are known: 24 bytes a second and GPU."""

    def __init__(self, length: int) -> None:
        if length < 1:
            raise ValueError("a history has at least one point")
        self._length = length
        self._newest: int | None = None
        self._bdfs: tuple[str, ...] = ()
        self._values = array("f", [_NAN]) * (2 * length)

    def add(self, at_ns: int, beat: Beat) -> None:
        """Record a beat. One older than the window is left out; of two in a second the later one stays."""
        bdfs = tuple(reading.bdf for reading in beat.gpus)
        if bdfs != self._bdfs:
            self._regrow(bdfs)
        second = at_ns // STEP_NS
        length, values = self._length, self._values
        if self._newest is None or second > self._newest:
            self._advance(second)
        elif self._newest - second >= length:
            return
        slot = second % length
        host = beat.host
        values[slot] = _NAN if host.load_1m is None else host.load_1m
        slot += length
        values[slot] = _NAN if host.memory_available_bytes is None else host.memory_available_bytes
        for reading in beat.gpus:
            for value in _figures(reading):
                slot += length
                values[slot] = _NAN if value is None else value

    def copy(self, indexes: Sequence[str] = ()) -> History:
        """The window as it is now; `indexes` are the addresses in the order they are numbered elsewhere."""
        length = self._length
        newest = self._newest if self._newest is not None else length - 1
        first = newest - length + 1
        columns = [self._column(number, first) for number in range(2 + len(self._bdfs) * len(GPU_METRICS))]
        numbers = {bdf: number for number, bdf in enumerate(indexes)}
        gpus = []
        for place, bdf in enumerate(self._bdfs):
            start = 2 + place * len(GPU_METRICS)
            gpus.append(GpuHistory(numbers.get(bdf, place), bdf, *columns[start : start + len(GPU_METRICS)]))
        times = array("q", range(first * STEP_NS, (newest + 1) * STEP_NS, STEP_NS))
        return History(times, columns[0], columns[1], tuple(sorted(gpus, key=lambda gpu: gpu.index)))

    def _column(self, number: int, first: int) -> "array[float]":
        start, cut = number * self._length, first % self._length
        return self._values[start + cut : start + self._length] + self._values[start : start + cut]

    def _advance(self, second: int) -> None:
        """Move the window's end: a second or two without a word keep the last value, more of them are a gap."""
        length, before = self._length, self._newest
        self._newest = second
        if before is None:
            return
        skipped = second - before - 1
        if skipped == 0:
            return
        held = skipped <= HELD_STEPS
        columns = len(self._values) // length
        for late in range(before + 1, min(second, before + 1 + length)):
            for start in range(0, columns * length, length):
                self._values[start + late % length] = self._values[start + before % length] if held else _NAN

    def _regrow(self, bdfs: tuple[str, ...]) -> None:
        """Other GPUs than before: the host's own figures stay, those of GPUs begin afresh."""
        length = self._length
        self._bdfs = bdfs
        self._values = self._values[: 2 * length] + array("f", [_NAN]) * (len(bdfs) * len(GPU_METRICS) * length)


def _figures(reading: Reading) -> tuple[float | None, ...]:
    """In the order of GPU_METRICS."""
    return (
        reading.busy_percent,
        reading.vram_used_bytes,
        reading.power_w,
        reading.hotspot_c,
        reading.sclk_mhz,
        None if reading.throttle is None else float(bool(reading.throttle)),
    )
