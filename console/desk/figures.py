"""The latest live figures of an attempt: of a GPU and of a node, step time, loss, memory, and whatever else is said."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from console.model import units
from console.model.attempt import Sample
from console.model.cell import Conditions
from console.model.profile import GpuSpec
from console.model.text import Clean, clean_line
from console.model.units import METRICS, binary_size

LIMIT = 40
"""Most figures kept of one attempt: a matrix of one's own may name any."""

TFLOPS = "tflops_per_s_per_gpu"

_ORDER = (
    *("output_tokens_per_s", "total_tokens_per_s", "prompt_tokens_per_s", "requests_per_s"),
    *(TFLOPS, "tokens_per_s_per_gpu", "images_per_s_per_gpu", "tokens_per_s_per_node", "images_per_s_per_node"),
    *("step_s", "loss", "gpu_memory_used", "gpu_memory_bytes"),
    *("running", "waiting", "kv_cache_used"),
)
_PLAIN: Mapping[str, tuple[str, str]] = {
    "loss": ("Loss", ""),
    "grad_norm": ("Gradient norm", ""),
    "batch_size": ("Batch size", ""),
    "skipped_iterations": ("Iterations skipped", ""),
    "tflops_per_s_per_gpu_estimate": ("TFLOP/s/GPU, estimated", "TFLOP/s/GPU"),
    "prompt_tokens_per_s": ("Prompt tokens/s", "tok/s"),
    "running": ("Requests running", ""),
    "waiting": ("Requests waiting", ""),
    "kv_cache_used": ("KV cache in use", "part"),
}
"""Figures that are no metrics: label and unit."""

_OF_SAMPLE = ("running", "waiting", "kv_cache_used", "prompt_tokens_per_s")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A live figure as last heard, at `at_ns` of our clock; `unit` is empty for a plain number, `part` for 0 to 1."""

    name: str
    label: Clean
    unit: str
    value: float
    at_ns: int

    @property
    def text(self) -> str:
        """Value and unit for people: `1,234`, `71.2 %`, `137.0 GiB`, `10.90 s`."""
        if self.unit == "part":
            return f"{100 * self.value:.1f} %"
        if self.unit == "B":
            return binary_size(self.value)
        return f"{units.figure(self.value)} {self.unit}".rstrip()


class Figures:
    """Folds samples; each name keeps what was heard last."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[float, int]] = {}

    def add(self, sample: Sample, heard_ns: int) -> None:
        """Everything that a sample says in numbers, but its progress."""
        said: dict[str, float | None] = {name: getattr(sample, name) for name in _OF_SAMPLE}
        said |= dict(sample.extra)
        if sample.metric is not None:
            said[sample.metric] = sample.rate
        for name, value in said.items():
            if value is not None and (name in self._latest or len(self._latest) < LIMIT):
                self._latest[name] = (value, heard_ns)

    def read(self) -> tuple[Figure, ...]:
        """All of them: figures of a GPU first, then of a node, then of the step; others by name."""
        known = {name: place for place, name in enumerate(_ORDER)}
        names = sorted(self._latest, key=lambda name: (known.get(name, len(known)), name))
        return tuple(_figure(name, *self._latest[name]) for name in names)


def _figure(name: str, value: float, at_ns: int) -> Figure:
    metric = METRICS.get(name)
    label, unit = (metric.label, metric.unit) if metric else _PLAIN.get(name, (name.replace("_", " "), ""))
    return Figure(name=name, label=clean_line(label, 60), unit=unit, value=value, at_ns=at_ns)


def figure_of(figures: Iterable[Figure], name: str) -> Figure | None:
    """The figure of that name."""
    return next((figure for figure in figures if figure.name == name), None)


def gpu_of(hosts: Iterable[Conditions]) -> str | None:
    """The GPU model that all hosts of an attempt have; None when they differ or one is not known."""
    names = {under.gpu for under in hosts}
    return names.pop() if len(names) == 1 else None


def mfu_percent(
    figures: Sequence[Figure], gpu: str | None, precision: str, specs: Mapping[str, GpuSpec]
) -> float | None:
    """MFU of the latest step, per cent of the published dense peak; None where the GPU or its peak is not known."""
    tflops, spec = figure_of(figures, TFLOPS), specs.get(gpu or "")
    if tflops is None or spec is None:
        return None
    from console.workloads.flops import mfu  # with it come all programs: not before there is something to say

    part = mfu(tflops.value, spec, precision)
    return None if part is None else 100 * part
