"""A vLLM server's Prometheus text to samples: rates from counters of successive answers.

Counters are summed over their label sets (engines, models); gauges of use are averaged, counts of requests summed.
"""

import math
import re

from console.model.attempt import Sample

GENERATED = "vllm:generation_tokens_total"
PROMPT = "vllm:prompt_tokens_total"
PREEMPTIONS = "vllm:num_preemptions_total"
_RUNNING = "vllm:num_requests_running"
_WAITING = "vllm:num_requests_waiting"
_KV_NAMES = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""New name first: releases 0.9 and 0.10 expose both."""

_SERIES = re.compile(
    rb"^(vllm:[a-z_]{3,60})(?:\{[^\n]{0,2000}\})? +([0-9.eE+-]{1,30}|NaN|[+-]?Inf)(?: +-?\d+)?\r?$", re.M
)
_SIZE_LIMIT = 8 << 20


class MetricsEndpoint:
    """Feed answers in time order; take samples. The first answer, and the first after a restart, has no rate."""

    def __init__(self) -> None:
        self._last: tuple[int, dict[str, float]] | None = None
        self.preemptions = 0.0

    def read(self, at_ns: int, body: bytes) -> Sample | None:
        """The sample of one answer taken at `at_ns`; None for a body that is not a vLLM server's metrics."""
        totals, kv_used = _totals(body[:_SIZE_LIMIT])
        if GENERATED not in totals:
            return None
        before, self._last = self._last, (at_ns, totals)
        self.preemptions = totals.get(PREEMPTIONS, 0.0)
        return Sample(
            at_ns=at_ns,
            source="metrics endpoint",
            metric="output_tokens_per_s",
            rate=_rate(GENERATED, at_ns, totals, before),
            running=_count(totals.get(_RUNNING)),
            waiting=_count(totals.get(_WAITING)),
            kv_cache_used=kv_used,
            prompt_tokens_per_s=_rate(PROMPT, at_ns, totals, before),
            extra={"output_tokens": totals[GENERATED], "preemptions": self.preemptions},
        )


def _totals(body: bytes) -> tuple[dict[str, float], float | None]:
    """Sums by series name, and the mean KV use under whichever name it has."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, text in _SERIES.findall(body):
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            key = name.decode()
            sums[key] = sums.get(key, 0.0) + value
            counts[key] = counts.get(key, 0) + 1
    for key in _KV_NAMES:
        if key in sums:
            return sums, sums[key] / counts[key]
    return sums, None


def _rate(name: str, at_ns: int, totals: dict[str, float], before: tuple[int, dict[str, float]] | None) -> float | None:
    """Per second since the last answer. None without one, without time between, or when the counter went back."""
    if before is None or name not in totals or name not in before[1] or at_ns <= before[0]:
        return None
    grown = totals[name] - before[1][name]
    return grown / ((at_ns - before[0]) / 1e9) if grown >= 0 else None


def _count(value: float | None) -> int | None:
    return None if value is None else round(value)
