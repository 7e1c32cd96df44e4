"""One judged attempt to the values of its row."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from console.judge.comparability import sentence
from console.judge.verdict import Judgement
from console.model.attempt import Outcome, Validity
from console.model.cell import AnyCell
from console.model.text import safe_line
from console.model.units import METRICS
from console.results.derived import mfu_percent
from console.results.reading import Judged, Seen
from console.results.schema import HARDWARE, PARAMETERS, Table

Row = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Mapping[pl.DataType, tuple[type, ...]] = {
    pl.Int64(): (int,),
    pl.Float64(): (int, float),
    pl.Boolean(): (bool,),
    pl.String(): (str,),
}
_FROM_CELL = frozenset({"precision", "nodes", "gpus", "gpus_per_node", "parameters"})
_SPELT = {"steps": "iterations"}
"""Parameters that another program calls otherwise, and the column that has them."""


def result_row(judged: Judged) -> Row:
    """The row of one attempt, by column name; every text is clean and free of secrets."""
    seen = judged.seen
    return {
        **_identity(seen),
        **_attempt(seen),
        **_figure(judged),
        **_times(seen),
        **_hardware(seen),
        **parameters(seen.cell),
        **_provenance(seen),
    }


def moment(nanoseconds: int | None) -> datetime | None:
    """Nanoseconds since 1970 to a UTC time in microseconds, without passing through a float."""
    return None if nanoseconds is None else _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def complete(row: Row, table: Table) -> Row:
    """The row with exactly the columns of a table, texts cleaned. Raises KeyError on a column it does not have."""
    return {column.name: safe(row[column.name]) for column in table.columns}


def safe(value: Any) -> Any:
    """Texts and lists of texts as they may be shown; everything else as it is."""
    if isinstance(value, str):
        return safe_line(value, 4000)
    if isinstance(value, list | tuple):
        return [safe(item) for item in value]
    return value


def parameters(cell: AnyCell) -> Row:
    """What the cell says of itself: columns where there is one of that name and type, the rest as JSON."""
    given: Mapping[str, Any] = msgspec.to_builtins(cell.params)
    typed = {column.name: column.dtype for column in PARAMETERS if column.name not in _FROM_CELL}
    row: Row = dict.fromkeys(typed)
    rest: Row = {}
    for name, value in given.items():
        column = _SPELT.get(name, name)
        if column in typed and _fits(value, typed[column]):
            row[column] = value
        elif value is not None:
            rest[name] = value
    return {
        **row,
        "precision": cell.precision,
        "nodes": cell.nodes,
        "gpus": cell.nodes * cell.gpus_per_node,
        "gpus_per_node": cell.gpus_per_node,
        "parameters": msgspec.json.encode(rest, order="sorted").decode(),
    }


def _fits(value: Any, dtype: pl.DataType) -> bool:
    if value is None:
        return True
    if isinstance(value, bool):
        return dtype == pl.Boolean()
    return isinstance(value, _TYPES[dtype])


def _identity(seen: Seen) -> Row:
    return {
        "run": seen.run.run,
        "label": seen.run.label,
        "matrix": seen.cell.matrix,
        "cell": seen.cell.id,
        "title": seen.cell.title,
        "title_printed": seen.cell.title_printed or seen.cell.title,
        "hosts": list(seen.hosts),
        "workload": seen.cell.workload,
        "model": seen.cell.model,
    }


def _attempt(seen: Seen) -> Row:
    attempt, failure = seen.attempt, seen.attempt.failure
    return {
        "attempt": attempt.attempt,
        "repeat": attempt.repeat,
        "try": attempt.attempt_try,
        "state": state(seen),
        "failure": failure.failure.value if failure else None,
        "failure_line": failure.line if failure else None,
        "remedy": failure.remedy or None if failure else None,
    }


def state(seen: Seen) -> str:
    """The outcome of an attempt that ended, the stage of one that goes on."""
    outcome = seen.attempt.outcome
    return outcome.value if isinstance(outcome, Outcome) else seen.attempt.stage.value


def _figure(judged: Judged) -> Row:
    seen, own = judged.seen, judged.own
    cell = judged.cell or judged.own
    reference = cell.reference if cell else None
    interval = cell.interval if cell else None
    return {
        "metric": seen.metric,
        "unit": METRICS[seen.metric].unit if seen.metric in METRICS else None,
        "value": seen.value,
        "reference": reference.value if reference else None,
        "reference_set": reference.set if reference else None,
        "reference_printed": reference.printed if reference else None,
        "reference_unit": reference.unit_printed if reference else None,
        "reference_source": reference.source if reference else None,
        "reference_dated": reference.dated if reference else None,
        "ratio": own.ratio if own else None,
        "verdict": cell.verdict.value if cell else None,
        "band": cell.band.value if cell and cell.band else None,
        "note": cell.note or None if cell else None,
        "repeats": cell.repeats if cell else None,
        "median": cell.value if cell else None,
        "median_ratio": cell.ratio if cell else None,
        "ratio_low": interval.low if interval else None,
        "ratio_high": interval.high if interval else None,
        "variation": cell.variation if cell else None,
        "mfu_percent": mfu_percent(seen.tflops, seen.gpu, seen.cell),
        "scaling_efficiency_percent": None,  # takes other rows to tell
        "scaling_against": None,
        **_validity(seen, cell),
        "errata": list(reference.errata) if reference else [],
        "simulated": seen.simulated,
    }


def _validity(seen: Seen, cell: Judgement | None) -> Row:
    reasons = seen.attempt.reasons
    return {
        "validity": [reason.reason.value for reason in reasons],
        "validity_detail": "; ".join(f"{item.reason.value}: {item.detail}" for item in reasons if item.detail) or None,
        "valid": None if seen.value is None else not seen.spoiled,
        "differences": [sentence(item) for item in cell.differences] if cell else [],
    }


def _times(seen: Seen) -> Row:
    attempt, result = seen.attempt, seen.attempt.result
    started, ended = attempt.started_at_ns, attempt.ended_at_ns
    measured = (result.measured_from_ns, result.measured_to_ns) if result else (None, None)
    stepped = any(item.reason is Validity.CLOCK_STEPPED for item in attempt.reasons)
    return {
        "planned_at": moment(attempt.planned_at_ns),
        "started_at": moment(started),
        "ended_at": moment(ended),
        "duration_s": None if stepped else _seconds(started, ended),
        "measured_s": _seconds(*measured),
    }


def _hardware(seen: Seen) -> Row:
    """What was read of its GPUs; empty for an attempt that nobody watched."""
    known = seen.attempt.hardware
    return {column.name: getattr(known, column.name, None) for column in HARDWARE}


def _seconds(start: int | None, end: int | None) -> float | None:
    """None where an end lies before its start: a clock was set in between."""
    return None if start is None or end is None or end < start else (end - start) / 1e9


def _provenance(seen: Seen) -> Row:
    under, cell = seen.conditions, seen.cell
    names = (
        *("image", "image_digest", "engine", "engine_version", "rocm", "pytorch", "gpu", "compute_partition"),
        *("memory_partition", "power_cap_w", "cpu", "nodes_per_socket", "bios_version", "os", "kernel", "driver"),
        "host_rocm",
    )
    return {
        **{name: getattr(under, name) for name in names},
        "recipe": cell.recipe,
        "deviations": list(cell.deviations),
        "operator": seen.run.operator,
        "version": seen.run.version,
    }
