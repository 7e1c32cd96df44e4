"""torchtitan's `run_llama_train.sh`: Llama 3.1 70B with FSDP2 on one node."""

from collections.abc import Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, register
from console.workloads.expected import reference_value
from console.workloads.flops import LLAMA_3_70B, tokens_per_s
from console.workloads.places import PART
from console.workloads.train_fsdp import relabelled
from console.workloads.training import HF_TOKEN, PYTORCH_ENV, need, not_readable, one_node

_CHECKOUT = "/workspace/torchtitan"
_START = 'pip install -r requirements.txt && exec bash run_llama_train.sh "$@"'
"""Constant; the row's values arrive as arguments, which the script hands to torchtitan."""


class TorchtitanParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `torchtitan`. `batch_size` is per GPU, `sequence_length` tokens."""

    batch_size: int
    sequence_length: int
    steps: int = 50


class Torchtitan:
    """TFLOP/s per GPU of one-node FSDP2 training with full activation checkpointing and compile."""

    name = "torchtitan"
    params: type[msgspec.Struct] = TorchtitanParams
    runnable = False

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is steps x batch x length over the reference's tokens/s per GPU."""
        params: TorchtitanParams = cell.params
        one_node(cell, "run_llama_train.sh")
        tflops = reference_value(cell)
        seconds = None
        if tflops is not None:
            step_tokens = params.batch_size * params.sequence_length
            seconds = params.steps * step_tokens / tokens_per_s(tflops, LLAMA_3_70B, params.sequence_length)
        return need(cell, image, model, measure_s=seconds)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The script in the image's checkout, with the published toml edits as overrides."""
        params: TorchtitanParams = cell.params
        one_node(cell, "run_llama_train.sh")
        overrides = (
            *("--training.batch_size", str(params.batch_size), "--training.seq_len", str(params.sequence_length)),
            *("--training.steps", str(params.steps), "--training.dataset", "c4_test"),
            *("--training.tensor_parallel_degree", "1", "--training.data_parallel_shard_degree", "8"),
            *("--activation_checkpoint.mode", "full", "--training.compile"),
        )
        env = {**PYTORCH_ENV, "CONFIG_FILE": "./train_configs/llama3_70b.toml", "NGPU": str(cell.gpus_per_node)}
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=("bash", "-c", _START, "run_llama_train.sh", *overrides),
                env=env,
                secrets=HF_TOKEN,
                workdir=_CHECKOUT,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """The toml is not edited; the image is not the one that was measured."""
        return (
            "published by editing the toml file, running the same settings as overrides on the command line, because "
            "the image is not changed",
            *relabelled(cell, image),
        )

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """Raises WorkloadError: not supported by this version."""
        not_readable(self.name)


register(Torchtitan())
