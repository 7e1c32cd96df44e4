"""Results of runs as small plain records, matrix by matrix: what a screen holds instead of frames."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from console.catalog.shelf import Catalog
from console.desk import desk
from console.desk.settings import Settings
from console.desk.sheet_views import Book, Difference, Fact, FactGroup, Figure, Sheet, Strength, Tried
from console.desk.tables import key_of
from console.judge.comparability import MUST, SHOULD
from console.model.attempt import Reason
from console.model.cell import AnyCell, Matrix, Reference
from console.model.text import clean_line, safe_line
from console.model.units import METRICS, binary_size
from console.results import frames, schema, views
from console.results.markdown import summary_sentence
from console.results.rows import Row, parameters

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(settings: Settings, runs: Sequence[str]) -> Book:
    """Read runs (exact ids). Raises StoreError, CatalogError, ResultsError."""
    catalog = desk.fleet_catalog(settings)
    with desk.tail(settings) as tail:
        seq = tail.last_seq()
        table = frames.results(tail, catalog, runs)
        reasons = {row.attempt: _clean(row.reasons) for run in runs for row in tail.attempts(run)}
    tried: dict[str, list[tuple[Row, Tried]]] = {}
    for row in table.iter_rows(named=True):
        tried.setdefault(key_of(row), []).append((row, _tried(row, reasons)))
    rows: dict[str, list[Row]] = {}
    for row in frames.summary(table).iter_rows(named=True):
        rows.setdefault(row["matrix"], []).append(row)
    return Book(
        runs=tuple(runs),
        sheets=tuple(_sheet(name, catalog, of_matrix, tried) for name, of_matrix in rows.items()),
        hosts=tuple(sorted({host for of_matrix in rows.values() for row in of_matrix for host in row["hosts"]})),
        simulated=any(row["simulated"] for of_matrix in rows.values() for row in of_matrix),
        read_from=seq,
    )


def _sheet(name: str, catalog: Catalog, rows: Sequence[Row], tried: Mapping[str, Sequence[tuple[Row, Tried]]]) -> Sheet:
    matrix = catalog.matrices.get(name)
    columns = matrix.columns if matrix is not None else views.PLAIN_COLUMNS
    order = {cell.id: place for place, cell in enumerate(matrix.cells)} if matrix is not None else {}
    ordered = sorted(rows, key=lambda row: (order.get(row["cell"], len(order)), row["run"], row["hosts"]))
    keys = [column.key for column in columns]
    simulated = any(row["simulated"] for row in rows)
    summary = views.table_summary(ordered, len(order))
    covered = views.coverage(ordered, name, matrix)
    hint = (summary.hint,) if summary.hint and not simulated else ()
    return Sheet(
        matrix=name,
        title=matrix.title if matrix is not None else name,
        source=matrix.source if matrix is not None else "",
        dated=matrix.dated if matrix is not None else "",
        columns=tuple((column.key, column.heading) for column in columns),
        figures=tuple(_figure(_awaited(row, matrix), keys, tried[key_of(row)]) for row in ordered),
        missing=_missing(matrix, keys, covered.not_in_run, simulated=simulated) if matrix is not None else (),
        order=tuple(order),
        sentences=(summary_sentence(summary), *hint, *(covered.sentences() if covered.rows else ())),
        simulated=simulated,
    )


def _awaited(row: Row, matrix: Matrix | None) -> Row:
    """A row that nothing has ended of yet, with the reference it will most likely be held against."""
    cell = next((item for item in matrix.cells if item.id == row["cell"]), None) if matrix is not None else None
    reference = _reference(cell, simulated=row["simulated"]) if cell is not None and row["verdict"] is None else None
    if reference is None:
        return row
    return {
        **row,
        "reference_printed": reference.printed,
        "reference_unit": reference.unit_printed,
        "reference_set": reference.set,
        "reference_source": reference.source,
        "reference_dated": reference.dated,
        "errata": list(reference.errata),
    }


def _reference(cell: AnyCell, *, simulated: bool) -> Reference | None:
    """The first that a figure of this world may be compared with: in the lab the lab's own."""
    wanted = [item for item in cell.references if (item.set == "lab") is simulated] or list(cell.references)
    return wanted[0] if wanted else None


_SAME = ("run", "label", "matrix", "cell", "title", "metric", "ok", "spoiled", "failed", "not_run", "open", "simulated")
_NUMBERS = ("variation", "ratio_low", "ratio_high")
_TEXTS = (
    *("unit", "verdict", "band", "note", "reference_set", "reference_unit", "failure", "failure_line", "remedy"),
    *("image", "image_digest"),
)


def _figure(row: Row, keys: Sequence[str], tried: Sequence[tuple[Row, Tried]]) -> Figure:
    known = METRICS.get(row["metric"])
    # The figure rests on valid repeats where there are any; only their reasons are its own.
    valid = [item for item in tried if item[1].value is not None and not item[1].spoiled]
    speaking = valid or [item for item in tried if item[1].value is not None] or tried
    same: dict[str, Any] = {name: row[name] for name in (*_SAME, *_NUMBERS)}
    texts: dict[str, Any] = {name: row[name] or "" for name in _TEXTS}
    return Figure(
        key=key_of(row),
        **same,
        **texts,
        hosts=tuple(row["hosts"]),
        published=tuple(views.published_text(row, key) for key in keys),
        lower_is_better=known is not None and known.better == "lower",
        value=row["median"],
        text=_figure_text(row, "median"),
        repeats=row["repeats"] or 0,
        ratio=row["median_ratio"],
        printed=row["reference_printed"] or "",
        source=row["reference_source"] or "",
        dated=row["reference_dated"] or "",
        errata=tuple(row["errata"]),
        differences=tuple(Difference(_strength(text), text) for text in row["differences"]),
        deviations=tuple(row["deviations"]),
        reasons=_merged(reason for _, item in speaking for reason in item.reasons),
        facts=tuple(_facts(speaking[0][0])),
        attempts=tuple(item for _, item in tried),
    )


def _tried(row: Row, reasons: Mapping[str, tuple[Reason, ...]]) -> Tried:
    return Tried(
        attempt=row["attempt"],
        repeat=row["repeat"],
        attempt_try=row["try"],
        state=row["state"],
        value=row["value"],
        text=_figure_text(row, "value"),
        ratio=row["ratio"],
        reasons=reasons.get(row["attempt"], ()),
        **{name: row[name] or "" for name in ("failure", "failure_line", "remedy")},
        started_at_ns=_ns(row["started_at"]),
        ended_at_ns=_ns(row["ended_at"]),
    )


def _figure_text(row: Row, name: str) -> str:
    return "" if row[name] is None else views.figure(row[name], row["reference_printed"])


def _missing(matrix: Matrix, keys: Sequence[str], cells: Collection[str], *, simulated: bool) -> tuple[Figure, ...]:
    return tuple(_alone(matrix, cell, keys, simulated=simulated) for cell in matrix.cells if cell.id in cells)


def _alone(matrix: Matrix, cell: AnyCell, keys: Sequence[str], *, simulated: bool) -> Figure:
    """A row that was not run; in the lab beside the lab's own figure, which is all that it could be compared with."""
    reference = _reference(cell, simulated=simulated)
    row: Row = {
        **parameters(cell),
        "cell": cell.id,
        "model": cell.model,
        "title_printed": cell.title_printed or cell.title,
        "reference_printed": reference.printed if reference else None,
    }
    known = METRICS.get(cell.metric)
    return Figure(
        key="\x1f".join(("", matrix.name, cell.id)),
        run="",
        label="",
        matrix=matrix.name,
        cell=cell.id,
        title=cell.title,
        hosts=(),
        published=tuple(views.published_text(row, key) for key in keys),
        metric=cell.metric,
        unit=known.unit if known else "",
        lower_is_better=known is not None and known.better == "lower",
        printed=reference.printed if reference else "",
        reference_set=reference.set if reference else "",
        reference_unit=reference.unit_printed if reference else "",
        source=reference.source if reference else "",
        dated=reference.dated if reference else "",
        errata=reference.errata if reference else (),
    )


_PLACED = {"image", "image_digest", "deviations", "parameters"}
_ROW = {column.name for column in schema.PARAMETERS}
_UNDER = {column.name for column in schema.PROVENANCE}
_TOLD = {column.name for column in (*schema.IDENTITY, *schema.ATTEMPT, *schema.TIMES)} | _PLACED
_TOLD |= {"metric", "unit", "value", "reference", "reference_set", "reference_printed", "reference_unit"}
_TOLD |= {"reference_source", "reference_dated", "ratio", "verdict", "band", "note", "repeats", "median"}
_TOLD |= {"median_ratio", "ratio_low", "ratio_high", "variation", "validity", "validity_detail", "valid"}
_TOLD |= {"differences", "errata", "simulated"}
"""Columns that a figure has fields of its own for."""
_UNIT_WORDS = {"W": "w", "s": "s", "%": "percent", "°C": "c", "bytes": "bytes"}
"""How columns carry their unit in their name; beside the unit it would say the same twice."""


def _facts(row: Row) -> Iterable[Fact]:
    """Whatever else the table knows of an attempt, columns added later included."""
    yield Fact("row", "model", str(row["model"]))
    yield Fact("row", "workload", str(row["workload"]))
    for column in schema.RESULTS.columns:
        value = row[column.name]
        if column.name in _TOLD or value is None or value in ("", []):
            continue
        unit = (row["unit"] or "") if column.unit == "metric" else column.unit
        group: FactGroup = "row" if column.name in _ROW else "conditions" if column.name in _UNDER else "beside"
        name = " ".join(word for word in column.name.split("_") if word != _UNIT_WORDS.get(unit))
        if unit == "bytes":
            yield Fact(group, name, binary_size(value))
        else:
            yield Fact(group, name, _text(value), unit)
    for name, value in msgspec.json.decode(row["parameters"]).items():
        if value not in ("", [], {}):
            yield Fact("row", name.replace("_", " "), clean_line(_text(value)))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return str(value)


def _strength(text: str) -> Strength:
    key = text.partition(":")[0]
    if key in MUST or key in ("image", "image_digest", "engine_version", "simulated"):
        return "must"
    return "should" if key in SHOULD else "noted"


def _clean(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(Reason(item.reason, safe_line(item.detail, 4000)) for item in reasons)


def _merged(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each kind once, what was seen joined; what spoils first."""
    seen: dict[Any, list[str]] = {}
    for item in reasons:
        details = seen.setdefault(item.reason, [])
        if item.detail and item.detail not in details:
            details.append(item.detail)
    merged = [Reason(kind, "; ".join(details)) for kind, details in seen.items()]
    return tuple(sorted(merged, key=lambda item: not item.spoils))


def _ns(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1) * 1000
