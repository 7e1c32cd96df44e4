"""The lab's own reference set: plainly fictional figures for the cells of the shipped matrices.

They come from the lab's speed table, rounded, and for a few cells set off on purpose so that verdicts differ. Cells are
named as the matrices name them; nothing is read from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from console.lab import rates, train_reference
from console.lab.specs import MI300X, MI325X, GpuKind
from console.lab.train_reference import Table

IMAGE = "rocm6.3.1_vllm_0.8.5_20250521"
DATED = "2025-01-01"
SOURCE = "instinct-lab's own fictional table: simulated, nothing was measured"
MODELS = {
    "llama-3.1-70b": "amd/Llama-3.1-70B-Instruct-FP8-KV",
    "llama-3.1-405b": "amd/Llama-3.1-405B-Instruct-FP8-KV",
}
GPUS = (MI300X, MI325X)

THROUGHPUT = (
    ("llama-3.1-70b", 128, 2048, 3200),
    ("llama-3.1-70b", 128, 4096, 1500),
    ("llama-3.1-70b", 500, 2000, 2000),
    ("llama-3.1-70b", 2048, 2048, 1500),
    ("llama-3.1-405b", 128, 2048, 1500),
    ("llama-3.1-405b", 128, 4096, 1500),
    ("llama-3.1-405b", 500, 2000, 2000),
    ("llama-3.1-405b", 2048, 2048, 500),
)
"""Model, input, output length and prompts of each throughput row."""

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
INPUTS = (128, 2048)
OUTPUT = 2048

OFFSET = {
    "llama-3.1-405b-in500-out2000-n2000": 1.12,
    "llama-3.1-70b-in2048-out2048-n1500": 0.9,
    "llama-3.1-405b-bs64-in2048-out2048": 0.88,
}
"""Cells whose reference stands off the lab's speed, so that a demonstration shows other verdicts too."""


@dataclass(frozen=True)
class Row:
    """One cell and its fictional figure on each GPU model."""

    cell: str
    figures: tuple[str, ...]


def throughput_rows() -> Iterator[Row]:
    """Output tokens/s."""
    for title, input_len, output_len, prompts in THROUGHPUT:
        cell = f"{title}-in{input_len}-out{output_len}-n{prompts}"
        yield Row(cell, tuple(_throughput(title, gpu, input_len, output_len, prompts, cell) for gpu in GPUS))


def _throughput(title: str, gpu: GpuKind, input_len: int, output_len: int, prompts: int, cell: str) -> str:
    value = rates.output_tokens_per_s(
        rates.model_of(MODELS[title]), gpu, 8, "V0", input_len=input_len, output_len=output_len, at_once=prompts
    )
    return f"{value * OFFSET.get(cell, 1.0):.1f}"


def latency_rows() -> Iterator[Row]:
    """Seconds of one batch."""
    for title in MODELS:
        for input_len in INPUTS:
            for batch in BATCHES:
                cell = f"{title}-bs{batch}-in{input_len}-out{OUTPUT}"
                yield Row(cell, tuple(_latency(title, gpu, batch, input_len, cell) for gpu in GPUS))


def _latency(title: str, gpu: GpuKind, batch: int, input_len: int, cell: str) -> str:
    value = rates.latency_s(
        rates.model_of(MODELS[title]), gpu, 8, "V0", batch=batch, input_len=input_len, output_len=OUTPUT
    )
    return f"{value * OFFSET.get(cell, 1.0):.3f}"


def _tables() -> Iterator[Table]:
    for matrix, metric, unit, rows in (
        ("vllm-0.8.5-throughput", "output_tokens_per_s", "tokens/s", throughput_rows()),
        ("vllm-0.8.5-latency", "latency_s", "sec", latency_rows()),
    ):
        yield Table(matrix, IMAGE, metric, unit, tuple((row.cell, row.figures) for row in rows))
    yield from train_reference.tables()


def document() -> str:
    """The file `profiles/references/lab.toml` of a lab folder."""
    parts = [f'# Simulated: made by the lab, never measured anywhere.\nset = "lab"\nsource = "{SOURCE}"\n']
    for table in _tables():
        columns = "".join(
            f'  {{ image = "{table.image}", dated = "{DATED}", under = {{ gpu = "{gpu.name}" }} }},\n' for gpu in GPUS
        )
        lines = "".join(
            f'"{cell}" = [{", ".join(f"{chr(34)}{one}{chr(34)}" for one in figures)}]\n' for cell, figures in table.rows
        )
        parts.append(
            f'[[table]]\nmatrix = "{table.matrix}"\nmetric = "{table.metric}"\nunit = "{table.unit}"\n'
            f'platform = "instinct-lab (simulated)"\nunder = {{ compute_partition = "SPX" }}\n'
            f"columns = [\n{columns}]\n\n[table.figures]\n{lines}"
        )
    return "\n".join(parts)
