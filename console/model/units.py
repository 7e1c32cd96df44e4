"""Metrics: what a figure measures, in which unit, and which direction is better.

Names carry their meaning: `output_tokens_per_s` counts generated tokens only, `latency_s` is seconds.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

Better = Literal["higher", "lower"]


class Metric(msgspec.Struct, frozen=True):
    """One measurable quantity; `basis` says what one value covers (the whole run, one GPU, one request)."""

    name: str
    unit: str
    label: str
    better: Better
    basis: str


_ALL = (
    Metric("output_tokens_per_s", "tok/s", "Output tokens/s", "higher", "whole run"),
    Metric("total_tokens_per_s", "tok/s", "Total tokens/s", "higher", "whole run"),
    Metric("requests_per_s", "req/s", "Requests/s", "higher", "whole run"),
    Metric("latency_s", "s", "Latency (s)", "lower", "one batch"),
    Metric("elapsed_s", "s", "Elapsed (s)", "lower", "whole run"),
    Metric("ttft_s", "s", "Time to first token (s)", "lower", "one request"),
    Metric("tpot_s", "s", "Time per output token (s)", "lower", "one request"),
    Metric("itl_s", "s", "Inter-token latency (s)", "lower", "one token"),
    Metric("e2el_s", "s", "End-to-end latency (s)", "lower", "one request"),
    Metric("tflops_per_s_per_gpu", "TFLOP/s/GPU", "TFLOP/s/GPU", "higher", "one GPU"),
    Metric("tokens_per_s_per_gpu", "tok/s/GPU", "Tokens/s/GPU", "higher", "one GPU"),
    Metric("images_per_s_per_gpu", "images/s/GPU", "Images/s/GPU", "higher", "one GPU"),
    Metric("tokens_per_s_per_node", "tok/s/node", "Tokens/s/node", "higher", "one node"),
    Metric("images_per_s_per_node", "images/s/node", "Images/s/node", "higher", "one node"),
    Metric("step_s", "s", "Step time (s)", "lower", "one step"),
    Metric("gpu_memory_bytes", "B", "GPU memory (bytes)", "lower", "one GPU"),
    Metric("gpu_memory_used", "part", "GPU memory in use (part of all)", "lower", "one GPU"),
    Metric("prompt_tokens", "tok", "Prompt tokens", "higher", "whole run"),
    Metric("output_tokens", "tok", "Output tokens", "higher", "whole run"),
    Metric("requests", "req", "Requests completed", "higher", "whole run"),
    Metric("failed_requests", "req", "Requests failed", "lower", "whole run"),
)

_KNOWN = {metric.name: metric for metric in _ALL}
METRICS: Mapping[str, Metric] = MappingProxyType(_KNOWN)
"""Every metric by name: the product's own, and those that loaded matrices declare."""


def declare_metric(metric: Metric) -> None:
    """Make a metric of a user's matrix known, for as long as the process lives.

    Raises ValueError when the name is taken by a metric with another unit or direction: one name is one thing.
    """
    known = _KNOWN.setdefault(metric.name, metric)
    if (known.unit, known.better) != (metric.unit, metric.better):
        raise ValueError(f"metric {metric.name!r} is known as {known.unit}, {known.better} is better")


def oriented_ratio(metric: str, value: float, reference: float) -> float:
    """Measured over reference, turned so that above 1 is always better. Raises KeyError on an unknown metric."""
    if METRICS[metric].better == "higher":
        return value / reference if reference else float("nan")
    return reference / value if value else float("nan")


def binary_size(count: float) -> str:
    """Bytes for people: `1.5 GiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds for people, in the units that say something: `42 s`, `3 min 05 s`, `12 min`, `2 h 07 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole < 600 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def clock(seconds: float) -> str:
    """Seconds as `4:05` or `1:02:03`, which keeps its width while it counts down."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def figure(value: float) -> str:
    """A figure to be read, with as many digits as say something: `12,345`, `512.3`, `71.20`, `3.142`."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 10 else f"{value:.4g}"


def table_figure(value: float) -> str:
    """A figure of a table that programs may read too, without separators: `12345.7`, `512.3`, `71.2`, `3.142`."""
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"
