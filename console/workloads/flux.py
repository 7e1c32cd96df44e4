"""FluxBenchmark's `launcher.py`: FLUX.1-dev training on one node, images/s."""

from collections.abc import Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, WorkloadError, register
from console.workloads.expected import reference_value
from console.workloads.places import PART
from console.workloads.train_fsdp import relabelled
from console.workloads.training import HF_TOKEN, PYTORCH_ENV, need, not_readable, one_node

_CHECKOUT = "/workspace/FluxBenchmark"
_START = "pip3 install -r requirements.txt && make download_assets && exec python launcher.py"
_BATCHES = (1, 10)
_ITERATIONS = 100
_SUMMARY = f"{_CHECKOUT}/outputs/runs/sweep_000/runs_summary.csv"


class FluxParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of `flux`. `batch_size` is images per GPU, `iterations` the steps of one configuration."""

    batch_size: int
    iterations: int = _ITERATIONS


class Flux:
    """Images/s per GPU at 512 px, BF16, FSDP hybrid shard over the node's GPUs."""

    name = "flux"
    params: type[msgspec.Struct] = FluxParams
    runnable = False

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """The time is iterations x images over the reference, for every batch size of the launcher's configuration."""
        params = _params(cell)
        rate = reference_value(cell)
        seconds = sum(_BATCHES) * params.iterations / rate if rate else None
        return need(cell, image, model, measure_s=seconds)

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The launcher with its default configuration, which runs batch 1 and 10."""
        _params(cell)
        return (
            Command(
                part=PART,
                seat=at.seats[0].rank,
                argv=("bash", "-c", _START),
                env=dict(PYTORCH_ENV),
                files=(_SUMMARY,),
                secrets=HF_TOKEN,
                workdir=_CHECKOUT,
            ),
        )

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """The image is not the one that was measured."""
        return relabelled(cell, image)

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """Raises WorkloadError: not supported by this version."""
        not_readable(self.name)


def _params(cell: AnyCell) -> FluxParams:
    """The parameters, when the launcher's default configuration has them. Raises WorkloadError."""
    one_node(cell, "launcher.py")
    params: FluxParams = cell.params
    if params.batch_size not in _BATCHES or params.iterations != _ITERATIONS:
        raise WorkloadError(
            f"{cell.id}: the launcher's configuration runs batch 1 and 10 for {_ITERATIONS} iterations, "
            f"not batch {params.batch_size} for {params.iterations}"
        )
    return params


register(Flux())
