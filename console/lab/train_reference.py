"""The lab's own reference figures for the training cells: plainly fictional, from its speed table, rounded.

Cells are named as the shipped matrices name them; nothing is read from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from console.lab import train_rates as rates
from console.lab.specs import MI300X, MI325X, GpuKind

GPUS = (MI300X, MI325X)
NONE = "-"
PYTORCH, MEGATRON = "pytorch-training-v25.5", "megatron-lm-v25.5-py310"

FSDP = {
    "pytorch-25.5-mi300x": (
        ("llama-3.1-8b", rates.LLAMA3_8B, False, 3, 8192),
        ("llama-3.1-8b", rates.LLAMA3_8B, True, 3, 8192),
        ("llama-3.1-8b", rates.LLAMA3_8B, False, 6, 4096),
        ("llama-3.1-8b", rates.LLAMA3_8B, True, 6, 4096),
        ("mistral-7b", rates.MISTRAL_7B, False, 3, 8192),
        ("mistral-7b", rates.MISTRAL_7B, True, 4, 8192),
    ),
    "pytorch-25.5-mi325x": (
        ("llama-3.1-8b", rates.LLAMA3_8B, False, 3, 8192),
        ("llama-3.1-8b", rates.LLAMA3_8B, True, 5, 8192),
        ("llama-3.1-8b", rates.LLAMA3_8B, False, 8, 4096),
        ("llama-3.1-8b", rates.LLAMA3_8B, True, 10, 4096),
        ("mistral-7b", rates.MISTRAL_7B, False, 5, 8192),
        ("mistral-7b", rates.MISTRAL_7B, True, 6, 8192),
    ),
}
"""Model, shape, whether it is FP8, batch and length of each row of train_fsdp.py."""

TITAN = {"pytorch-25.5-mi300x": 4, "pytorch-25.5-mi325x": 7}
"""Batch of the torchtitan row."""

NODES = (1, 2, 4, 8)
LLAMA = (("llama-3.1-8b", rates.LLAMA3_8B, 2, 8192, 128), ("llama-2-7b", rates.LLAMA2_7B, 4, 4096, 256))
"""Model, shape, micro batch, length and samples a node of the Megatron rows."""

OFFSET = {"mistral-7b-fp8-b4-s8192": 1.09, "llama-2-7b-fp8-4n-mbs4-gbs1024-s4096": 0.93}
"""Cells whose reference stands off the lab's speed, so that a demonstration shows other verdicts too."""


@dataclass(frozen=True)
class Table:
    """Figures of cells of one matrix that share metric and unit, one for each GPU model."""

    matrix: str
    image: str
    metric: str
    unit: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def tables() -> Iterator[Table]:
    """Every training cell with its metric's own unit."""
    for matrix in FSDP:
        rows = (*_titan(matrix), *_fsdp(matrix))
        yield Table(matrix, PYTORCH, "tflops_per_s_per_gpu", "TFLOPS/s/GPU", rows)
    images = tuple(f"{rates.IMAGES_PER_S[10] * gpu.rate:.2f}" for gpu in GPUS)
    yield Table("pytorch-25.5-mi300x", PYTORCH, "images_per_s_per_gpu", "images/s/GPU", (("flux-bf16-b10", images),))
    yield Table("megatron-25.5-llama", MEGATRON, "tflops_per_s_per_gpu", "TFLOPs/s/GPU", tuple(_llama()))
    tokens = tuple(f"{rates.DEEPSEEK_TOKENS_PER_S * gpu.rate:.0f}" for gpu in GPUS)
    row = ("deepseek-v2-lite-bf16-mbs4-gbs256-s4096", tokens)
    yield Table("megatron-25.5-deepseek", MEGATRON, "tokens_per_s_per_gpu", "tokens/s/GPU", (row,))


def _figure(
    framework: str, net: rates.Net, gpu: GpuKind, cell: str, *, fp8: bool, batch: int, length: int, nodes: int = 1
) -> str:
    if rates.memory_bytes(framework, net, batch=batch, length=length) > rates.FITS * gpu.vram_bytes:
        return NONE
    value = rates.tflops_per_s(framework, net, gpu, fp8=fp8, batch=batch, length=length, nodes=nodes)
    return f"{value * OFFSET.get(cell, 1.0):.2f}"


def _titan(matrix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    batch, length = TITAN[matrix], 8192
    cell = f"llama-3.1-70b-bf16-b{batch}-s{length}"
    yield (
        cell,
        tuple(_figure("titan", rates.LLAMA3_70B, gpu, cell, fp8=False, batch=batch, length=length) for gpu in GPUS),
    )


def _fsdp(matrix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for title, net, fp8, batch, length in FSDP[matrix]:
        cell = f"{title}-{'fp8' if fp8 else 'bf16'}-b{batch}-s{length}"
        yield cell, tuple(_figure("fsdp", net, gpu, cell, fp8=fp8, batch=batch, length=length) for gpu in GPUS)


def _llama() -> Iterator[tuple[str, tuple[str, ...]]]:
    for title, net, micro, length, samples in LLAMA:
        for nodes in NODES:
            cell = f"{title}-fp8-{nodes}n-mbs{micro}-gbs{samples * nodes}-s{length}"
            yield (
                cell,
                tuple(
                    _figure("megatron", net, gpu, cell, fp8=True, batch=micro, length=length, nodes=nodes)
                    for gpu in GPUS
                ),
            )
