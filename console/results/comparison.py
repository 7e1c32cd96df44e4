"""Two summary frames side by side."""

from typing import Any

import polars as pl

from console.judge.comparability import comparable, differences
from console.model.cell import Conditions, Reference
from console.model.units import METRICS, oriented_ratio
from console.results.rows import Row
from console.results.schema import FLAG, NUMBER, TEXT, TEXTS

COMPARISON = pl.Schema(
    {
        "matrix": TEXT,
        "cell": TEXT,
        "title": TEXT,
        "hosts_a": TEXTS,
        "hosts_b": TEXTS,
        "metric": TEXT,
        "unit": TEXT,
        "a": NUMBER,
        "b": NUMBER,
        "ratio": NUMBER,
        "comparable": FLAG,
        "differences": TEXTS,
        "verdict_a": TEXT,
        "verdict_b": TEXT,
        "simulated": FLAG,
    }
)
"""`ratio` is b against a, turned so that above 1 means b is better; empty where the two may not be compared."""


def compare(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Two summary frames side by side: first a cell on the same hosts, then the same cell wherever it ran.

    A row without a partner stays, with the other side empty: those of `a` in their order, then those of `b`.
    """
    left, right = list(a.iter_rows(named=True)), list(b.iter_rows(named=True))
    partners: dict[int, Row] = {}
    for keys in (("matrix", "cell", "hosts"), ("matrix", "cell")):
        for index, row in enumerate(left):
            found = next((item for item in right if all(item[key] == row[key] for key in keys)), None)
            if index not in partners and found is not None:
                partners[index] = found
                right.remove(found)
    pairs: list[tuple[Row | None, Row | None]] = [(row, partners.get(index)) for index, row in enumerate(left)]
    pairs += [(None, row) for row in right]
    rows = [_compared(one, other) for one, other in pairs]
    return pl.DataFrame(
        {name: pl.Series(name, [row[name] for row in rows], dtype) for name, dtype in COMPARISON.items()}
    )


def _compared(one: Row | None, other: Row | None) -> Row:
    known = one if one is not None else other
    if known is None:
        raise ValueError("a comparison needs at least one side")
    both = one is not None and other is not None
    found = differences(_conditions(other), _as_reference(one)) if one is not None and other is not None else ()
    first, second = _of(one, "median"), _of(other, "median")
    fair = both and _of(one, "metric") == _of(other, "metric") and comparable(found)
    ratio = (
        oriented_ratio(known["metric"], second, first)
        if fair and first and second and known["metric"] in METRICS
        else None
    )
    return {
        **{name: known[name] for name in ("matrix", "cell", "title", "metric", "unit")},
        "hosts_a": _of(one, "hosts"),
        "hosts_b": _of(other, "hosts"),
        "a": first,
        "b": second,
        "ratio": ratio,
        "comparable": fair if both else None,
        "differences": [f"{item.key}: a {item.reference or '?'}, b {item.measured or '?'}" for item in found],
        "verdict_a": _of(one, "verdict"),
        "verdict_b": _of(other, "verdict"),
        "simulated": bool(_of(one, "simulated") or _of(other, "simulated")),
    }


def _of(row: Row | None, name: str) -> Any:
    return None if row is None else row[name]


def _conditions(row: Row) -> Conditions:
    named = {name: row[name] for name in Conditions.__struct_fields__ if name in row and name != "gpus"}
    return Conditions(**{**named, "gpus": row["gpus_per_node"]})


def _as_reference(row: Row) -> Reference:
    """The first row in the part of the reference; a simulated one belongs to the lab."""
    return Reference(
        value=row["median"] or 0.0,
        printed="",
        metric=row["metric"],
        unit_printed="",
        set="lab" if row["simulated"] else "own",
        source=row["run"],
        dated="",
        under=_conditions(row),
    )
