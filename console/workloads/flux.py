"""FluxBenchmark's `launcher.py`: FLUX.1-dev training on one node, images/s."""

from collections.abc import Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, WorkloadError, register
from console.workloads.expected import reference_value
from console.workloads.flux_reader import BATCHES, SUMMARY, FluxReader
from console.workloads.places import PART
from console.workloads.setup_scripts import FLUX
from console.workloads.train_fsdp import relabelled
from console.workloads.training import PYTORCH_ENV, bash, need, one_node, secrets

_CHECKOUT = "/workspace/FluxBenchmark"
_DATA = "bghira/pseudo-camera-10k"
_ITERATIONS = 100


class FluxParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `flux`. `batch_size` is images per GPU, `iterations` the steps of one configuration."""

    batch_size: int
    iterations: int = _ITERATIONS


class Flux:
    """Images/s per GPU at 512 px, BF16, FSDP hybrid shard over the node's GPUs."""

    name = "flux"
    params: type[msgspec.Struct] = FluxParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is iterations x images over the reference, for every batch size of the launcher's configuration."""
        params = _params(cell)
        rate = reference_value(cell)
        seconds = sum(BATCHES) * params.iterations / rate if rate else None
        return need(cell, image, model, measure_s=seconds)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The launcher with its default configuration, which runs batch 1 and 10."""
        _params(cell)
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=bash(FLUX, model.id, _DATA, "python", "launcher.py"),
                env={**PYTORCH_ENV, "HF_HOME": "/workspace/huggingface"},
                files=(SUMMARY,),
                secrets=secrets(model),
                workdir=_CHECKOUT,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """The assets come without their make target; the image is not the one that was measured."""
        return (
            "published with `make download_assets`, running the same downloads by huggingface_hub, because the make "
            "target hands the token to a command line",
            *relabelled(cell, image),
        )

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """One part; `part` is not looked at."""
        return FluxReader(cell)


def _params(cell: AnyCell) -> FluxParams:
    """The parameters, when the launcher's default configuration has them. Raises WorkloadError."""
    one_node(cell, "launcher.py")
    params: FluxParams = cell.params
    if params.batch_size not in BATCHES or params.iterations != _ITERATIONS:
        raise WorkloadError(
            f"{cell.id}: the launcher's configuration runs batch 1 and 10 for {_ITERATIONS} iterations, "
            f"not batch {params.batch_size} for {params.iterations}"
        )
    return params


register(Flux())
