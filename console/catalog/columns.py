"""Values of a cell by name: what a column of a published table prints, and what a selection compares."""

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


def has_value(cell: AnyCell, key: str) -> bool:
    """Whether the cell has a value of this name, be it None."""
    return key == "gpus" or key in CELL_KEYS or key in cell.params.__struct_fields__


def cell_value(cell: AnyCell, key: str) -> Any:
    """The value of a cell by name; `gpus` counts those of all nodes. Raises KeyError."""
    if key == "gpus":
        return cell.nodes * cell.gpus_per_node
    if key in CELL_KEYS:
        return getattr(cell, key)
    if key in cell.params.__struct_fields__:
        return getattr(cell.params, key)
    raise KeyError(key)


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
