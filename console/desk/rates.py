"""Live figures of one attempt: which of them to show, their mean, and a bounded history for plots."""

from array import array
from collections.abc import Sequence

import msgspec

from console.model.attempt import Sample
from console.model.units import METRICS

STALE_NS = 60_000_000_000
"""A better source that was silent for so long gives way to one that still speaks."""

_SOURCES = {"metrics endpoint": 0, "stat line": 1, "iteration line": 2, "progress bar": 3}
_TOKENS = {"output_tokens_per_s": 1, "tokens_per_s_per_gpu": 1, "total_tokens_per_s": 2}

_Key = tuple[str, str]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """The latest live figure, in `unit`. `mean` covers the measuring phase so far; None before it."""

    metric: str
    unit: str
    source: str
    value: float
    at_ns: int
    mean: float | None

    def age_s(self, now_ns: int) -> float:
        """Seconds since it was heard."""
        return max(0, now_ns - self.at_ns) / 1e9


class RatePoint(msgspec.Struct, frozen=True):
    """One point of a plot: our clock, and the mean figure of the samples it stands for."""

    at_ns: int
    value: float


class Points:
    """A history of fixed size: when it is full, neighbours are merged, so it always covers the whole time."""

    def __init__(self, limit: int) -> None:
        self._limit = max(2, limit - limit % 2)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._times = array("q")
        self._values = array("d")
        self._merge = 1
        self._open: list[float] = []
        self._open_at_ns = 0

    def add(self, at_ns: int, value: float) -> None:
        """One more figure."""
        self._open.append(value)
        self._open_at_ns = at_ns
        if len(self._open) < self._merge:
            return
        self._times.append(at_ns)
        self._values.append(sum(self._open) / len(self._open))
        self._open.clear()
        if len(self._times) == self._limit:
            self._times = self._times[1::2]
            pairs = zip(self._values[0::2], self._values[1::2], strict=True)
            self._values = array("d", [(first + second) / 2 for first, second in pairs])
            self._merge *= 2

    def read(self) -> Sequence[RatePoint]:
        """All points, oldest first; the last may still be filling."""
        points = [RatePoint(at_ns, value) for at_ns, value in zip(self._times, self._values, strict=True)]
        if self._open:
            points.append(RatePoint(self._open_at_ns, sum(self._open) / len(self._open)))
        return points


class _Stream(msgspec.Struct):
    """Figures of one metric from one source."""

    value: float
    at_ns: int
    measured_sum: float = 0.0
    measured: int = 0


class Rates:
    """Folds the samples of an attempt. The metric of its cell is preferred, then tokens, then what there is."""

    def __init__(self, preferred: str, limit: int) -> None:
        self._preferred = preferred
        self._streams: dict[_Key, _Stream] = {}
        self._points = Points(limit)
        self._plotted: _Key | None = None

    def add(self, sample: Sample, heard_ns: int, measuring: bool) -> None:
        """One sample; those without a figure change nothing."""
        metric = sample.metric
        if sample.rate is None or metric is None or metric not in METRICS:
            return
        key = (metric, sample.source)
        stream = self._streams.setdefault(key, _Stream(sample.rate, heard_ns))
        stream.value, stream.at_ns = sample.rate, heard_ns
        if measuring:
            stream.measured_sum += sample.rate
            stream.measured += 1
        if self._plotted is None or self._rank(key) < self._rank(self._plotted):
            self._plotted = key
            self._points.clear()
        if key == self._plotted:
            self._points.add(heard_ns, sample.rate)

    def now(self) -> Rate | None:
        """The figure to show, or None when there was none."""
        if not self._streams:
            return None
        newest = max(stream.at_ns for stream in self._streams.values())
        fresh = [key for key, stream in self._streams.items() if stream.at_ns >= newest - STALE_NS]
        key = min(fresh, key=self._rank)
        stream = self._streams[key]
        return Rate(
            metric=key[0],
            unit=METRICS[key[0]].unit,
            source=key[1],
            value=stream.value,
            at_ns=stream.at_ns,
            mean=stream.measured_sum / stream.measured if stream.measured else None,
        )

    def points(self) -> Sequence[RatePoint]:
        """History of the best figure there was."""
        return self._points.read()

    def _rank(self, key: _Key) -> tuple[int, int, str]:
        metric, source = key
        return 0 if metric == self._preferred else _TOKENS.get(metric, 3), _SOURCES[source], metric
