"""Two runs, or two hosts, side by side."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.desk.settings import Settings
from console.desk.sheet_views import Comparison, Pair, Side
from console.desk.tables import results
from console.model.units import METRICS
from console.results import comparison, frames, views, write

if TYPE_CHECKING:
    import polars as pl


def frame(settings: Settings, a: Side, b: Side) -> "pl.DataFrame":
    """The same cells of both sides; the ratio is b against a, above 1 is better."""
    return comparison.compare(_summary(settings, a), _summary(settings, b))


def read(settings: Settings, a: Side, b: Side) -> Comparison:
    """As `frame`, as plain records. Raises StoreError, CatalogError, ResultsError."""
    pairs = tuple(_pair(place, row) for place, row in enumerate(frame(settings, a, b).iter_rows(named=True)))
    return Comparison(a=a, b=b, pairs=pairs, simulated=any(pair.simulated for pair in pairs))


def save(settings: Settings, a: Side, b: Side, path: Path) -> int:
    """Write a comparison; the ending chooses the format. Returns how many rows it has. Raises ResultsError."""
    table = frame(settings, a, b)
    write.write(table, path)
    return len(table)


def rendered(settings: Settings, a: Side, b: Side, ending: str, places: Collection[int] | None = None) -> bytes:
    """A comparison, or some of its pairs by their place in it, in the format of an ending. Raises ResultsError."""
    table = frame(settings, a, b)
    if places is not None:
        table = table.filter([place in places for place in range(len(table))])
    return write.render(table, ending)


def _summary(settings: Settings, side: Side) -> "pl.DataFrame":
    table = frames.summary(results(settings, side.runs))
    return table if side.host is None else table.filter([side.host in hosts for hosts in table["hosts"].to_list()])


def _pair(place: int, row: dict[str, Any]) -> Pair:
    known = METRICS.get(row["metric"])
    return Pair(
        place=place,
        matrix=row["matrix"],
        cell=row["cell"],
        title=row["title"],
        unit=row["unit"] or "",
        lower_is_better=known is not None and known.better == "lower",
        hosts_a=tuple(row["hosts_a"] or ()),
        hosts_b=tuple(row["hosts_b"] or ()),
        a=row["a"],
        b=row["b"],
        text_a=_text(row["a"]),
        text_b=_text(row["b"]),
        ratio=row["ratio"],
        comparable=row["comparable"],
        differences=tuple(row["differences"]),
        verdict_a=row["verdict_a"] or "",
        verdict_b=row["verdict_b"] or "",
        simulated=row["simulated"],
    )


def _text(value: float | None) -> str:
    return "" if value is None else views.figure(value, None)
