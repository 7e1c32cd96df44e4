"""How fast training goes in the lab: its own table, plainly fictional, and the counts that tokens/s follow from.

Nothing here comes from a published figure; the catalog of the console is never read.
"""

import math
from dataclasses import dataclass

from console.lab.specs import GpuKind


@dataclass(frozen=True)
class Net:
    """A dense decoder: its shape, and its parameters in billions."""

    name: str
    billions: float
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    window: int | None = None

    @property
    def parameters(self) -> int:
        """Its parameters."""
        return round(self.billions * 1e9)

    def flop_per_token(self, length: int) -> float:
        """Forward and backward, all of attention, nothing twice."""
        head = self.hidden // self.heads
        seen = min(length, self.window or length)
        block = 6 * self.hidden * self.ffn + 2 * self.hidden * (2 * self.heads + 2 * self.kv_heads) * head
        return 3.0 * (self.layers * (block + 4 * self.heads * head * seen) + 2 * self.hidden * self.vocabulary)


LLAMA2_7B = Net("llama2-7B", 6.738415616, 32, 4096, 32, 32, 11008, 32000)
LLAMA3_8B = Net("llama3-8B", 8.030261248, 32, 4096, 32, 8, 14336, 128256)
LLAMA3_70B = Net("llama3-70B", 70.553706496, 80, 8192, 64, 8, 28672, 128256)
MISTRAL_7B = Net("mistral-7B", 7.241732096, 32, 4096, 32, 8, 14336, 32000, 1024)

TFLOPS: dict[tuple[str, str, bool], float] = {
    ("fsdp", "llama3-8B", False): 511.0,
    ("fsdp", "llama3-8B", True): 702.0,
    ("fsdp", "mistral-7B", False): 462.0,
    ("fsdp", "mistral-7B", True): 688.0,
    ("titan", "llama3-70B", False): 401.0,
    ("megatron", "llama3-8B", True): 655.0,
    ("megatron", "llama3-8B", False): 468.0,
    ("megatron", "llama2-7B", True): 648.0,
    ("megatron", "llama2-7B", False): 455.0,
    ("megatron", "llama3-70B", True): 590.0,
    ("megatron", "llama3-70B", False): 430.0,
}
"""TFLOP/s per GPU of a MI300X by framework, model and whether it is FP8."""

DEEPSEEK_TOKENS_PER_S = 9840.0
"""Per GPU of a MI300X."""

IMAGES_PER_S: dict[int, float] = {1: 1.85, 10: 4.16}
"""Per GPU of a MI300X by batch size."""
TFLOP_PER_IMAGE = 64.1

FITS = 0.985
"""The part of a GPU's memory that a program can use."""

SOCKETS = 0.34
"""What is left of the speed of several nodes when data goes over TCP sockets."""


def tflops_per_s(
    framework: str, net: Net, gpu: GpuKind, *, fp8: bool, batch: int, length: int, nodes: int = 1
) -> float:
    """TFLOP/s of each GPU. Bigger batches and longer sequences are a little better, more nodes a little worse."""
    base = TFLOPS.get((framework, net.name, fp8), 420.0 if not fp8 else 600.0)
    shape = (1 - 0.04 / batch) * math.pow(length / 8192, 0.03)
    return base * gpu.rate * shape * scaling(nodes)


def scaling(nodes: int) -> float:
    """What several nodes leave of the speed of one."""
    return 1 - 0.011 * math.log2(max(1, nodes))


def memory_bytes(framework: str, net: Net, *, batch: int, length: int) -> float:
    """Bytes a GPU of eight needs: weights and optimizer's share, and activations by token."""
    still = {"fsdp": 30e9, "titan": 96e9, "megatron": 62e9}[framework] * net.billions / 8.03
    still = still if net.billions < 20 else 96e9
    by_token = {"fsdp": 5.75e6, "titan": 1.55e6, "megatron": 5.3e6}[framework]
    return still + by_token * batch * length * (0.8 if net.window else 1.0)
