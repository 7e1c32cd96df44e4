"""The last minutes of a host's GPUs: curves for the plot, and a strip of each GPU in a table. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from console.desk.fleet_board import GpuHistory, GpuLive, History
from console.tui import marks
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.widgets.topology import short


class Metric(NamedTuple):
    """A reading that can be plotted: `per` divides it into `unit`; `top` is where its strip is full, 0 for its peak."""

    name: str
    title: str
    unit: str
    per: float = 1.0
    top: float = 0.0


METRICS = (
    Metric("busy_percent", "busy", "%", top=100),
    Metric("power_w", "power", "W"),
    Metric("junction_c", "junction", "°C", top=110),
    Metric("vram_used_bytes", "VRAM", "GiB", per=float(1 << 30)),
    Metric("sclk_mhz", "clock", "MHz"),
    Metric("throttle", "held back", "", top=1),
)


def columns(width: int) -> tuple[Column, ...]:
    """The table's columns; the strip takes what the figures leave."""
    figures = 3 + 8 + 4 * 9 + 7 * 2 + 1
    return (
        Column("gpu", "GPU", 3),
        Column("bdf", "address", 8),
        Column("now", "now", 9, right=True),
        Column("least", "least", 9, right=True, rank=2),
        Column("mean", "mean", 9, right=True, rank=1),
        Column("most", "most", 9, right=True),
        Column("strip", "the last minutes", max(20, width - figures)),
    )


def values(gpu: GpuHistory, metric: Metric) -> Sequence[float]:
    """A GPU's figures in the unit of the metric, oldest first; NaN where unknown."""
    raw: Sequence[float] = getattr(gpu, metric.name)
    return raw if metric.per == 1.0 else [value / metric.per for value in raw]


def times_s(history: History, now_ns: int) -> list[float]:
    """Seconds before now, negative."""
    return [(at - now_ns) / 1e9 for at in history.at_ns]


def series(history: History, metric: Metric, only: str | None = None) -> dict[str, Sequence[float]]:
    """Curves by `GPU n`; `only` the GPU of that address."""
    return {f"GPU {gpu.index}": values(gpu, metric) for gpu in history.gpus if only in (None, gpu.bdf)}


def limit(live: Sequence[GpuLive], metric: Metric) -> float | None:
    """What the GPUs may reach at most, where it is known: the power cap, the memory."""
    if metric.name == "power_w":
        return max((gpu.power_cap_w for gpu in live if gpu.power_cap_w), default=None)
    if metric.name == "vram_used_bytes":
        total = max((gpu.vram_total_bytes for gpu in live if gpu.vram_total_bytes), default=None)
        return total / metric.per if total else None
    return metric.top or None


def rows(history: History, metric: Metric, live: Sequence[GpuLive], width: int, last_s: int = 0) -> list[Row]:
    """A row for each GPU: now, least, mean, most, and its strip of the last so many seconds; all to one scale."""
    read = {gpu.bdf: [value for value in values(gpu, metric) if not math.isnan(value)] for gpu in history.gpus}
    top = limit(live, metric) or max((max(known) for known in read.values() if known), default=0.0)
    room = columns(width)[-1].width
    return [_row(gpu, metric, read[gpu.bdf], top, room, last_s) for gpu in history.gpus]


def _row(gpu: GpuHistory, metric: Metric, known: Sequence[float], top: float, room: int, last_s: int) -> Row:
    figures: list[Cell] = [""] * 4
    if known:
        newest = gpu_now(gpu, metric)
        least, most, mean = min(known), max(known), sum(known) / len(known)
        figures = [
            (_said(newest, metric) if newest is not None else "?", "bold"),
            (_said(least, metric), "dim"),
            (_said(mean, metric), ""),
            (_said(most, metric), ""),
        ]
    strip = stretch(values(gpu, metric)[-last_s:], room)
    return Row(gpu.bdf, ((str(gpu.index), "accent"), short(gpu.bdf), *figures, (drawn(strip, top), "busy")))


def gpu_now(gpu: GpuHistory, metric: Metric) -> float | None:
    """The newest figure; None when the last second told none."""
    own = values(gpu, metric)
    return own[-1] if len(own) and not math.isnan(own[-1]) else None


def stretch(figures: Sequence[float], room: int) -> list[float]:
    """The figures in exactly `room` steps: the greatest of each, so that no peak is lost; NaN where none is known."""
    count = len(figures)
    made = []
    for step in range(room if count else 0):
        start = step * count // room
        part = [value for value in figures[start : max(start + 1, (step + 1) * count // room)] if not math.isnan(value)]
        made.append(max(part, default=math.nan))
    return made


def drawn(strip: Sequence[float], top: float) -> str:
    """A level for each step, blank where nothing is known."""
    return "".join(" " if math.isnan(value) else marks.column(value / top if top else 0.0) for value in strip)


def _said(value: float, metric: Metric) -> str:
    if metric.name == "throttle":
        return "yes" if value >= 1 else "no" if value == 0 else f"{value:.0%}"
    return f"{value:.1f} {metric.unit}" if metric.unit == "GiB" else f"{value:.0f} {metric.unit}"
