"""Curves of the Live screen on one time axis, in seconds since an attempt began. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from console.desk.board import AttemptView
from console.desk.fleet_history import History
from console.desk.rates import RatePoint
from console.model.attempt import Phase

if TYPE_CHECKING:
    from console.desk.readings import AttemptReadings

LAST_S = 600.0
POINTS = 300
GAP_S = 5.0


class Metric(NamedTuple):
    """A reading that can be plotted: its names in recorded readings and in a host's last minutes, and its scale."""

    key: str
    title: str
    unit: str
    recorded: str
    lately: str
    scale: float = 1.0
    floor: float | None = 0.0
    ceiling: float | None = None


METRICS = (
    Metric("power", "power", "W per GPU", "power_w", "power_w"),
    Metric("junction", "junction", "°C", "hotspot_c", "junction_c", floor=None),
    Metric("busy", "busy", "%", "busy_percent", "busy_percent", ceiling=100.0),
    Metric("vram", "VRAM", "GiB per GPU", "vram_used_bytes", "vram_used_bytes", 1 / 2**30),
    Metric("clock", "shader clock", "MHz", "sclk_mhz", "sclk_mhz"),
    Metric("throttle", "throttled", "% of the time", "throttle_share", "throttle", 100.0, ceiling=100.0),
)


class Span(NamedTuple):
    """The time axis: where 0 is (UTC nanoseconds), and from where to where it goes in seconds."""

    origin_ns: int
    start_s: float
    stop_s: float

    def second(self, at_ns: int) -> float:
        """A moment on this axis."""
        return (at_ns - self.origin_ns) / 1e9

    @property
    def window(self) -> tuple[float, float]:
        """As plots want it."""
        return self.start_s, self.stop_s


def span_of(view: AttemptView, now_ns: int, *, lately: bool) -> Span:
    """The axis of an attempt. It reaches somewhat beyond now, so that curves grow into it instead of moving."""
    origin_ns = view.started_at_ns or view.planned_at_ns
    now_s = max(0.0, ((view.ended_at_ns or now_ns) - origin_ns) / 1e9)
    if view.ended_at_ns is not None:
        stop_s = max(1.0, now_s)
    else:
        step = next((step for step in (10, 30, 60, 300, 900, 3600) if now_s / step <= 12), 7200)
        stop_s = float((int(now_s / step) + 1) * step)
    if lately and stop_s > LAST_S:
        # in steps of their own, as every move of the window paints the plot anew
        stop_s = min(stop_s, float((int(now_s / 10) + 1) * 10))
        return Span(origin_ns, stop_s - LAST_S, stop_s)
    return Span(origin_ns, 0.0, stop_s)


def rates(points: Iterable[RatePoint], span: Span) -> tuple[list[float], list[float]]:
    """Times and figures of an attempt's live rate."""
    times, values = [], []
    for point in points:
        times.append(span.second(point.at_ns))
        values.append(point.value)
    return times, values


def floor_of(values: Sequence[float]) -> float | None:
    """0 where a curve comes near it; else none, so that what matters is not pressed into the topmost lines."""
    known = [value for value in values if math.isfinite(value)]
    return 0.0 if not known or min(known) <= 0.4 * max(known) else None


def rate_gap_s(times: Sequence[float]) -> float:
    """How long a rate may be silent before its curve breaks: programs speak at their own pace."""
    steps = sorted(after - before for before, after in pairwise(times))
    return max(15.0, 6 * steps[len(steps) // 2]) if steps else 15.0


def moments(view: AttemptView, measured: tuple[int | None, int | None], span: Span) -> dict[str, float]:
    """Upright lines: where measuring began and ended, as far as that is known."""
    begin, end = measured
    if begin is None and view.phase is Phase.MEASURING:
        begin = view.phase_since_ns
    found = {}
    if begin is not None:
        found["measuring"] = span.second(begin)
    if end is not None and view.outcome is not None:
        found["measured"] = span.second(end)
    return found


class Telemetry(NamedTuple):
    """Highest, mean and lowest GPU of an attempt over time; `top` and `bottom` name who is that at the end."""

    times_s: list[float]
    highest: list[float]
    mean: list[float]
    lowest: list[float]
    gpus: int
    top: str
    bottom: str


class _Gathered:
    """Readings of many GPUs by moments of one axis."""

    def __init__(self, span: Span, until_s: float) -> None:
        self.step_s = max(1.0, (span.stop_s - span.start_s) / POINTS)
        self.span, self.until_s = span, min(until_s, span.stop_s)
        self.moments: dict[int, dict[str, float]] = {}
        self.gpus: set[str] = set()

    def add(self, gpu: str, at_ns: int, value: float, offset_ns: int = 0) -> None:
        """One reading; the later one of a moment counts."""
        second = self.span.second(at_ns - offset_ns)
        if math.isfinite(value) and self.span.start_s <= second <= self.until_s:
            self.moments.setdefault(int(second / self.step_s), {})[gpu] = value
            self.gpus.add(gpu)

    def read(self) -> Telemetry | None:
        """The three curves; None when there is nothing."""
        if not self.moments:
            return None
        times, highest, mean, lowest = [], [], [], []
        for number, values in sorted(self.moments.items()):
            times.append(number * self.step_s)
            highest.append(max(values.values()))
            mean.append(sum(values.values()) / len(values))
            lowest.append(min(values.values()))
        last = self.moments[max(self.moments)]
        top, bottom = max(last, key=lambda gpu: last[gpu]), min(last, key=lambda gpu: last[gpu])
        return Telemetry(times, highest, mean, lowest, len(self.gpus), top, bottom)


def telemetry(
    metric: Metric,
    span: Span,
    until_ns: int,
    recorded: "AttemptReadings | None",
    lately: Mapping[str, History],
    offsets_ns: Mapping[str, int],
) -> tuple[Telemetry | None, float]:
    """What the GPUs of an attempt did: what was recorded, and behind that what was heard of its hosts since.

    `offsets_ns` are host clock minus ours. Also returns the pause after which a curve is broken.
    """
    gathered = _Gathered(span, span.second(until_ns))
    newest: dict[str, int] = {}
    several = len({item.host for item in recorded.gpus} if recorded else lately) > 1
    numbers: dict[str, int] = {}
    for item in recorded.gpus if recorded else ():
        number = numbers[item.host] = numbers.get(item.host, -1) + 1
        name = f"{item.host} GPU {number}" if several else f"GPU {number}"
        offset_ns = offsets_ns.get(item.host, 0)
        for at_ns, value in zip(item.at_ns, item.series.get(metric.recorded, ()), strict=False):
            if value is not None:
                gathered.add(name, at_ns, value * metric.scale, offset_ns)
        if item.at_ns:
            newest[item.host] = max(newest.get(item.host, 0), item.at_ns[-1] - offset_ns)
    for host, history in lately.items():
        begin = _behind(history.at_ns, max(newest.get(host, 0), span.origin_ns))
        for gpu in history.gpus:
            name = f"{host} GPU {gpu.index}" if several else f"GPU {gpu.index}"
            values = getattr(gpu, metric.lately)
            for place in range(begin, len(history.at_ns)):
                gathered.add(name, history.at_ns[place], values[place] * metric.scale)
    return gathered.read(), max(GAP_S, 2.5 * gathered.step_s)


def _behind(times: Sequence[int], at_ns: int) -> int:
    """The first place with a later time; times are a second apart."""
    if not times or times[-1] <= at_ns:
        return len(times)
    return max(0, len(times) + (at_ns - times[-1]) // 1_000_000_000)


def curves(seen: Telemetry) -> dict[str, Sequence[float]]:
    """Named curves for a plot: one where there is a single GPU."""
    if seen.gpus == 1:
        return {seen.top: seen.mean}
    return {f"highest ({seen.top})": seen.highest, "mean": seen.mean, f"lowest ({seen.bottom})": seen.lowest}


MARKS = {"highest": "▲", "mean": "●", "lowest": "■"}


def marks(names: Iterable[str]) -> dict[str, str]:
    """A mark that fits what a curve is."""
    return {name: MARKS.get(name.split(" ")[0], "●") for name in names}
