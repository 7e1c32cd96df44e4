"""Polars frames of runs, with the columns of `schema`. Failed, unfinished and never started attempts have rows too."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import polars as pl

from console.model.attempt import Sample
from console.model.units import METRICS as KNOWN_METRICS
from console.results.derived import median_mfu, with_scaling
from console.results.errors import ResultsError
from console.results.reading import Seen, judged, look
from console.results.references import Shelf
from console.results.rows import Row, complete, moment, result_row, state
from console.results.schema import METRICS, RESULTS, SAMPLES, SUMMARY, Table
from console.store.tail import Tail

_KEY = ("run", "matrix", "cell", "hosts")


def results(tail: Tail, shelf: Shelf | None, runs: Sequence[str]) -> pl.DataFrame:
    """One row per attempt of the runs (exact ids), in the order given, then of the run's own plan.

    Verdicts are computed here, from the references known now. Raises ResultsError for a run that is not there.
    """
    seen = [item for run in runs for item in _seen(tail, run, shelf)]
    return frame(RESULTS, with_scaling([result_row(item) for item in judged(seen, shelf)], "value"))


def summary(table: pl.DataFrame) -> pl.DataFrame:
    """One row per cell on its hosts, from a frame of `results`, in its order."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table.iter_rows(named=True):
        groups.setdefault(_group(row), []).append(row)
    return frame(SUMMARY, with_scaling([_summed(rows) for rows in groups.values()], "median"))


def metrics(tail: Tail, runs: Sequence[str]) -> pl.DataFrame:
    """Every measured figure in long form: iterations and percentiles too, also of attempts that failed later."""
    return frame(METRICS, (row for run in runs for seen in _seen(tail, run) for row in _metric_rows(seen)))


def samples(tail: Tail, runs: Sequence[str]) -> pl.DataFrame:
    """Every journaled live figure of the runs, in the order it was read."""
    return frame(SAMPLES, (row for run in runs for seen in _seen(tail, run) for row in _sample_rows(tail, seen)))


def frame(table: Table, rows: Iterable[Row]) -> pl.DataFrame:
    """A frame with exactly the table's columns and types, also without rows."""
    schema = table.schema
    columns: dict[str, list[Any]] = {name: [] for name in schema}
    for row in rows:
        for name, value in complete(row, table).items():
            columns[name].append(value)
    return pl.DataFrame({name: pl.Series(name, columns[name], dtype) for name, dtype in schema.items()})


def _seen(tail: Tail, run: str, shelf: Shelf | None = None) -> Iterator[Seen]:
    row = tail.run(run)
    if row is None:
        raise ResultsError(f"there is no run {run!r}; `instinct runs` lists them")
    for attempt in tail.attempts(run):
        yield look(row, attempt, shelf)


def _group(row: Row) -> tuple[Any, ...]:
    return tuple(tuple(row[name]) if isinstance(row[name], list) else row[name] for name in _KEY)


def _summed(rows: Sequence[Row]) -> Row:
    """The row of a cell: what its best-founded attempt says, and how the others ended."""
    with_figure = [row for row in rows if row["value"] is not None]
    ended = [row for row in rows if row["verdict"] is not None]
    speaks = next(iter([row for row in with_figure if row["valid"]] or with_figure or ended or rows))
    rests_on = [row for row in with_figure if row["valid"] is speaks["valid"]] or rows
    states = Counter(row["state"] for row in rows)
    failed = next((row for row in reversed(rows) if row["failure"]), speaks)
    started = [row["started_at"] for row in rows if row["started_at"] is not None]
    done = [row["ended_at"] for row in rows if row["ended_at"] is not None]
    return {
        **speaks,
        "attempts": len(rows),
        "ok": sum(row["valid"] is True for row in rows),
        "spoiled": sum(row["valid"] is False for row in rows),
        "failed": states["failed"],
        "not_run": states["not run"] + states["stopped"],
        "open": sum(row["verdict"] is None for row in rows),
        **{name: failed[name] for name in ("failure", "failure_line", "remedy")},
        "mfu_percent": median_mfu(rests_on),
        "validity": list(dict.fromkeys(reason for row in rests_on for reason in row["validity"])),
        "started_at": min(started, default=None),
        "ended_at": max(done, default=None),
    }


def _metric_rows(seen: Seen) -> Iterator[Row]:
    for item in seen.attempt.result.values if seen.attempt.result else ():
        yield {
            "run": seen.run.run,
            "matrix": seen.cell.matrix,
            "cell": seen.cell.id,
            "hosts": list(seen.hosts),
            "attempt": seen.attempt.attempt,
            "repeat": seen.attempt.repeat,
            "state": state(seen),
            "metric": item.metric,
            "stat": item.stat,
            "iteration": item.iteration,
            "value": item.value,
            "unit": KNOWN_METRICS[item.metric].unit if item.metric in KNOWN_METRICS else None,
            "origin": item.origin,
            "simulated": seen.simulated,
        }


def _sample_rows(tail: Tail, seen: Seen) -> Iterator[Row]:
    seq = 0
    while page := tail.of_attempt(seen.attempt.attempt, Sample, seq):
        for envelope in page:
            if isinstance(envelope.event, Sample):
                yield _sample_row(seen, envelope.part, envelope.event)
        seq = page[-1].seq or 0


def _sample_row(seen: Seen, part: str | None, sample: Sample) -> Row:
    names = (
        *("source", "metric", "rate", "done", "total", "counts", "running", "waiting", "kv_cache_used"),
        "prompt_tokens_per_s",
    )
    return {
        "run": seen.run.run,
        "matrix": seen.cell.matrix,
        "cell": seen.cell.id,
        "attempt": seen.attempt.attempt,
        "part": part,
        "at": moment(sample.at_ns),
        **{name: getattr(sample, name) for name in names},
        "extra": msgspec.json.encode(sample.extra, order="sorted").decode(),
        "simulated": seen.simulated,
    }
