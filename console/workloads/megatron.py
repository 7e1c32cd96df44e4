"""Megatron-LM's example scripts: Llama on one or several nodes, DeepSeek-V2-Lite on one."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, WorkloadError, register
from console.workloads.expected import reference_value
from console.workloads.fabric import part_of, rank_env
from console.workloads.flops import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B, Shape, tokens_per_s
from console.workloads.megatron_reader import MegatronReader
from console.workloads.places import PART
from console.workloads.setup_scripts import MEGATRON_DEEPSEEK, MEGATRON_LLAMA
from console.workloads.training import (
    LLAMA_3_TOKENIZER,
    TOKENIZER_REVISION,
    bash,
    need,
    one_node,
    secrets,
)

_CHECKOUT = "/workspace/Megatron-LM"
_PORTS: Mapping[str, int] = {"train_llama3.sh": 6000, "train_llama2.sh": 6020}
_SHAPES: Mapping[tuple[str, int], Shape] = {
    ("train_llama2.sh", 7): LLAMA_2_7B,
    ("train_llama3.sh", 8): LLAMA_3_8B,
    ("train_llama3.sh", 70): LLAMA_3_70B,
}
_FILES = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_TOKENIZERS: Mapping[str, tuple[str, ...]] = {
    "train_llama3.sh": (
        *(LLAMA_3_TOKENIZER, TOKENIZER_REVISION, "/root/.cache/data/tokenizer_llama3"),
        *(*_FILES, "original/tokenizer.model"),
    ),
    "train_llama2.sh": (
        "NousResearch/Llama-2-7b-chat-hf",
        "351844e75ed0bcbbe3f10671b3c808d2b83894ee",
        "/root/.cache/data/tokenizer_llama2",
        *(*_FILES, "tokenizer.model"),
    ),
}
"""Repository, commit, the folder the script looks into, and the files it would download there itself."""

_DEEPSEEK = (
    *("deepseek-ai/DeepSeek-V2-Lite", "604d5664dddd88a0433dbae533b7fe9472482de0"),
    *("/root/.cache/instinct-hub", "*.json", "*.py"),
)


class MegatronLlamaParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `megatron-llama`. `model_size` is in billions; `global_batch_size` counts all nodes.

    On several nodes `port` and `master_address` are rank 0's; `interface`, `hcas` and `gid_index` go to RCCL. What is
    None comes from the hosts' facts, the port from the script. `providers` are libraries of the NIC vendor to mount
    from the host (`none`, or names); without `check_fabric` no bytes are moved between hosts before the ranks start.
    """

    script: Literal["train_llama2.sh", "train_llama3.sh"]
    model_size: int
    micro_batch_size: int
    global_batch_size: int
    sequence_length: int
    fp8: bool = False
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1
    iterations: int = 50
    port: int | None = None
    master_address: str | None = None
    interface: str | None = None
    hcas: str | None = None
    gid_index: int | None = None
    providers: str | None = None
    check_fabric: bool = True


class MegatronDeepseekParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `megatron-deepseek`. The script fixes TP, PP and CP at 1, EP at 8 and sequence parallelism on."""

    micro_batch_size: int
    global_batch_size: int
    sequence_length: int
    expert_parallel: int = 8
    sequence_parallel: bool = True
    recompute: Literal["none", "sel", "full"] = "none"
    iterations: int = 50
    gemm_tuning: bool = True
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1


class MegatronLlama:
    """TFLOP/s per GPU of Llama pre-training with mock data, one part per node."""

    name = "megatron-llama"
    params: type[msgspec.Struct] = MegatronLlamaParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is iterations x global batch x length over the reference's tokens/s of all GPUs."""
        params: MegatronLlamaParams = cell.params
        tflops, shape = reference_value(cell), _SHAPES.get((params.script, params.model_size))
        seconds = None
        if tflops is not None and shape is not None:
            rate = tokens_per_s(tflops, shape, params.sequence_length) * cell.gpus_per_node * cell.nodes
            seconds = params.iterations * params.global_batch_size * params.sequence_length / rate
        ports = (_port(params),) if cell.nodes > 1 else ()
        asked = need(cell, image, model, measure_s=seconds, ports=ports)
        return msgspec.structs.replace(asked, shared_folder=cell.nodes > 1)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The same script on every node, each deciding: figures come from the last rank alone, failures from any."""
        params: MegatronLlamaParams = cell.params
        if len(at.seats) != cell.nodes:
            raise WorkloadError(f"{cell.id}: asks for {cell.nodes} nodes and was placed on {len(at.seats)}")
        return tuple(
            Command(
                part=part_of(seat.rank, cell.nodes, PART),
                seat=seat.rank,
                argv=bash(MEGATRON_LLAMA, f"examples/llama/{params.script}", *_TOKENIZERS[params.script]),
                env={**_llama_env(params), **(rank_env(params, at, seat, _port(params)) if cell.nodes > 1 else {})},
                secrets=secrets(model),
                workdir=_CHECKOUT,
            )
            for seat in at.seats
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """The script's own interface names fit another site's machines; RCCL is asked to say what it does."""
        if cell.nodes == 1:
            return ()
        return (
            "published with an interface, HCA list and GID index that are not published (the script's ens51np0 belongs "
            "to AMD's machines), running what the hosts' facts or --set say, because the fabric is another one",
            "published without NCCL_DEBUG, running with NCCL_DEBUG=INFO for INIT and NET, because a fallback to "
            "sockets shows nowhere else; RCCL prints these lines before the first step",
        )

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """`rank0`, `rank1`, …: all but the last one's node print a summary without figures."""
        nodes = cell.nodes if cell else 1
        shape = _SHAPES.get((cell.params.script, cell.params.model_size)) if cell else None
        prints = cell is None or part == part_of(nodes - 1, nodes, PART)
        return MegatronReader(cell, model="llama", shape=shape, prints=prints)


class MegatronDeepseek:
    """Tokens/s per GPU of DeepSeek-V2-Lite on one node."""

    name = "megatron-deepseek"
    params: type[msgspec.Struct] = MegatronDeepseekParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is iterations x global batch x length over the reference's tokens/s of all GPUs."""
        params = _deepseek(cell)
        rate = reference_value(cell)
        seconds = None
        if rate is not None:
            tokens = params.iterations * params.global_batch_size * params.sequence_length
            seconds = tokens / (rate * cell.gpus_per_node)
        return need(cell, image, model, measure_s=seconds)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The script on the one node; it sets its own master address and a random port."""
        params = _deepseek(cell)
        env = {
            "GEMM_TUNING": "1" if params.gemm_tuning else "0",
            "PR": "fp8" if cell.precision.lower().startswith("fp8") else "bf16",
            "MBS": str(params.micro_batch_size),
            "GBS": str(params.global_batch_size),
            "AC": params.recompute,
            "SEQ_LEN": str(params.sequence_length),
            "PAD_LEN": str(params.sequence_length),
            "TRAIN_ITERS": str(params.iterations),
            "PYTHONUNBUFFERED": "1",
        }
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=bash(MEGATRON_DEEPSEEK, "examples/deepseek_v2/train_deepseekv2.sh", *_DEEPSEEK),
                env=env,
                secrets=secrets(model),
                workdir=_CHECKOUT,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """None: the published command is run as it is."""
        return ()

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """One part; `part` is not looked at."""
        return MegatronReader(cell, model="deepseek")


def _llama_env(params: MegatronLlamaParams) -> dict[str, str]:
    env = {
        "TEE_OUTPUT": "1",
        "MBS": str(params.micro_batch_size),
        "BS": str(params.global_batch_size),
        "TP": str(params.tensor_parallel),
        "TE_FP8": "1" if params.fp8 else "0",
        "SEQ_LENGTH": str(params.sequence_length),
        "MODEL_SIZE": str(params.model_size),
        "TOTAL_ITERS": str(params.iterations),
        "PYTHONUNBUFFERED": "1",
    }
    if params.pipeline_parallel != 1:
        env["PP"] = str(params.pipeline_parallel)
    if params.context_parallel != 1:
        env["CP"] = str(params.context_parallel)
    return env


def _port(params: MegatronLlamaParams) -> int:
    return params.port or _PORTS[params.script]


def _deepseek(cell: AnyCell) -> MegatronDeepseekParams:
    """The parameters, when the script can run them. Raises WorkloadError."""
    one_node(cell, "train_deepseekv2.sh")
    params: MegatronDeepseekParams = cell.params
    fixed = (params.tensor_parallel, params.pipeline_parallel, params.context_parallel, params.expert_parallel)
    if fixed != (1, 1, 1, 8) or not params.sequence_parallel:
        raise WorkloadError(
            f"{cell.id}: train_deepseekv2.sh fixes TP, PP and CP at 1, EP at 8 and sequence parallelism on"
        )
    return params


register(MegatronLlama())
register(MegatronDeepseek())
