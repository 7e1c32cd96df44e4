"""How fast things go in the lab: its own table, plainly fictional, in the order of magnitude of such servers.

Nothing here comes from a published figure; the catalog of the console is never read. All times are simulated seconds.
"""

import math
import re
from bisect import bisect_left
from dataclasses import dataclass

from console.lab.specs import GIB, GpuKind

THROUGHPUT: dict[tuple[int, int, int], float] = {
    (70, 128, 2048): 15000.0,
    (70, 128, 4096): 12500.0,
    (70, 500, 2000): 12250.0,
    (70, 2048, 2048): 7750.0,
    (405, 128, 2048): 3900.0,
    (405, 128, 4096): 3100.0,
    (405, 500, 2000): 2900.0,
    (405, 2048, 2048): 2050.0,
}
"""Output tokens/s on eight MI300X by (billions of parameters, input, output length), FP8, engine V0."""

STEP_MS: dict[int, dict[int, float]] = {
    70: {1: 8.25, 2: 8.75, 4: 9.0, 8: 9.75, 16: 10.75, 32: 12.0, 64: 15.5, 128: 22.5},
    405: {1: 23.0, 2: 23.5, 4: 24.5, 8: 26.0, 16: 28.0, 32: 32.5, 64: 41.5, 128: 56.0},
}
"""Milliseconds a decode step of the whole batch takes, by parameters and batch size."""

ENGINE = {"V0": 1.0, "V1 early": 0.8, "V1": 0.875}
"""Speed of the engine generations in the lab."""

PREFILL_TOKENS_PER_S = 60_000.0
"""For 70 billion parameters; it falls with size."""


@dataclass(frozen=True)
class Model:
    """What a model's name says of it. Sizes are bytes for the whole model."""

    name: str
    billions: float
    fp8: bool

    @property
    def weights_bytes(self) -> int:
        """Weights in memory."""
        return int(self.billions * 1e9 * (1.0 if self.fp8 else 2.0) * 1.02)

    @property
    def kv_bytes_per_token(self) -> int:
        """KV cache for one token, over all GPUs."""
        fp8 = 65_536 if self.billions < 20 else 163_840 if self.billions < 200 else 258_048
        return fp8 if self.fp8 else 2 * fp8

    @property
    def shards(self) -> int:
        """Weight files."""
        return max(1, round(self.weights_bytes / 4.8e9))


def model_of(name: str) -> Model:
    """Size and precision from a model's name; a name without a size is a very small model."""
    found = re.search(r"(\d+(?:\.\d+)?)B(?![a-z])", name, re.IGNORECASE)
    return Model(name, float(found[1]) if found else 0.5, "fp8" in name.lower())


def engine_of(vllm: tuple[int, ...], v1: bool) -> str:
    """The row of `ENGINE` for a vLLM version."""
    if not v1:
        return "V0"
    return "V1" if vllm >= (0, 11) else "V1 early"


def _scale(model: Model, gpu: GpuKind, gpus: int, engine: str) -> float:
    share = math.pow(max(1, gpus) / 8, 0.8)
    return gpu.rate * share * ENGINE[engine] * (1.0 if model.fp8 else 0.6)


def prefill_tokens_per_s(model: Model, gpu: GpuKind, gpus: int = 8) -> float:
    """Prompt tokens a second."""
    size = math.pow(70 / max(1.0, model.billions), 0.8)
    return PREFILL_TOKENS_PER_S * size * gpu.rate * math.pow(max(1, gpus) / 8, 0.8)


def output_tokens_per_s(
    model: Model, gpu: GpuKind, gpus: int, engine: str, *, input_len: int, output_len: int, at_once: int
) -> float:
    """Output tokens over elapsed time of a saturated offline run."""
    known = THROUGHPUT.get((round(model.billions), input_len, output_len))
    if known is not None:
        return known * _scale(model, gpu, gpus, engine)
    size = max(1.0, model.billions) / 70
    context = input_len + output_len / 2
    step_s = (4.0 + 4.0 * size + (0.05 + 1e-5 * context) * math.pow(size, 0.8) * at_once) / 1000
    decode = at_once / step_s * _scale(model, gpu, gpus, engine)
    return 1 / (1 / decode + input_len / max(1, output_len) / prefill_tokens_per_s(model, gpu, gpus))


def step_s(model: Model, gpu: GpuKind, gpus: int, engine: str, *, batch: int, input_len: int) -> float:
    """Seconds of one decode step of a batch."""
    table = STEP_MS.get(round(model.billions))
    if table is None:
        size = max(0.5, model.billions) / 70
        ms = 3.0 + 5.0 * size + 0.11 * math.pow(size, 0.8) * batch
    else:
        sizes = sorted(table)
        at = bisect_left(sizes, batch)
        if at < len(sizes) and sizes[at] == batch:
            ms = table[batch]
        else:
            low, high = sizes[max(0, at - 1)], sizes[min(at, len(sizes) - 1)]
            share = (batch - low) / (high - low) if high != low else batch / low
            ms = table[low] + (table[high] - table[low]) * share if high != low else table[low] * share
    context = 1.0 + (input_len / 2048) * batch * 0.0022
    return ms * context / 1000 / _scale(model, gpu, gpus, engine)


def latency_s(
    model: Model, gpu: GpuKind, gpus: int, engine: str, *, batch: int, input_len: int, output_len: int
) -> float:
    """Seconds for one batch from first prompt token to last output token."""
    prefill = batch * input_len / prefill_tokens_per_s(model, gpu, gpus)
    return prefill + output_len * step_s(model, gpu, gpus, engine, batch=batch, input_len=input_len)


def kv_tokens(model: Model, gpu: GpuKind, gpus: int, utilisation: float) -> int:
    """Tokens the KV cache holds; below zero when the weights do not fit."""
    room = gpus * (gpu.vram_bytes * utilisation - 12 * GIB) - model.weights_bytes
    return int(room / model.kv_bytes_per_token)


def load_s(model: Model) -> float:
    """Seconds to read the weights."""
    return 3.0 + model.weights_bytes / 3.2e9
