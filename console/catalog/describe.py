"""A matrix as plain data for other programs: what `instinct profiles show NAME --json` prints."""

from typing import Any

import msgspec

from console.catalog.columns import row_reference
from console.model.cell import AnyCell, Matrix, Reference
from console.model.units import METRICS

SCHEMA_VERSION = 1


def describe(matrix: Matrix) -> dict[str, Any]:
    """A matrix with its cells in the order of their source, as JSON-ready values.

    `image` is the reference to pull. A cell's `reference` is the figure of its own row (None without one), with the
    unit of its metric; `unit_printed` is the source's word for it.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "name": matrix.name,
        "title": matrix.title,
        "image": matrix.image_ref or matrix.image,
        "image_name": matrix.image,
        "workload": matrix.workload,
        "metric": matrix.metric,
        "server": matrix.server,
        "source": matrix.source,
        "dated": matrix.dated,
        "platform": matrix.platform,
        "simulated": matrix.simulated,
        "notes": list(matrix.notes),
        "columns": [{"heading": column.heading, "key": column.key} for column in matrix.columns],
        "cells": [describe_cell(cell) for cell in matrix.cells],
    }


def describe_cell(cell: AnyCell) -> dict[str, Any]:
    """One cell; `references` holds those of other images, dates and sets."""
    own = row_reference(cell)
    return {
        "id": cell.id,
        "model": cell.model,
        "title": cell.title,
        "title_printed": cell.title_printed,
        "precision": cell.precision,
        "workload": cell.workload,
        "image_name": cell.image,
        "nodes": cell.nodes,
        "gpus_per_node": cell.gpus_per_node,
        "parameters": _plain(cell.params),
        "recipe": cell.recipe,
        "recipe_source": cell.recipe_source,
        "deviations": list(cell.deviations),
        "reference": describe_reference(own) if own else None,
        "references": [describe_reference(item) for item in cell.references if item is not own],
    }


def describe_reference(reference: Reference) -> dict[str, Any]:
    """A figure with its unit, source and the conditions its source states."""
    return {
        "value": reference.value,
        "printed": reference.printed,
        "metric": reference.metric,
        "unit": METRICS[reference.metric].unit,
        "unit_printed": reference.unit_printed,
        "set": reference.set,
        "source": reference.source,
        "dated": reference.dated,
        "platform": reference.platform,
        "errata": list(reference.errata),
        "conditions": _plain(reference.under),
    }


def _plain(record: msgspec.Struct) -> Any:
    """A record as JSON has it: lists, no tuples."""
    return msgspec.json.decode(msgspec.json.encode(record))
