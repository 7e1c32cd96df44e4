"""Megatron-LM's example scripts: Llama on one or several nodes, DeepSeek-V2-Lite on one."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement, Seat
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, WorkloadError, register
from console.workloads.expected import reference_value
from console.workloads.flops import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B, Shape, tokens_per_s
from console.workloads.places import PART
from console.workloads.training import HF_TOKEN, address, need, not_readable, one_node

_CHECKOUT = "/workspace/Megatron-LM"
_PORTS: Mapping[str, int] = {"train_llama3.sh": 6000, "train_llama2.sh": 6020}
_SHAPES: Mapping[tuple[str, int], Shape] = {
    ("train_llama2.sh", 7): LLAMA_2_7B,
    ("train_llama3.sh", 8): LLAMA_3_8B,
    ("train_llama3.sh", 70): LLAMA_3_70B,
}


class MegatronLlamaParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `megatron-llama`. `model_size` is in billions; `global_batch_size` counts all nodes."""

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
    runnable = False

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is iterations x global batch x length over the reference's tokens/s of all GPUs."""
        params: MegatronLlamaParams = cell.params
        tflops, shape = reference_value(cell), _SHAPES.get((params.script, params.model_size))
        seconds = None
        if tflops is not None and shape is not None:
            rate = tokens_per_s(tflops, shape, params.sequence_length) * cell.gpus_per_node * cell.nodes
            seconds = params.iterations * params.global_batch_size * params.sequence_length / rate
        ports = (_PORTS[params.script],) if cell.nodes > 1 else ()
        return need(cell, image, model, measure_s=seconds, ports=ports)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The same script on every node; figures are printed by the last rank alone, so the last node decides."""
        params: MegatronLlamaParams = cell.params
        if len(at.seats) != cell.nodes:
            raise WorkloadError(f"{cell.id}: asks for {cell.nodes} nodes and was placed on {len(at.seats)}")
        last = max(seat.rank for seat in at.seats)
        return tuple(
            Command(
                part=PART if cell.nodes == 1 else f"rank{seat.rank}",
                seat=seat.rank,
                argv=("bash", f"examples/llama/{params.script}"),
                env={**_llama_env(params), **(_node_env(params, at, seat) if cell.nodes > 1 else {})},
                secrets=HF_TOKEN,
                workdir=_CHECKOUT,
                decides=seat.rank == last,
            )
            for seat in at.seats
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """The script's own interface names fit another site's machines."""
        if cell.nodes == 1:
            return ()
        return (
            "the script's default for NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME is ens51np0, running the interface of "
            "the fleet file where it names one, because that name belongs to AMD's machines",
        )

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """Raises WorkloadError: not supported by this version."""
        not_readable(self.name)


class MegatronDeepseek:
    """Tokens/s per GPU of DeepSeek-V2-Lite on one node."""

    name = "megatron-deepseek"
    params: type[msgspec.Struct] = MegatronDeepseekParams
    runnable = False

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
                argv=("bash", "examples/deepseek_v2/train_deepseekv2.sh"),
                env=env,
                secrets=HF_TOKEN,
                workdir=_CHECKOUT,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """None: the published command is run as it is."""
        return ()

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """Raises WorkloadError: not supported by this version."""
        not_readable(self.name)


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


def _node_env(params: MegatronLlamaParams, at: Placement, seat: Seat) -> dict[str, str]:
    """Where rank 0 is, which rank this is, and the interface that reaches the others."""
    first = min(at.seats, key=lambda other: other.rank)
    env = {
        "MASTER_ADDR": address(first),
        "MASTER_PORT": str(_PORTS[params.script]),
        "NNODES": str(len(at.seats)),
        "NODE_RANK": str(seat.rank),
    }
    if seat.interface is not None:
        env |= {"NCCL_SOCKET_IFNAME": seat.interface, "GLOO_SOCKET_IFNAME": seat.interface}
    return env


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
