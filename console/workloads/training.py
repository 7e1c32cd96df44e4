"""What the training workloads share."""

from collections.abc import Mapping

from console.model.cell import AnyCell
from console.model.launch import Need
from console.model.profile import Image, ModelCard
from console.workloads.base import WorkloadError

_STARTUP_S = 600.0
"""An assumption: import, model set-up, compilation and first, slow steps. No source measures it."""


LLAMA_3_TOKENIZER = "meta-llama/Llama-3.1-8B"
TOKENIZER_REVISION = "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b"
"""Where Llama 3.1's tokenizer comes from, for every size of it; a commit of the main branch."""

PYTORCH_ENV: Mapping[str, str] = {
    "ROCBLAS_USE_HIPBLASLT": "1",
    "DISABLE_ADDMM_CUDA_LT": "0",
    "HIP_FORCE_DEV_KERNARG": "1",
    "TORCH_NCCL_HIGH_PRIORITY": "0",
    "GPU_MAX_HW_QUEUES": "8",
    "WANDB_DISABLED": "true",
    "PYTHONUNBUFFERED": "1",
}
"""Environment of the PyTorch rows, as AMD's MAD report script sets it."""

HF_TOKEN = ("hf_token",)


def need(
    cell: AnyCell,
    image: Image,
    model: ModelCard,
    *,
    measure_s: float | None,
    ports: tuple[int, ...] = (),
) -> Need:
    """What the hosts must offer. Training starts from random weights, so no model files are asked for.

    FLUX is tuned from published weights: those come out of the cache where it has them, else over the network.
    """
    return Need(
        nodes=cell.nodes,
        gpus=cell.gpus_per_node,
        gpu_models=(),
        model=model.id,
        model_bytes=None,
        image=image.ref,
        image_bytes=image.unpacked_bytes or image.compressed_bytes,
        ports=ports,
        startup_s=_STARTUP_S,
        measure_s=measure_s,
        deadline_s=4 * _STARTUP_S + (4 * 3600.0 if measure_s is None else 4 * measure_s),
        needs_rdma=cell.nodes > 1,
        model_files=False,
    )


def one_node(cell: AnyCell, program: str) -> None:
    """Raises WorkloadError for a cell on several nodes."""
    if cell.nodes != 1:
        raise WorkloadError(f"{cell.id}: {program} runs on one node, this row asks for {cell.nodes}")


def secrets(model: ModelCard) -> tuple[str, ...]:
    """A token is asked for where the model's files are gated, and nowhere else."""
    return HF_TOKEN if model.gated else ()


def bash(script: str, *arguments: str) -> tuple[str, ...]:
    """A constant script with its data as positional parameters, never as its text."""
    return ("bash", "-c", script, "instinct", *arguments)
