"""Rows of a matrix file: what stands in the row, in its group and at the top of the file, to one cell."""

import math
import re
from collections.abc import Mapping
from functools import reduce
from typing import Any

import msgspec

from console.catalog.columns import row_values
from console.catalog.conditions import completed, merged
from console.catalog.errors import suggestion
from console.catalog.locate import KeyPath
from console.catalog.strict import Source, fields_of
from console.model.cell import AnyCell, Cell, Column, Conditions, Recipe, Reference, ReferenceSet
from console.model.profile import Image, ModelCard, ServerProfile
from console.model.units import METRICS, Better
from console.workloads.base import Workload

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_WITHOUT_GPUS = frozenset({"command"})
"""Workloads whose rows may ask for no GPU at all; the published programs need theirs."""


class RowHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a group or a row may say beside parameters of its workload; None leaves it to the level above."""

    id: str | None = None
    workload: str | None = None
    model: str | None = None
    title: str | None = None
    title_printed: str | None = None
    precision: str | None = None
    nodes: int | None = None
    gpus_per_node: int | None = None
    image: str | None = None
    metric: str | None = None
    unit: str | None = None
    printed: str | None = None
    recipe: Recipe | None = None
    recipe_source: str | None = None
    errata: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    under: Conditions = Conditions()


class DeclaredMetric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric that only this matrix knows: `name` says what it measures, in lower case with underscores."""

    name: str
    unit: str
    better: Better
    label: str = ""
    basis: str = "whole run"


class MatrixFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The top of a matrix file. `[parameters]` and the keys of `RowHead` hold for every row that says nothing else.

    `extends` names a matrix whose top this one takes over where it says nothing itself; see `catalog.extending`.
    """

    name: str
    title: str
    workload: str
    image: str
    metric: str
    source: str
    dated: str
    server: str
    columns: tuple[Column, ...]
    cell_id: str
    group: tuple[dict[str, Any], ...]
    extends: str | None = None
    metrics: tuple[DeclaredMetric, ...] = ()
    unit: str | None = None
    platform: str = ""
    nodes: int = 1
    gpus_per_node: int | None = None
    precision: str | None = None
    recipe: Recipe = "unknown"
    recipe_source: str = ""
    set: ReferenceSet | None = None
    errata: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False
    parameters: dict[str, Any] = {}
    under: Conditions = Conditions()


class Shelves(msgspec.Struct, frozen=True):
    """What a matrix may name."""

    workloads: Mapping[str, Workload]
    images: Mapping[str, Image]
    models: Mapping[str, ModelCard]
    servers: Mapping[str, ServerProfile]


def slug(text: str) -> str:
    """Text as a part of an id: `Llama 3.1 70B` is `llama-3.1-70b`."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def is_id(text: str) -> bool:
    """Whether text can name a matrix or a cell: letters, digits and . _ - only, at most 80."""
    return _ID.fullmatch(text) is not None


def figure(printed: str) -> float | None:
    """The value of a printed figure: `16,622.2` and `16622.2` alike; None when it is not a positive number."""
    try:
        value = float(printed.replace(",", "").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


class Row:
    """One row with the group and the file above it."""

    def __init__(self, source: Source, file: MatrixFile, shelves: Shelves, number: int, index: int) -> None:
        self.source, self.file, self.shelves = source, file, shelves
        self.group: Mapping[str, Any] = file.group[number]
        self.group_path: KeyPath = ("group", number)
        self.path: KeyPath = ("group", number, "rows", index)
        raw = self.group["rows"][index]
        self.row: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            source.problem(self.path, "expected a table: { parameter = value, … }")
        name = self.row.get("workload", self.group.get("workload", file.workload))
        self.workload = shelves.workloads.get(name) if isinstance(name, str) else None
        if self.workload is None:
            source.problem(
                self.place_of("workload"), f"no workload is called {name!r}{suggestion(str(name), shelves.workloads)}"
            )

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Parameters of the row's workload."""
        return tuple(fields_of(self.workload.params)) if self.workload else ()

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names in the row's own `values`, as they are written."""
        values, _ = self._placed().get("values", ({}, ()))
        return tuple(values) if isinstance(values, dict) else ()

    def place_of(self, key: str) -> KeyPath:
        """Where a key that holds for this row is written: in the row, in its group, or at the top."""
        if key in self.row:
            return (*self.path, key)
        return (*self.group_path, key) if key in self.group else (key,)

    def cell(self) -> AnyCell | None:
        """The cell with the row's own figure as its only reference, or None when a problem was noted."""
        head = self._head()
        if head is None or self.workload is None:
            return None
        params = self.source.build(self._placed(), self.workload.params, self.path, self.workload.name)
        missing = [key for key in ("model", "title", "precision", "gpus_per_node") if getattr(head, key) is None]
        for key in missing:
            self.source.problem(self.path, f"missing key `{key}`: neither the row nor what is above it says it")
        named = [
            self._known(key, getattr(head, key), known)
            for key, known in (("model", self.shelves.models), ("image", self.shelves.images), ("metric", METRICS))
            if key not in missing
        ]
        if params is None or missing or not all(named):
            return None
        cell: AnyCell = Cell(
            matrix=self.file.name,
            id="",
            workload=self.workload.name,
            model=str(head.model),
            title=str(head.title),
            precision=str(head.precision),
            image=str(head.image),
            nodes=head.nodes or 1,
            gpus_per_node=1 if head.gpus_per_node is None else head.gpus_per_node,
            metric=str(head.metric),
            params=params,
            recipe=head.recipe or "unknown",
            recipe_source=head.recipe_source or "",
            title_printed=head.title_printed or str(head.title),
            deviations=head.deviations,
        )
        made = self._identity(cell, head.id)
        return None if made is None else self._with_reference(msgspec.structs.replace(cell, id=made), head)

    def _head(self) -> RowHead | None:
        """What all levels say together: the nearest wins, errata and deviations add up, conditions merge."""
        top = {name: getattr(self.file, name) for name in fields_of(RowHead) if name in fields_of(MatrixFile)}
        heads = [RowHead(**(top | {"title": None}))]
        for table, path in ((self.group, self.group_path), (self.row, self.path)):
            placed = {key: (value, (*path, key)) for key, value in table.items()}
            built = self.source.build(placed, RowHead, path)
            if built is None:
                return None
            heads.append(built)
        head = reduce(_over, heads)
        fewest = {"nodes": 1, "gpus_per_node": 0 if (self.workload and self.workload.name) in _WITHOUT_GPUS else 1}
        for key, least in fewest.items():
            count = getattr(head, key)
            if count is not None and count < least:
                self.source.problem(self.place_of(key), f"{count} is not a number of at least {least}")
                return None
        return head

    def _placed(self) -> dict[str, tuple[Any, KeyPath]]:
        """Raw parameters, the nearest level winning, each with the place it was written at."""
        levels: tuple[tuple[Mapping[str, Any], KeyPath], ...] = (
            (self.file.parameters, ("parameters",)),
            (self.group, self.group_path),
            (self.row, self.path),
        )
        known = self.parameter_names
        return {key: (value, (*path, key)) for table, path in levels for key, value in table.items() if key in known}

    def _known(self, key: str, name: str, known: Mapping[str, Any]) -> bool:
        if name not in known:
            self.source.problem(self.place_of(key), f"no {key} is called {name!r}{suggestion(name, known)}")
        return name in known

    def _identity(self, cell: AnyCell, given: str | None) -> str | None:
        if given is None:
            own = row_values(cell.params)
            names = ("model", "title", "precision", "nodes", *self.parameter_names, *own)
            for name in re.findall(r"\{(\w*)\}", self.file.cell_id):
                if name not in names:
                    self.source.problem(("cell_id",), f"unknown name {{{name}}}{suggestion(name, names)}")
                    return None
            values = {name: getattr(cell.params, name, getattr(cell, name, own.get(name))) for name in names}
            given = re.sub(r"\{(\w*)\}", lambda found: slug(str(values[found[1]])), self.file.cell_id)
        if not is_id(given):
            self.source.problem(self.path, f"{given!r} is no id: letters, digits and . _ - only, at most 80")
            return None
        return given

    def _with_reference(self, cell: AnyCell, head: RowHead) -> AnyCell | None:
        if head.printed is None:
            return cell
        value = figure(head.printed)
        if value is None:
            self.source.problem((*self.path, "printed"), f"{head.printed!r} is not a positive number")
        if head.unit is None:
            self.source.problem((*self.path, "printed"), "a figure without a unit: say `unit` as the source prints it")
        if value is None or head.unit is None:
            return None
        file, image = self.file, self.shelves.images[cell.image]
        gpu = head.under.gpu or self.shelves.servers[file.server].gpu
        under = msgspec.structs.replace(head.under, gpu=gpu, simulated=file.simulated)
        reference = Reference(
            value=value,
            printed=head.printed,
            metric=cell.metric,
            unit_printed=head.unit,
            set=file.set or ("lab" if file.simulated else "published"),
            source=file.source,
            dated=file.dated,
            under=completed(under, image, cell.nodes, cell.gpus_per_node),
            platform=file.platform,
            errata=head.errata,
        )
        return msgspec.structs.replace(cell, references=(reference,))


def _over(above: RowHead, nearer: RowHead) -> RowHead:
    stated = {name: value for name in RowHead.__struct_fields__ if (value := getattr(nearer, name)) is not None}
    return msgspec.structs.replace(
        above,
        **stated
        | {
            "errata": above.errata + nearer.errata,
            "deviations": above.deviations + nearer.deviations,
            "under": merged(above.under, nearer.under),
        },
    )
