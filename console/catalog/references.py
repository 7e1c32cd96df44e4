"""Files of `references/`: figures of a matrix's cells from other sources, one line a cell and one column an image."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from console.catalog.conditions import completed, merged
from console.catalog.errors import suggestion
from console.catalog.locate import KeyPath
from console.catalog.matrices import is_date
from console.catalog.rows import figure
from console.catalog.strict import Source
from console.model.cell import AnyCell, Conditions, Matrix, Reference
from console.model.profile import Image
from console.model.units import METRICS

NO_FIGURE = "-"

Place = tuple[str, str]
"""Matrix name and cell id."""


class ReferenceColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of figures: an image and a date, with conditions of its own."""

    image: str
    dated: str
    source: str | None = None
    platform: str | None = None
    errata: tuple[str, ...] = ()
    under: Conditions = Conditions()


class ReferenceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[table]]`: figures of the cells of one matrix, as printed; `-` where a column has none."""

    matrix: str
    unit: str
    columns: tuple[ReferenceColumn, ...]
    figures: dict[str, tuple[str, ...]]
    metric: str | None = None
    source: str | None = None
    platform: str = ""
    errata: tuple[str, ...] = ()
    under: Conditions = Conditions()


class ReferenceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of `references/`."""

    set: Literal["release notes", "own", "lab"]
    source: str
    table: tuple[ReferenceTable, ...]


class Found(msgspec.Struct, frozen=True):
    """A reference with the cell it belongs to and where it is written."""

    cell: Place
    reference: Reference
    path: KeyPath

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What no two references may share."""
        item = self.reference
        return (*self.cell, item.set, item.under.image, item.under.gpu, item.metric, item.dated, item.source)


def read_references(source: Source, matrices: Mapping[str, Matrix], images: Mapping[str, Image]) -> Iterator[Found]:
    """The references of a file. A cell may be a changed one: an id of the matrix followed by `+key=value`."""
    file = source.record(source.data, ReferenceFile)
    if file is None:
        return
    for number, table in enumerate(file.table):
        path: KeyPath = ("table", number)
        matrix = matrices.get(table.matrix)
        if matrix is None:
            hint = suggestion(table.matrix, matrices)
            source.problem((*path, "matrix"), f"no matrix is called {table.matrix!r}{hint}")
            continue
        if table.metric is not None and table.metric not in METRICS:
            hint = suggestion(table.metric, METRICS)
            source.problem((*path, "metric"), f"no metric is called {table.metric!r}{hint}")
            continue
        if _columns_are_sound(source, table, path, images):
            yield from _figures(source, file, table, path, matrix, images)


def _columns_are_sound(source: Source, table: ReferenceTable, path: KeyPath, images: Mapping[str, Image]) -> bool:
    sound = True
    for index, column in enumerate(table.columns):
        place = (*path, "columns", index)
        problems = []
        if column.image not in images:
            problems.append(("image", f"no image is called {column.image!r}{suggestion(column.image, images)}"))
        if not is_date(column.dated):
            problems.append(("dated", f"{column.dated!r} is no date like 2025-05-27"))
        for key, message in problems:
            source.problem((*place, key), message)
        if merged(table.under, column.under).gpu is None:
            source.problem(place, "on which GPU was it measured? say `gpu` in `under`")
            sound = False
        sound = sound and not problems
    return sound


def _figures(
    source: Source,
    file: ReferenceFile,
    table: ReferenceTable,
    path: KeyPath,
    matrix: Matrix,
    images: Mapping[str, Image],
) -> Iterator[Found]:
    cells = {cell.id: cell for cell in matrix.cells}
    for cell_id, figures in table.figures.items():
        place: KeyPath = (*path, "figures", cell_id)
        cell = cells.get(cell_id.partition("+")[0])
        if cell is None:
            source.problem(place, f"{matrix.name} has no cell {cell_id!r}{suggestion(cell_id, cells)}")
            continue
        if len(figures) != len(table.columns):
            source.problem(place, f"{len(figures)} figures for {len(table.columns)} columns")
            continue
        for index, (column, printed) in enumerate(zip(table.columns, figures, strict=True)):
            if printed == NO_FIGURE:
                continue
            value = figure(printed)
            if value is None:
                source.problem((*place, index), f"{printed!r} is not a positive number; write {NO_FIGURE!r} for none")
                continue
            reference = _reference(file, table, column, cell, images[column.image], printed, value)
            yield Found((matrix.name, cell_id), reference, place)


def _reference(
    file: ReferenceFile,
    table: ReferenceTable,
    column: ReferenceColumn,
    cell: AnyCell,
    image: Image,
    printed: str,
    value: float,
) -> Reference:
    under = merged(table.under, column.under)
    if file.set == "lab":
        under = msgspec.structs.replace(under, simulated=True)
    return Reference(
        value=value,
        printed=printed,
        metric=table.metric or cell.metric,
        unit_printed=table.unit,
        set=file.set,
        source=column.source or table.source or file.source,
        dated=column.dated,
        under=completed(under, image, cell.nodes, cell.gpus_per_node),
        platform=column.platform or table.platform,
        errata=table.errata + column.errata,
    )
