"""Values of a cell by name: what a column of a published table prints, and what a selection compares."""

from collections.abc import Iterable, Mapping
from typing import Any

from console.model.cell import AnyCell, Reference

CELL_KEYS = (
    "id",
    "matrix",
    "model",
    "title",
    "precision",
    "workload",
    "image",
    "metric",
    "recipe",
    "nodes",
    "gpus_per_node",
)
"""Attributes of a cell that a column or a selection may name beside `gpus` and the parameters."""


def row_values(params: Any) -> Mapping[str, Any]:
    """What the row of a program of one's own calls by names of its own (`values`); nothing for other workloads."""
    values = getattr(params, "values", None)
    return values if isinstance(values, dict) else {}


def has_value(cell: AnyCell, key: str) -> bool:
    """Whether the cell has a value of this name, be it None."""
    known = key == "gpus" or key in CELL_KEYS or key in cell.params.__struct_fields__
    return known or key in row_values(cell.params)


def value_names(cells: Iterable[AnyCell]) -> tuple[str, ...]:
    """The names that a column or a selection over these cells may use."""
    found = dict.fromkeys((*CELL_KEYS, "gpus"))
    for cell in cells:
        found |= dict.fromkeys((*cell.params.__struct_fields__, *row_values(cell.params)))
    return tuple(found)


def cell_value(cell: AnyCell, key: str) -> Any:
    """The value of a cell by name; `gpus` counts those of all nodes. Raises KeyError.

    A parameter of the workload goes before a value of the row's own with the same name.
    """
    if key == "gpus":
        return cell.nodes * cell.gpus_per_node
    if key in CELL_KEYS:
        return getattr(cell, key)
    if key in cell.params.__struct_fields__:
        return getattr(cell.params, key)
    return row_values(cell.params)[key]


def row_reference(cell: AnyCell) -> Reference | None:
    """The figure of the cell's own row: the published one, else the first that is no release note."""
    published = [item for item in cell.references if item.set == "published"]
    others = [item for item in cell.references if item.set != "release notes"]
    return next(iter(published or others), None)


def column_text(cell: AnyCell, key: str) -> str:
    """What a published table prints in a column: `-` for nothing, On and Off for switches."""
    if key == "printed":
        reference = row_reference(cell)
        return reference.printed if reference else "-"
    value = cell_value(cell, key) if has_value(cell, key) else None
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "On" if value else "Off"
    return "None" if value == "none" else str(value)
