"""What a benchmark program has to say of itself, and the registry of those that do.

A workload turns a cell into commands and bytes into signals and a result. It knows no SSH, Docker or screen.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from console.model.attempt import LogFrame, Result, Signal
from console.model.cell import AnyCell, Cell
from console.model.launch import Command, Need, Placement
from console.model.profile import Image, ModelCard


class WorkloadError(Exception):
    """A cell that its workload cannot serve: what is wrong, and what to do."""


class LogReader(Protocol):
    """Reads one part's output. Law: any split of the same bytes gives the same signals."""

    def feed(self, frames: Sequence[LogFrame]) -> Sequence[Signal]:
        """Signals found in these frames; keeps what is unfinished for the next call."""

    def close(self, files: Mapping[str, bytes], exit_code: int | None) -> Result:
        """The result, from result files (by their path in the container) first and the log second.

        Never raises on bad input: an absent, cut or wrong file becomes a failure of the right class.
        """


class Workload(Protocol):
    """One benchmark program. `params` is the record of its parameters; a matrix row is checked against it."""

    name: str
    params: type[msgspec.Struct]

    def need(self, cell: AnyCell, image: Image, model: ModelCard) -> Need:
        """What the cell asks of its hosts, with times in seconds. Raises WorkloadError."""

    def commands(self, cell: AnyCell, image: Image, model: ModelCard, at: Placement) -> Sequence[Command]:
        """The commands of every part on every seat; the first of each seat leads. Raises WorkloadError."""

    def deviations(self, cell: AnyCell, image: Image) -> Sequence[str]:
        """What runs otherwise than published under this image: `published X, running Y, because Z`."""

    def reader(self, cell: AnyCell | None, part: str) -> LogReader:
        """A reader of one part's log; without a cell it takes what it needs from the log itself."""


_REGISTRY: dict[str, Workload] = {}

W = TypeVar("W", bound=Workload)


def register(workload: W) -> W:
    """Add a workload under its name. Raises ValueError when the name is taken."""
    if workload.name in _REGISTRY:
        raise ValueError(f"workload {workload.name!r} is registered twice")
    _REGISTRY[workload.name] = workload
    return workload


def registry() -> Mapping[str, Workload]:
    """All workloads by name. Importing `console.workloads` fills it."""
    return _REGISTRY


def decode_cell(raw: bytes | msgspec.Raw) -> AnyCell:
    """A cell from its journaled JSON; the registry knows the type of its parameters. Raises WorkloadError."""
    plain = msgspec.json.decode(raw)
    workload = _REGISTRY.get(plain.get("workload", ""))
    if workload is None:
        raise WorkloadError(f"unknown workload {plain.get('workload')!r}")
    cell: AnyCell = msgspec.convert(plain, Cell[Any])
    return msgspec.structs.replace(cell, params=msgspec.convert(plain["params"], workload.params))
