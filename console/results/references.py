"""Which references speak of a cell when its result is read: those it was planned with, or what is known by now."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from console.model.cell import AnyCell, Matrix, Reference
from console.model.profile import GpuSpec, Image


class Shelf(Protocol):
    """What is asked of a catalog here."""

    @property
    def matrices(self) -> Mapping[str, Matrix]:
        """Matrices by name."""

    @property
    def images(self) -> Mapping[str, Image]:
        """Images by name."""

    @property
    def gpus(self) -> Mapping[str, GpuSpec]:
        """GPU specifications by name."""

    @property
    def references(self) -> Mapping[tuple[str, str], tuple[Reference, ...]]:
        """References of all sets by matrix name and cell id."""


def references_of(cell: AnyCell, shelf: Shelf | None) -> tuple[Reference, ...]:
    """References of a journaled cell, whose parameters are plain data.

    The catalog's win, so that corrected errata and figures blessed later apply; sets that it does not have stay as
    they were journaled (the lab's catalog may be gone). A cell whose id means something else by now keeps its own.
    """
    if shelf is None:
        return cell.references
    matrix = shelf.matrices.get(cell.matrix)
    known = next((item for item in matrix.cells if item.id == cell.id), None) if matrix is not None else None
    if known is not None and not _same_benchmark(cell, known):
        return cell.references
    today = shelf.references.get((cell.matrix, cell.id), ())
    sets = {reference.set for reference in today}
    return (*today, *(item for item in cell.references if item.set not in sets))


def _same_benchmark(cell: AnyCell, known: AnyCell) -> bool:
    names = ("workload", "model", "precision", "nodes", "gpus_per_node", "metric")
    if any(getattr(cell, name) != getattr(known, name) for name in names):
        return False
    return bool(_plain(_as_parameters(cell.params, type(known.params))) == _plain(known.params))


def _as_parameters(params: Any, kind: type[Any]) -> Any:
    """Plain data read as the parameters of today, so that a parameter added since takes its default."""
    try:
        return msgspec.convert(msgspec.to_builtins(params), kind)
    except msgspec.ValidationError:
        return params


def _plain(params: Any) -> Any:
    return msgspec.to_builtins(params)
