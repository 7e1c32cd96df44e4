"""`train_fsdp.py` of AMD's pytorch-training-benchmark: Llama and Mistral pre-training on one node.

Synthetic tokens, FSDP over the node's GPUs; sequence length and model shape come from the JSON configuration.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, register
from console.workloads.expected import reference_value
from console.workloads.flops import LLAMA_3_8B, MISTRAL_7B, tokens_per_s
from console.workloads.places import PART
from console.workloads.setup_scripts import TRAIN_FSDP
from console.workloads.train_fsdp_reader import TrainFsdpReader
from console.workloads.training import PYTORCH_ENV, bash, need, one_node

_CHECKOUT = "/workspace/pytorch-training-benchmark"
_SOURCE = "https://github.com/AMD-AIG-AIMA/pytorch-training-benchmark"
_COMMIT = "c295aaee3fe42aa72f5086640dfd745a5823b91d"
"""Cloned where the image has no checkout: branch v25.2 as of the published figures, 2025-03-11."""

_PUBLISHED_STEPS = 128


class TrainFsdpParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `train-fsdp`. `batch_size` is per GPU; `config` is the model's JSON file, which fixes the length.

    `port` is torchrun's own, on the host.
    """

    architecture: Literal["llama", "mistral"]
    config: str
    batch_size: int
    sequence_length: int
    fp8: bool = False
    steps: int = _PUBLISHED_STEPS
    port: int = 12234


class TrainFsdp:
    """TFLOP/s per GPU of one-node FSDP pre-training."""

    name = "train-fsdp"
    params: type[msgspec.Struct] = TrainFsdpParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is steps x batch x length over the reference's tokens/s per GPU."""
        params: TrainFsdpParams = cell.params
        one_node(cell, "train_fsdp.py")
        shape = LLAMA_3_8B if params.architecture == "llama" else MISTRAL_7B
        tflops = reference_value(cell)
        seconds = None
        if tflops is not None:
            step_tokens = params.batch_size * params.sequence_length
            seconds = params.steps * step_tokens / tokens_per_s(tflops, shape, params.sequence_length)
        return need(cell, image, model, measure_s=seconds, ports=(params.port,))

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """torchrun in the benchmark's checkout. Synthetic tokens: no token, no data set, no tokenizer."""
        params: TrainFsdpParams = cell.params
        one_node(cell, "train_fsdp.py")
        argv = [
            *("torchrun", "--nnodes=1", "--node_rank=0", f"--nproc_per_node={cell.gpus_per_node}"),
            *("--master_addr=0.0.0.0", f"--master_port={params.port}", "./train_fsdp.py"),
            *(params.config, params.architecture, "--batch_size", str(params.batch_size)),
        ]
        if params.fp8:
            argv += ["--enable_fp8", "True"]
        if params.steps != _PUBLISHED_STEPS:
            argv += ["--num_iteration", str(params.steps)]
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=bash(TRAIN_FSDP, _CHECKOUT, _SOURCE, _COMMIT, *argv),
                env=dict(PYTORCH_ENV),
                workdir="/workspace",
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """The image of the published figures is not the one AMD's page names."""
        return relabelled(cell, image)

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """One part; `part` is not looked at."""
        return TrainFsdpReader(cell)


def relabelled(cell: AnyCell, image: Image) -> tuple[str, ...]:
    """AMD's 25.5 tables of PyTorch training are the 25.2 ones, number for number."""
    published = any(reference.set == "published" for reference in cell.references)
    if not published or "v25.2" in image.ref:
        return ()
    return (
        f"published figures were measured with rocm/pytorch-training:v25.2, running {image.ref}, because the page "
        "names that image",
    )


register(TrainFsdp())
