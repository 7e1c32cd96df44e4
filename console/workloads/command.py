"""A user's own program, described in a matrix and not in Python."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from console.model.cell import AnyCell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard
from console.workloads.base import LogReader, WorkloadError, register
from console.workloads.command_params import CommandParams
from console.workloads.command_reader import CommandReader
from console.workloads.fabric import part_of, rank_env
from console.workloads.places import PART, offline_env
from console.workloads.training import HF_TOKEN

_NAME = re.compile(r"\{(\w{1,40})\}")
_UNKNOWN_TIME_S = 3600.0


class OwnCommand:
    """The program of a matrix."""

    name = "command"
    params: type[msgspec.Struct] = CommandParams

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """As the row says; without an expected time an hour is assumed for the deadline."""
        params: CommandParams = cell.params
        usual = 4 * (params.startup_s + (params.expected_s or _UNKNOWN_TIME_S))
        return Need(
            nodes=cell.nodes,
            gpus=cell.gpus_per_node,
            gpu_models=(),
            model=model.id,
            model_bytes=model.disk_bytes if params.model_files and not model.inside_image else None,
            image=image.ref,
            image_bytes=image.unpacked_bytes or image.compressed_bytes,
            ports=(params.port,) if cell.nodes > 1 else (),
            startup_s=params.startup_s,
            measure_s=params.expected_s,
            deadline_s=params.deadline_s or usual,
            needs_rdma=cell.nodes > 1 and image.container.infiniband,
            model_files=params.model_files,
        )

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The same program on every node."""
        params: CommandParams = cell.params
        if len(at.seats) != cell.nodes:
            raise WorkloadError(f"{cell.id}: asks for {cell.nodes} nodes and was placed on {len(at.seats)}")
        made = []
        for seat in at.seats:
            fabric = rank_env(params, at, seat, params.port) if cell.nodes > 1 else {}
            names = {
                "rank": str(seat.rank),
                "nodes": str(cell.nodes),
                "gpus": str(cell.gpus_per_node),
                "master_address": fabric.get("MASTER_ADDR", "127.0.0.1"),
                "master_port": fabric.get("MASTER_PORT", str(params.port)),
                **{name: str(value) for name, value in params.values.items()},
            }
            cache = offline_env(model) if params.model_files else {"PYTHONUNBUFFERED": "1"}
            own = {name: _filled(value, names) for name, value in params.env.items()}
            made.append(
                Command(
                    part=part_of(seat.rank, cell.nodes, PART),
                    seat=seat.rank,
                    argv=tuple(_filled(word, names) for word in params.argv),
                    env={**cache, **fabric, **own},
                    files=params.files if self._reports(params, seat.rank, cell.nodes) else (),
                    secrets=HF_TOKEN if params.token else (),
                    workdir=params.workdir,
                )
            )
        return tuple(made)

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """None: what a matrix of one's own says is what runs."""
        return ()

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """Raises WorkloadError without a cell: only the matrix knows what to look for."""
        if cell is None:
            raise WorkloadError("a log of `command` is read by the patterns of its matrix: name a row of it")
        reports = any(
            part == part_of(rank, cell.nodes, PART) and self._reports(cell.params, rank, cell.nodes)
            for rank in range(cell.nodes)
        )
        return CommandReader(cell.params, cell.metric, cell.nodes, reports=reports)

    @staticmethod
    def _reports(params: CommandParams, rank: int, nodes: int) -> bool:
        return rank == (0 if params.reports == "first" else nodes - 1)


def _filled(text: str, names: Mapping[str, str]) -> str:
    """Names in braces replaced; braces around anything else stay, since programs use them too."""
    return _NAME.sub(lambda found: names.get(found[1], found[0]), text)


register(OwnCommand())
