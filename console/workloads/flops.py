"""TFLOP/s per GPU and tokens/s per GPU of the dense models in AMD's training tables, one from the other.

Floating-point operations per token, forward and backward, without causal halving and without recomputation, as
pytorch-training-benchmark, torchtitan and Megatron-LM count them (they agree to 0.02 %):
`3 * (L * (6 h f + 2 h (H + 2K) d + 2 h H d) + 2 h V + 4 L H d A)`, A the attended length.
"""

import msgspec


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
