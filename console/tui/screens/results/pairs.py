"""Rows of the Results screen when two runs or two hosts stand side by side. Pure."""

from collections.abc import Sequence

from console.desk.sheet_views import Comparison, Pair
from console.tui.marks import Mark, Span
from console.tui.screens.results.rows import BAR, MOST, bar, bar_title, names, ratio, widest
from console.tui.screens.results.words import VERDICT
from console.tui.widgets.grid import Cell, Column, Row


def pair_columns(comparison: Comparison, pairs: Sequence[Pair]) -> tuple[Column, ...]:
    """Both figures side by side; hosts only where a side has several."""
    short = names(pair.cell for pair in pairs)
    made = [Column("row", "row", min(MOST, max((len(text) for text in short.values()), default=8)), grow=2)]
    if len({pair.matrix for pair in pairs}) > 1:
        made.append(Column("matrix", "matrix", min(24, widest("matrix", (pair.matrix for pair in pairs))), rank=5))
    for key, title, found in (
        ("hosts_a", "hosts A", [",".join(pair.hosts_a) for pair in pairs]),
        ("hosts_b", "hosts B", [",".join(pair.hosts_b) for pair in pairs]),
    ):
        if comparison.a.host is None and len(set(found) - {""}) > 1:
            made.append(Column(key, title, min(18, widest(title, found)), rank=6))
    made.append(Column("a", "A", widest("A", (pair.text_a for pair in pairs)), right=True))
    made.append(Column("b", "B", widest("B", (pair.text_b for pair in pairs)), right=True))
    made.append(Column("unit", "unit", min(12, widest("unit", (pair.unit for pair in pairs))), rank=4))
    made += [Column("ratio", "B/A", 6, right=True), Column("bar", bar_title(), BAR, rank=3)]
    made += [Column("verdicts", "verdict A → B", 24, grow=1, rank=7), Column("why", "note", 16, grow=6, rank=2)]
    return tuple(made)


def pair_rows(comparison: Comparison, pairs: Sequence[Pair]) -> list[Row]:
    """A row for each pair, in the columns of `pair_columns`."""
    short = names(pair.cell for pair in pairs)
    keys = [column.key for column in pair_columns(comparison, pairs)]
    made = []
    for pair in pairs:
        band = pair_band(pair)
        cells: dict[str, Cell] = {
            "row": short[pair.cell],
            "matrix": pair.matrix,
            "hosts_a": ",".join(pair.hosts_a),
            "hosts_b": ",".join(pair.hosts_b),
            "a": (pair.text_a or "-", "" if pair.text_a else "dim"),
            "b": (pair.text_b or "-", "bold" if pair.text_b else "dim"),
            "unit": (pair.unit + ("↓" if pair.lower_is_better else ""), "dim"),
            "ratio": ratio(pair.ratio, band, counts=True),
            "bar": bar(pair.ratio, band),
            "verdicts": (_mark(pair.verdict_a), (" → ", "dim"), _mark(pair.verdict_b)),
            "why": pair_note(pair),
        }
        made.append(Row(str(pair.place), tuple(cells[key] for key in keys)))
    return made


def pair_matches(pair: Pair, words: str) -> bool:
    """Every word is found in what the pair says; `!word` is not."""
    texts = [pair.matrix, pair.cell, pair.title, pair.verdict_a, pair.verdict_b, *pair.hosts_a, *pair.hosts_b]
    said = "\n".join([*texts, *pair.differences]).lower()
    return all(
        (word[1:] not in said) if word.startswith("!") and len(word) > 1 else word in said
        for word in words.lower().split()
    )


def pair_band(pair: Pair) -> str:
    """How far apart two figures are, in the bands of the ladder; it says nothing about either's verdict."""
    if pair.ratio is None:
        return ""
    if pair.ratio < 0.90:
        return "below"
    if pair.ratio < 0.98:
        return "marginal"
    return "above" if pair.ratio > 1.02 else "matched"


def pair_note(pair: Pair) -> Cell:
    """Why there is no ratio, or in what the conditions differ."""
    if pair.comparable is None:
        return f"only {'A' if pair.hosts_a or pair.text_a else 'B'} has this cell", "unknown"
    lacking = [(name, word) for name, text, word in _sides(pair) if not text]
    if lacking:
        return "; ".join(f"{name} has no figure{f': {word}' if word else ''}" for name, word in lacking), "unknown"
    if not pair.comparable:
        return f"not comparable: {'; '.join(pair.differences)}", "warn"
    return "; ".join(pair.differences), "dim"


def both_measured(pair: Pair) -> bool:
    """True when there are two figures to hold against each other."""
    return bool(pair.text_a and pair.text_b)


def _sides(pair: Pair) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    return ("A", pair.text_a, pair.verdict_a), ("B", pair.text_b, pair.verdict_b)


def _mark(word: str) -> Span:
    mark: Mark | None = VERDICT.get(word)
    return mark.span if mark is not None else ("–", "dim")
