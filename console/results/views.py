"""A matrix of a summary frame as its source prints it, with what was measured beside it, and what is not covered."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import polars as pl

from console.judge.statistics import RowRatio, TableSummary, summarise
from console.judge.verdict import COMPARED
from console.model.cell import Column, Matrix
from console.model.units import table_figure
from console.results.comparison import COMPARISON, compare
from console.results.rows import Row
from console.workloads.flops import COUNT

__all__ = [
    "COMPARISON",
    "Coverage",
    "Page",
    "compare",
    "coverage",
    "figure",
    "page",
    "pages",
    "published_text",
    "table_summary",
]

UNFINISHED = "unfinished"
"""Stands for the verdict of a cell none of whose attempts has ended."""

SHOWN = 4
"""Most cells named where a list is about something missing."""

PLAIN_COLUMNS = (
    Column(heading="Cell", key="cell"),
    Column(heading="Precision", key="precision"),
    Column(heading="Reference", key="printed"),
)
"""For a matrix that the catalog does not have any more."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One matrix of a summary frame as its source prints it, and what was measured beside it.

    `headings` and `rows` are text; `errata` belongs to the rows, one tuple of texts each. `numeric` says which
    columns are numbers, for alignment; `printed` which one has the reference. `notes` say what verdicts cannot,
    `failures` why rows have no figure; what several rows share is said once.
    """

    matrix: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    errata: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    printed: int | None
    simulated: bool
    summary: TableSummary
    coverage: "Coverage"
    notes: tuple[str, ...]
    failures: tuple[str, ...]

    def frame(self) -> pl.DataFrame:
        """The table as a frame of text; a heading that comes again is numbered."""
        names = [
            heading if (before := self.headings[:index].count(heading)) == 0 else f"{heading} ({before + 1})"
            for index, heading in enumerate(self.headings)
        ]
        return pl.DataFrame(list(self.rows), schema=dict.fromkeys(names, pl.String()), orient="row")


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a table's figures do not cover. Tuples hold cell ids, in the order of the matrix.

    `not_in_run`: references without a cell in the run. `without_reference`: cells that nothing could be compared
    with. `not_in_matrix`: cells of the run that the matrix does not have: changed by `--set`, or gone from the catalog.
    """

    matrix: str
    rows: int
    run: int
    measured: int
    not_in_run: tuple[str, ...]
    without_reference: tuple[str, ...]
    not_in_matrix: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """What is missing, in words; always at least how much was run."""
        found = [f"{self.measured} of {self.rows} rows of {self.matrix} have a figure"]
        if self.not_in_run:
            found.append(f"{_listed(self.not_in_run, 'reference')} without a result")
        if self.without_reference:
            found.append(f"{_listed(self.without_reference, 'result')} without a reference")
        if self.not_in_matrix:
            found.append(f"not rows of {self.matrix}: {', '.join(self.not_in_matrix)}")
        return tuple(found)


def _listed(names: Sequence[str], word: str) -> str:
    """How many, and which: all of a few, the first of many."""
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"{len(names)} {word}{'s' if len(names) != 1 else ''} ({shown})"


def pages(summary: pl.DataFrame, matrices: Mapping[str, Matrix]) -> tuple[Page, ...]:
    """One page per matrix, in the order the matrices first appear."""
    names = dict.fromkeys(summary["matrix"].to_list())
    return tuple(page(summary.filter(pl.col("matrix") == name), name, matrices.get(name)) for name in names)


def page(summary: pl.DataFrame, name: str, matrix: Matrix | None) -> Page:
    """The rows of one matrix in the order of its source, then by run and host; columns as published, then ours."""
    order = {cell.id: position for position, cell in enumerate(matrix.cells)} if matrix is not None else {}
    rows = sorted(
        summary.iter_rows(named=True), key=lambda row: (order.get(row["cell"], len(order)), row["run"], row["hosts"])
    )
    published = matrix.columns if matrix is not None else PLAIN_COLUMNS
    columns: list[tuple[str, Callable[[Row], str]]] = [
        *((column.heading, partial(published_text, key=column.key)) for column in published),
        *_ours(rows),
    ]
    texts = [tuple(text(row) for _, text in columns) for row in rows]
    return Page(
        matrix=name,
        title=matrix.title if matrix is not None else name,
        headings=tuple(heading for heading, _ in columns),
        rows=tuple(texts),
        errata=tuple(tuple(row["errata"]) for row in rows),
        numeric=tuple(_is_number([row[index] for row in texts]) for index in range(len(columns))),
        printed=next((index for index, column in enumerate(published) if column.key == "printed"), None),
        simulated=any(row["simulated"] for row in rows),
        summary=table_summary(rows, len(matrix.cells) if matrix is not None else 0),
        coverage=coverage(rows, name, matrix),
        notes=(*_said_once([(_name(row), _note(row)) for row in rows]), *_derived(rows)),
        failures=_failures(rows),
    )


def _ours(rows: Sequence[Row]) -> Iterator[tuple[str, Callable[[Row], str]]]:
    """Our columns beside the published ones; those that tell rows apart only where there is something to tell."""
    if not {row["reference_set"] for row in rows} <= {"published", None}:
        yield "Reference set", lambda row: row["reference_set"] or "-"
    if len({row["run"] for row in rows}) > 1:
        yield "Run", lambda row: str(row["run"])
    if len({tuple(row["hosts"]) for row in rows}) > 1:
        yield "Hosts", lambda row: ", ".join(row["hosts"])
    if any((row["repeats"] or 0) > 1 for row in rows):
        yield "Repeats", lambda row: str(row["repeats"] or "-")
    yield "Measured", _measured
    yield "Ratio", _ratio
    if any(row["mfu_percent"] is not None for row in rows):
        yield "MFU %", lambda row: _percent(row["mfu_percent"])
    if any(row["scaling_efficiency_percent"] is not None for row in rows):
        yield "Scaling %", lambda row: _percent(row["scaling_efficiency_percent"])
    yield "Verdict", _verdict
    yield "Validity", lambda row: ", ".join(row["validity"]) or "-"


def table_summary(rows: Sequence[Row], table_rows: int) -> TableSummary:
    """Geometric mean, worst row and spread over the rows whose ratio counts. A cell on two hosts is two rows."""
    ratios = []
    for row in rows:
        counts = row["verdict"] in {verdict.value for verdict in COMPARED}
        ratios.append(RowRatio(_name(row), row["verdict"] or UNFINISHED, row["median_ratio"] if counts else None))
    return summarise(ratios, table_rows)


def coverage(rows: Sequence[Row], name: str, matrix: Matrix | None) -> Coverage:
    """What of a matrix is not covered by these rows, and which of them nothing could be compared with."""
    cells = tuple(cell.id for cell in matrix.cells) if matrix is not None else ()
    run = tuple(dict.fromkeys(row["cell"] for row in rows))
    referenced = {cell.id for cell in matrix.cells if cell.references} if matrix is not None else set()
    lacking = dict.fromkeys(row["cell"] for row in rows if row["verdict"] in ("no reference", "incomparable"))
    return Coverage(
        matrix=name,
        rows=len(cells),
        run=len([cell for cell in run if cell in cells]),
        measured=len({row["cell"] for row in rows if row["median"] is not None and row["cell"] in cells}),
        not_in_run=tuple(cell for cell in cells if cell not in run and cell in referenced),
        without_reference=tuple(lacking),
        not_in_matrix=tuple(cell for cell in run if cell not in cells),
    )


def published_text(row: Row, key: str) -> str:
    """What the published table prints in a column: `-` for nothing, On and Off for switches."""
    if key == "printed":
        return row["reference_printed"] or "-"
    if key == "title":
        return str(row["title_printed"])
    value: Any = row[key] if key in row else json.loads(row["parameters"]).get(key)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "On" if value else "Off"
    return "None" if value == "none" else str(value)


def _measured(row: Row) -> str:
    if row["median"] is None:
        return "-"
    text = figure(row["median"], row["reference_printed"])
    return f"{text} (simulated)" if row["simulated"] else text


def _ratio(row: Row) -> str:
    return "-" if row["median_ratio"] is None else f"{row['median_ratio']:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _verdict(row: Row) -> str:
    """The verdict; with the band of an unconfirmed figure and the class of a failure."""
    verdict: str | None = row["verdict"]
    if verdict is None:
        return UNFINISHED
    if verdict == "unconfirmed" and row["band"]:
        return f"{verdict} ({row['band']})"
    if verdict in ("failed", "not run") and row["failure"]:
        return f"{verdict} ({row['failure']})"
    return verdict


def _name(row: Row) -> str:
    return f"{row['cell']} on {', '.join(row['hosts'])}" if row["hosts"] else str(row["cell"])


def _note(row: Row) -> str:
    """The note, unless the verdict column says it already."""
    note: str = row["note"] or ""
    return "" if note == f"one repeat, {row['band']}" else note


def _derived(rows: Sequence[Row]) -> Iterator[str]:
    """What the derived columns rest on."""
    with_mfu = dict.fromkeys(f"{row['precision']} on {row['gpu']}" for row in rows if row["mfu_percent"] is not None)
    if with_mfu:
        yield f"MFU is of the published dense peak ({', '.join(with_mfu)}); operations counted: {COUNT}"
    against = dict.fromkeys(row["scaling_against"] for row in rows if row["scaling_against"])
    if against:
        yield f"scaling is the figure of a GPU against that on one node: {'; '.join(against)}"


def _failure(row: Row) -> str:
    if row["verdict"] not in ("failed", "not run") or not row["failure"]:
        return ""
    remedy = f"; {row['remedy']}" if row["remedy"] else ""
    return f"{row['verdict']} ({row['failure']}): {row['failure_line']}{remedy}"


def _failures(rows: Sequence[Row]) -> tuple[str, ...]:
    """Why rows have no figure. What hosts say alike, each under its own name, is said once and of all of them."""
    alike: dict[str, tuple[str, list[str], dict[str, None]]] = {}
    for row in rows:
        text = key = _failure(row)
        if not text:
            continue
        for host in row["hosts"] or ():
            key = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "\0", key)
        _, names, hosts = alike.setdefault(key, (text, [], {}))
        names.append(_name(row))
        hosts.update(dict.fromkeys(row["hosts"] or ()))
    said = []
    for text, names, hosts in alike.values():
        which = names[0] if len(names) == 1 else f"{len(names)} rows"
        more = [host for host in hosts if host not in text] if len(names) > 1 else []
        left = f" and {len(more) - 3} more" if len(more) > 3 else ""
        said.append(f"{which}: {text}" + (f" (alike: {', '.join(more[:3])}{left})" if more else ""))
    return tuple(said)


def _said_once(said: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """`row: text`, or `3 rows: text` where several rows say the same."""
    rows: dict[str, list[str]] = {}
    for name, text in said:
        if text:
            rows.setdefault(text, []).append(name)
    return tuple(f"{names[0] if len(names) == 1 else f'{len(names)} rows'}: {text}" for text, names in rows.items())


def figure(value: float, printed: str | None) -> str:
    """A figure with as many decimals as its reference is printed with; as in every table without one."""
    if printed is not None and math.isfinite(value):
        return f"{value:.{len(printed.partition('.')[2])}f}"
    return table_figure(value)


def _is_number(texts: Sequence[str]) -> bool:
    values = [text.removesuffix(" (simulated)") for text in texts if text != "-"]
    return bool(values) and all(value.replace(".", "", 1).isdigit() for value in values)
