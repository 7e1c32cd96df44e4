"""Markdown of a comparison frame: one table for all matrices, what keeps rows apart under it."""

import polars as pl

from console.results.markdown import SIMULATED, escape
from console.results.rows import Row
from console.results.views import figure

_HEADINGS = ("Matrix", "Cell", "Hosts A", "Hosts B", "A", "B", "Unit", "B/A", "Verdict A", "Verdict B", "Note")
_NUMERIC = ("A", "B", "B/A")


def markdown(frame: pl.DataFrame) -> str:
    """Every row of the frame; above 1 means that B is better."""
    lines = ["# Comparison", ""]
    if frame["simulated"].any():
        lines += [f"**{SIMULATED}**", ""]
    lines += ["B against A; above 1 means that B is better.", ""]
    lines.append("| " + " | ".join(_HEADINGS) + " |")
    lines.append("|" + "|".join("---:" if name in _NUMERIC else "---" for name in _HEADINGS) + "|")
    lines += ["| " + " | ".join(escape(text) for text in _texts(row)) + " |" for row in frame.iter_rows(named=True)]
    return "\n".join(lines) + "\n"


def _texts(row: Row) -> tuple[str, ...]:
    return (
        row["matrix"],
        row["cell"],
        ", ".join(row["hosts_a"] or ()) or "-",
        ", ".join(row["hosts_b"] or ()) or "-",
        _measured(row, "a"),
        _measured(row, "b"),
        row["unit"] or "-",
        "-" if row["ratio"] is None else f"{row['ratio']:.3f}",
        row["verdict_a"] or "-",
        row["verdict_b"] or "-",
        note(row) or "-",
    )


def _measured(row: Row, side: str) -> str:
    if row[side] is None:
        return "-"
    return figure(row[side], None) + (" (simulated)" if row["simulated"] else "")


def note(row: Row) -> str:
    """Why a pair has no ratio, or in what its conditions differ."""
    if row["comparable"] is None:
        return "only in one of them"
    return ("" if row["comparable"] else "not comparable: ") + "; ".join(row["differences"])
