"""torchtitan's `run_llama_train.sh`: Llama 3.1 70B with FSDP2 on one node."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, register
from console.workloads.expected import reference_value
from console.workloads.flops import LLAMA_3_70B, tokens_per_s
from console.workloads.places import PART
from console.workloads.setup_scripts import TORCHTITAN
from console.workloads.torchtitan_reader import TorchtitanReader
from console.workloads.train_fsdp import relabelled
from console.workloads.training import (
    LLAMA_3_TOKENIZER,
    PYTORCH_ENV,
    TOKENIZER_REVISION,
    bash,
    need,
    one_node,
    secrets,
)

_CHECKOUT = "/workspace/torchtitan"
_CONFIG = "/tmp/instinct-llama3_70b.toml"  # noqa: S108 - inside the container, which nobody else uses
_TOKENIZER = "/tmp/instinct-tokenizer"  # noqa: S108 - the same


class TorchtitanParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `torchtitan`. `batch_size` is per GPU, `sequence_length` tokens.

    `rule` makes the result: MAD's script of v25.5 takes the last step, that of v25.6 the mean of the entries 30 to 39.
    """

    batch_size: int
    sequence_length: int
    steps: int = 50
    rule: Literal["last", "entries 30 to 39"] = "last"


class Torchtitan:
    """TFLOP/s per GPU of one-node FSDP2 training with full activation checkpointing and compile."""

    name = "torchtitan"
    params: type[msgspec.Struct] = TorchtitanParams

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
        """The script in the image's checkout, on a copy of its settings file with the published edits."""
        params: TorchtitanParams = cell.params
        one_node(cell, "run_llama_train.sh")
        settings = (
            *(f"batch_size={params.batch_size}", f"seq_len={params.sequence_length}", f"steps={params.steps}"),
            *('dataset="c4_test"', f'tokenizer_path="{_TOKENIZER}/tokenizer.model"'),
            *("tensor_parallel_degree=1", f"data_parallel_shard_degree={cell.gpus_per_node}"),
            *('mode="full"', "compile=true", "log_freq=1", "warmup_steps=10", "enable_profiling=false"),
        )
        tokenizer = (LLAMA_3_TOKENIZER, TOKENIZER_REVISION, _TOKENIZER, "original/tokenizer.model")
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=bash(TORCHTITAN, *tokenizer, *settings),
                env={**PYTORCH_ENV, "CONFIG_FILE": _CONFIG, "NGPU": str(cell.gpus_per_node)},
                secrets=secrets(model),
                workdir=_CHECKOUT,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """What is not published is taken from MAD's script; the image is not the one that was measured."""
        return (
            "published by editing the image's toml file by hand, running a copy of it with the edits the guide names "
            "and MAD's (every step logged, 10 warm-up steps, no profiling), because the edited file was not published",
            *relabelled(cell, image),
        )

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """One part; `part` is not looked at."""
        return TorchtitanReader(cell)


register(Torchtitan())
