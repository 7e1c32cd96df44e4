"""Matrix rows: a cell with its parameters, and the figures it is compared with."""

from typing import Any, Generic, Literal, TypeVar

import msgspec

P = TypeVar("P")

Recipe = Literal["exact", "reconstructed", "unknown"]
"""How well the command behind a published figure is known; only an exact one may end as `below`."""

ReferenceSet = Literal["published", "release notes", "own", "fleet median", "lab"]


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a figure came to be under. None means not stated (a reference) or not known (a result).

    `gpus` counts the GPUs of one node; `rocm` and `pytorch` are the image's, `host_rocm` and `driver` the host's.
    """

    gpu: str | None = None
    gpus: int | None = None
    nodes: int | None = None
    compute_partition: str | None = None
    memory_partition: str | None = None
    image: str | None = None
    image_digest: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    rocm: str | None = None
    pytorch: str | None = None
    driver: str | None = None
    host_rocm: str | None = None
    cpu: str | None = None
    nodes_per_socket: int | None = None
    bios_version: str | None = None
    os: str | None = None
    kernel: str | None = None
    power_cap_w: float | None = None
    simulated: bool = False


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure to compare with. `printed` is the figure as its source prints it; errata stand beside, never inside."""

    value: float
    printed: str
    metric: str
    unit_printed: str
    set: ReferenceSet
    source: str
    dated: str
    under: Conditions
    platform: str = ""
    errata: tuple[str, ...] = ()


class Cell(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """One row of a matrix. `image` names an entry of `profiles/images`; `params` belong to the workload.

    `image` may be replaced when a run chooses another one; references are then filtered by their conditions.
    """

    matrix: str
    id: str
    workload: str
    model: str
    title: str
    precision: str
    image: str
    nodes: int
    gpus_per_node: int
    metric: str
    params: P
    recipe: Recipe
    recipe_source: str = ""
    title_printed: str = ""
    """The model as the source's table prints it, mistakes included."""
    references: tuple[Reference, ...] = ()
    deviations: tuple[str, ...] = ()
    """What is run otherwise than published and why: `published X, running Y, because Z`."""


AnyCell = Cell[Any]


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of the published table: its heading, and the cell attribute or parameter it prints.

    `gpus` is the number of GPUs of all nodes, `printed` the published figure.
    """

    heading: str
    key: str


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """A table of benchmark rows, in the order of its source."""

    name: str
    title: str
    workload: str
    image: str
    metric: str
    source: str
    dated: str
    platform: str
    server: str
    columns: tuple[Column, ...]
    cells: tuple[AnyCell, ...]
    notes: tuple[str, ...] = ()
    simulated: bool = False
    image_ref: str = ""
    """The reference to pull of `image`, which is only a name in the catalog."""


class KeyDifference(msgspec.Struct, frozen=True):
    """A condition that differs between a result and a reference. Values are text; None is not stated."""

    key: str
    strength: Literal["must", "should", "noted"]
    measured: str | None
    reference: str | None
