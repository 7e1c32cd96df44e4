"""What the training workloads share. Their cells are planned and listed; running them is not supported yet."""

from collections.abc import Mapping
from typing import NoReturn

from console.model.cell import AnyCell
from console.model.launch import Need, Seat
from console.model.profile import Image, ModelCard
from console.workloads.base import WorkloadError

_STARTUP_S = 600.0
"""An assumption: import, model set-up, compilation and first, slow steps. No source measures it."""

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
    """What the hosts must offer. Training starts from random weights, so no model files are asked for."""
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
    )


def one_node(cell: AnyCell, program: str) -> None:
    """Raises WorkloadError for a cell on several nodes."""
    if cell.nodes != 1:
        raise WorkloadError(f"{cell.id}: {program} runs on one node, this row asks for {cell.nodes}")


def address(seat: Seat) -> str:
    """Where the other nodes reach this one."""
    return seat.address or seat.host


def not_readable(name: str) -> NoReturn:
    """Raises WorkloadError: this version plans training rows and does not run them."""
    raise WorkloadError(
        f"running {name} rows is not supported by this version: `instinct plan` shows their commands, run them by hand"
    )
