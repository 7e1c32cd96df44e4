"""TFLOP/s per GPU and tokens/s per GPU of the dense models in AMD's training tables, one from the other.

Floating-point operations per token, forward and backward, without causal halving and without recomputation, as
pytorch-training-benchmark, torchtitan and Megatron-LM count them (they agree to 0.02 %):
`3 * (L * (6 h f + 2 h (H + 2K) d + 2 h H d) + 2 h V + 4 L H d A)`, A the attended length.

Programs that count causal attention at half (newer Megatron-LM) print smaller figures for the same speed.
"""

from typing import Protocol

import msgspec

from console.model.attempt import Reason, Validity
from console.model.profile import Peak

COUNT = "forward and backward, all of attention, without recomputation"
"""Which operations every figure here counts, in words for people."""

FORMULA_TOLERANCE = 0.03
"""TFLOP/s and tokens/s of one program may differ by this part from the formula.

Programs round what they print, and a published table of AMD's own is 2 % off; counting causal attention at half makes
7 to 11 %.
"""

DEEPSEEK_V2_LITE_ACTIVE = 2.4e9
"""Parameters of DeepSeek-V2-Lite that one token passes through: its model card."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A dense decoder. `window` is the attention window in tokens, None for full attention."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    window: int | None = None


LLAMA_2_7B = Shape(layers=32, hidden=4096, heads=32, kv_heads=32, ffn=11008, vocabulary=32000)
LLAMA_3_8B = Shape(layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocabulary=128256)
LLAMA_3_70B = Shape(layers=80, hidden=8192, heads=64, kv_heads=8, ffn=28672, vocabulary=128256)
MISTRAL_7B = Shape(layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocabulary=32000, window=1024)


class HasPeak(Protocol):
    """A GPU specification, as far as it is asked here."""

    @property
    def peak_tflops(self) -> Peak:
        """Dense peak of one GPU by data type."""


def flop_per_token(shape: Shape, sequence_length: int) -> float:
    """Floating-point operations of one training step per token of a sequence of that length."""
    s = shape
    head = s.hidden // s.heads
    attended = sequence_length if s.window is None else min(s.window, sequence_length)
    projections = 2 * s.hidden * (s.heads + 2 * s.kv_heads) * head + 2 * s.hidden * s.heads * head
    per_layer = 6 * s.hidden * s.ffn + projections + 4 * s.heads * head * attended
    return 3.0 * (s.layers * per_layer + 2 * s.hidden * s.vocabulary)


def tokens_per_s(tflops_per_s: float, shape: Shape, sequence_length: int) -> float:
    """Tokens/s of one GPU at that many TFLOP/s."""
    return tflops_per_s * 1e12 / flop_per_token(shape, sequence_length)


def tflops_per_s(tokens_per_s: float, shape: Shape, sequence_length: int) -> float:
    """TFLOP/s of one GPU at that many tokens/s."""
    return tokens_per_s * flop_per_token(shape, sequence_length) / 1e12


def tflops_estimate(tokens_per_s: float, active_parameters: float) -> float:
    """TFLOP/s of a mixture of experts, as six operations per active parameter and token. Attention is left out."""
    return 6.0 * active_parameters * tokens_per_s / 1e12


def formula_reasons(tflops: float | None, tokens: float | None, shape: Shape, sequence_length: int) -> list[Reason]:
    """The reason when a program's TFLOP/s and tokens/s per GPU do not belong together under COUNT."""
    if not tflops or not tokens:
        return []
    counted, known = tflops * 1e12 / tokens, flop_per_token(shape, sequence_length)
    if abs(counted / known - 1) <= FORMULA_TOLERANCE:
        return []
    detail = (
        f"the program counts {counted / 1e9:.2f} GFLOP per token, AMD's tables {known / 1e9:.2f} ({COUNT}): another "
        "count, or figures of different runs"
    )
    return [Reason(Validity.RESULT_MISMATCH, detail)]


def mfu(tflops_per_s_per_gpu: float, gpu: HasPeak, precision: str) -> float | None:
    """Model FLOPs utilization: the part of the GPU's dense peak for that data type; derived, never measured.

    `precision` is the cell's (`BF16`, `FP8`). None where the peak is not published. It rests on COUNT: FP8 training
    runs attention and more in BF16, so its MFU is low by nature.
    """
    peak: float | None = getattr(gpu.peak_tflops, precision.strip().lower().partition(" ")[0], None)
    return tflops_per_s_per_gpu / peak if peak else None
