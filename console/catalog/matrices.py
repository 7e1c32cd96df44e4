"""Files of `matrices/`: what all rows share, then groups of rows, to cells with their own figures as references."""

import re
from collections.abc import Mapping
from typing import Any

from console.catalog.columns import CELL_KEYS
from console.catalog.errors import suggestion
from console.catalog.locate import KeyPath, key_text
from console.catalog.rows import MatrixFile, Row, RowHead, Shelves, is_id
from console.catalog.strict import Source, fields_of
from console.model.cell import AnyCell, Matrix
from console.model.units import METRICS, Metric, declare_metric

_METRIC_NAME = re.compile(r"[a-z][a-z0-9_]{1,59}")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def read_matrix(source: Source, shelves: Shelves) -> Matrix | None:
    """The matrix of a file, or None when a problem was noted."""
    file = source.record(source.data, MatrixFile)
    if file is None:
        return None
    _declare_metrics(source, file)
    _check_top(source, file, shelves)
    rows = [
        Row(source, file, shelves, number, index)
        for number, group in enumerate(file.group)
        for index in range(_count_rows(source, group, number))
    ]
    if not file.group:
        source.problem(("group",), "a matrix needs at least one row")
    _check_keys(source, file, rows)
    _check_columns(source, file, rows)
    if source.problems:
        return None
    cells = [row.cell() for row in rows]
    found = [cell for cell in cells if cell is not None]
    if source.problems or len(found) < len(rows):
        return None
    _check_unique(source, found, rows)
    return Matrix(
        name=file.name,
        title=file.title,
        workload=file.workload,
        image=file.image,
        metric=file.metric,
        source=file.source,
        dated=file.dated,
        platform=file.platform,
        server=file.server,
        columns=file.columns,
        cells=tuple(found),
        notes=file.notes,
        simulated=file.simulated,
        image_ref=shelves.images[file.image].ref,
    )


def is_date(text: str) -> bool:
    """`2025-05-27`, `2025-05` or `2025`."""
    return _DATE.fullmatch(text) is not None


def _declare_metrics(source: Source, file: MatrixFile) -> None:
    """Metrics of the file's own; from here on they are known like the product's."""
    for index, metric in enumerate(file.metrics):
        place = ("metrics", index, "name")
        if _METRIC_NAME.fullmatch(metric.name) is None:
            source.problem(place, f"{metric.name!r} is no metric name: lower case letters, digits and _ only")
            continue
        label = metric.label or metric.name.replace("_", " ").capitalize()
        try:
            declare_metric(Metric(metric.name, metric.unit, label, metric.better, metric.basis))
        except ValueError as error:
            source.problem(place, str(error))


def _check_top(source: Source, file: MatrixFile, shelves: Shelves) -> None:
    if not is_id(file.name):
        source.problem(("name",), f"{file.name!r} is no name: letters, digits and . _ - only, at most 80")
    for key, name, known in (
        ("image", file.image, shelves.images),
        ("server", file.server, shelves.servers),
        ("metric", file.metric, METRICS),
    ):
        if name not in known:
            source.problem((key,), f"no {key} is called {name!r}{suggestion(name, known)}")
    if not is_date(file.dated):
        source.problem(("dated",), f"{file.dated!r} is no date like 2025-05-27")


def _count_rows(source: Source, group: Mapping[str, Any], number: int) -> int:
    rows = group.get("rows")
    if isinstance(rows, list) and rows:
        return len(rows)
    source.problem(("group", number), "missing `rows`: a list of { parameter = value, … }")
    return 0


def _check_keys(source: Source, file: MatrixFile, rows: list[Row]) -> None:
    """Unknown keys of rows, of groups and of `[parameters]`; a shared one must belong to some row below it."""
    heads = tuple(fields_of(RowHead))
    anywhere: dict[str, None] = {}
    by_group: dict[KeyPath, dict[str, None]] = {}
    for row in rows:
        names = dict.fromkeys(row.parameter_names)
        anywhere.update(names)
        by_group.setdefault(row.group_path, {}).update(names)
        if row.workload is not None:
            source.unknown_keys(row.row, (*names, *heads), row.path)
    if any(row.workload is None for row in rows):
        return  # which keys belong to an unknown workload cannot be said
    for path, names in by_group.items():
        group = file.group[int(path[1])]
        source.unknown_keys(group, (*names, *(name for name in heads if name not in ("id", "printed")), "rows"), path)
    if rows:
        source.unknown_keys(file.parameters, tuple(anywhere), ("parameters",))


def _check_columns(source: Source, file: MatrixFile, rows: list[Row]) -> None:
    known = dict.fromkeys((*CELL_KEYS, "gpus", "printed"))
    for row in rows:
        known |= dict.fromkeys((*row.parameter_names, *row.value_names))
    for index, column in enumerate(file.columns):
        if column.key not in known:
            place = ("columns", index, "key")
            source.problem(place, f"no cell has a value called {column.key!r}{suggestion(column.key, known)}")


def _check_unique(source: Source, cells: list[AnyCell], rows: list[Row]) -> None:
    seen: dict[str, KeyPath] = {}
    for cell, row in zip(cells, rows, strict=True):
        if cell.id in seen:
            source.problem(row.path, f"a second cell with the id {cell.id!r}; the first is {key_text(seen[cell.id])}")
        seen.setdefault(cell.id, row.path)
