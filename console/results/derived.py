"""Figures that follow from others: MFU, and scaling against the row of one node. Made when results are read.

MFU is the part of the GPU's published dense peak for the row's data type. Scaling efficiency compares a row of several
nodes with the row of one node that does the same work on each GPU: matrix, model, data type, image and every parameter
but those that grow with the nodes.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from console.model.cell import AnyCell
from console.model.profile import GpuSpec
from console.model.units import METRICS, oriented_ratio
from console.results.schema import PARAMETERS
from console.workloads.flops import mfu

Row = dict[str, Any]

_GROWING = frozenset({"nodes", "gpus", "global_batch_size", "parameters"})
_OF_THE_FABRIC = frozenset({"port", "master_address", "interface", "hcas", "gid_index", "providers", "check_fabric"})
"""Parameters that say how nodes reach each other, not what they do."""

_SAME = ("matrix", "workload", "model", "metric", "image", "gpu", "simulated")


def mfu_percent(tflops: float | None, gpu: GpuSpec | None, cell: AnyCell) -> float | None:
    """Per cent of the dense peak; None without a figure, a known GPU or a published peak for the data type."""
    part = mfu(tflops, gpu, cell.precision) if tflops is not None and gpu is not None else None
    return None if part is None else 100 * part


def median_mfu(rows: Iterable[Row]) -> float | None:
    """Median over the attempts that have one."""
    found = [row["mfu_percent"] for row in rows if row["mfu_percent"] is not None]
    return statistics.median(found) if found else None


def with_scaling(rows: Sequence[Row], figure: str) -> Sequence[Row]:
    """The rows with `scaling_efficiency_percent` and `scaling_against`; `figure` is the column that is compared.

    The one-node figure is the median of its valid repeats; it is looked for among the same rows: of the same run
    first, then on one of the same hosts, then the latest.
    """
    ones = [row for row in rows if row["nodes"] == 1 and row["median"] and row["verdict"] is not None]
    ones = [row for row in ones if row["valid"]] if figure == "value" else [row for row in ones if row["ok"]]
    return [{**row, **_scaling(row, figure, ones)} for row in rows]


def _scaling(row: Row, figure: str, ones: Sequence[Row]) -> Mapping[str, Any]:
    none = {"scaling_efficiency_percent": None, "scaling_against": None}
    if (row["nodes"] or 1) < 2 or not row[figure] or row["metric"] not in METRICS:
        return none
    work = _work(row)
    same = [one for one in ones if _work(one) == work]
    if not same:
        return none
    one = max(same, key=lambda other: _nearness(row, other))
    ratio = oriented_ratio(row["metric"], row[figure], one["median"])
    if METRICS[row["metric"]].basis == "whole run":
        if METRICS[row["metric"]].better == "lower":
            return none  # whether the work grew with the nodes is not known
        ratio /= row["nodes"]
    where = f"{one['cell']} on {', '.join(one['hosts'])}" + (
        "" if one["run"] == row["run"] else f" of run {one['run']}"
    )
    return {"scaling_efficiency_percent": 100 * ratio, "scaling_against": where}


def _nearness(row: Row, one: Row) -> tuple[Any, ...]:
    started = one["started_at"]
    return one["run"] == row["run"], bool(set(one["hosts"]) & set(row["hosts"])), started is not None, started or 0


def _work(row: Row) -> tuple[Any, ...]:
    """What the row does on each GPU; equal for rows that differ in the number of nodes only."""
    batch = row["global_batch_size"]
    own = {column.name: row[column.name] for column in PARAMETERS if column.name not in _GROWING}
    rest = {name: value for name, value in json.loads(row["parameters"]).items() if name not in _OF_THE_FABRIC}
    return (
        *(row[name] for name in _SAME),
        None if batch is None else batch / row["nodes"],
        tuple(own.values()),
        json.dumps(rest, sort_keys=True),
    )
