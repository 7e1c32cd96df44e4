"""What a plot is made of: its curves, the scale between figures and dots, and how figures and times are written."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_TIME_STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
    86400,
    172800,
    604800,
)

LEAST_SPAN = 0.1
"""The y axis spans at least this part of its figures."""


class Curve(NamedTuple):
    """One named series; `values` as long as the times of its data, NaN where nothing is known."""

    name: str
    values: Sequence[float]
    mark: str = "●"


class Data(NamedTuple):
    """What to draw. Times are seconds on any scale, ascending; those below 0 are shown as time before `now`.

    `window` is the span of the x axis (the data's own when None), `floor` and `ceiling` bound the y axis when given.
    `lines` are figures to be seen as labelled horizontal lines, `moments` times to be seen as vertical ones.
    """

    times_s: Sequence[float] = ()
    curves: tuple[Curve, ...] = ()
    unit: str = ""
    title: str = ""
    lines: tuple[tuple[str, float], ...] = ()
    moments: tuple[tuple[str, float], ...] = ()
    window: tuple[float, float] | None = None
    floor: float | None = None
    ceiling: float | None = None
    gap_s: float | None = None
    empty: str = ""


def short(value: float) -> str:
    """A figure of the y axis in at most six cells."""
    if not math.isfinite(value):
        return "?"
    size = abs(value)
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 100 else f"{scaled:.3g}{unit}"
    if size >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.0e}"


def time_label(seconds: float) -> str:
    """`2:05` since the start, `-2:05` ago, hours when there are any."""
    if seconds == 0:
        return "0:00"
    whole = round(abs(seconds))
    minutes, hours = whole // 60 % 60, whole // 3600
    text = f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    return f"-{text}" if seconds < 0 else text


def nice_step(span: float, most: int) -> float:
    """A step of 1, 2, 2.5 or 5 times a power of ten that divides `span` into at most `most` pieces."""
    if span <= 0 or most < 1:
        return 1.0
    raw = span / most
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next((step * power for step in (1, 2, 2.5, 5) if step * power >= raw * 0.9999), 10 * power)


def time_step(span_s: float, most: int) -> float:
    """A step of whole seconds, minutes or hours that divides `span_s` into at most `most` pieces."""
    raw = span_s / max(1, most)
    return next((float(step) for step in _TIME_STEPS if step >= raw), nice_step(span_s, max(1, most)))


class Scale(NamedTuple):
    """From figures to dots. `low` to `high` over `rows` cells, `start` to `stop` seconds over `columns` cells."""

    low: float
    high: float
    start: float
    stop: float
    columns: int
    rows: int

    def x(self, time_s: float) -> int:
        """Dot column."""
        share = (time_s - self.start) / (self.stop - self.start)
        return min(self.columns * 2 - 1, max(0, int(share * self.columns * 2)))

    def y(self, value: float) -> int:
        """Dot row from the top."""
        share = (value - self.low) / (self.high - self.low)
        last = self.rows * 4 - 1
        return min(last, max(0, round((1 - share) * last)))


def scale_of(data: Data, columns: int, rows: int) -> Scale | None:
    """None when there is nothing to be seen in the window."""
    times = data.times_s
    if data.window is not None:
        start, stop = data.window
    elif times:
        start, stop = times[0], times[-1]
    else:
        return None
    stop = max(stop, start + 1.0)
    low, high = math.inf, -math.inf
    for curve in data.curves:
        for time_s, value in zip(times, curve.values, strict=False):
            if start <= time_s <= stop and math.isfinite(value):
                low, high = min(low, value), max(high, value)
    if low > high:
        return None
    low = min(low, data.floor) if data.floor is not None else low
    high = max(high, data.ceiling) if data.ceiling is not None else high
    reach = max(high - low, abs(high) * 0.5)
    for _, value in data.lines:
        # one far away would flatten the curve: it is then named at the edge instead
        if low - reach <= value <= high + reach:
            low, high = min(low, value), max(high, value)
    least = max(abs(low), abs(high)) * LEAST_SPAN or 1.0
    if high - low < least:
        # noise must not look like a mountain
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    pad = (high - low) * 0.06
    bottom = low if data.floor is not None and low <= data.floor else low - pad
    top = high if data.ceiling is not None and high >= data.ceiling else high + pad
    low, high = (max(bottom, data.floor) if data.floor is not None else bottom), top
    return Scale(low, high, start, stop, columns, rows)
