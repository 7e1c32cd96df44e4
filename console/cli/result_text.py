"""Result pages as people read them on a terminal: the published columns, the measured figure, ratio, verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.cli import printing
from console.cli.printing import Column
from console.model.text import clean_line

if TYPE_CHECKING:
    from console.results.views import Page

SIMULATED = "simulated by the embedded lab: these figures say nothing about any hardware"
SHRINK = ("Validity", "Run", "Hosts", "Model", "Models")
KEEP = ("Measured", "Ratio", "Verdict")
SENTENCE = 10_000
"""Longest line under a table; a list of cells can be long."""


def print_pages(pages: Sequence["Page"]) -> None:
    """Every matrix as a table on stdout; under it what the rows add up to, and why some have no figure."""
    from console.results.markdown import summary_sentence

    for index, page in enumerate(pages):
        if index:
            printing.data("")
        _print_page(page)
        hint = (page.summary.hint,) if page.summary.hint else ()
        coverage = page.coverage.sentences() if page.coverage.rows else ()
        for sentence in (summary_sentence(page.summary), *hint, *page.failures, *page.notes, *coverage):
            printing.data(clean_line(sentence, SENTENCE))


def _print_page(page: "Page") -> None:
    columns = [
        Column(
            heading,
            "right" if numeric else "left",
            shrink=heading in SHRINK,
            keep=heading in KEEP,
            keep_end=heading in ("Hosts", "Run"),
        )
        for heading, numeric in zip(page.headings, page.numeric, strict=True)
    ]
    printing.data(page.title + (f" ({SIMULATED})" if page.simulated else ""))
    print_fitting(columns, page.rows)


def print_fitting(columns: list[Column], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on stdout; where it is wider than the terminal, without what is the same in every row."""
    same = ""
    width = printing.terminal_width()
    if width is not None and max(map(printing.cell_width, printing.table_lines(columns, rows, None))) > width:
        columns, rows, same = hoisted(columns, rows)
    if same:
        printing.data(clean_line(same, SENTENCE))
    printing.table(columns, rows)


def hoisted(
    columns: list[Column], rows: Sequence[tuple[str, ...]]
) -> tuple[list[Column], Sequence[tuple[str, ...]], str]:
    """The table without the columns that say the same in every row, and one line that says it for all of them.

    Of a single row that is everything but its figure: a line is read whole where a table would be cut.
    """
    same = [index for index, column in enumerate(columns) if not column.keep and len({row[index] for row in rows}) == 1]
    rest = [index for index in range(len(columns)) if index not in same]
    said = ", ".join(f"{columns[index].heading} {rows[0][index]}" for index in same if rows[0][index] not in ("", "-"))
    kept = [tuple(row[index] for index in rest) for row in rows]
    start = "in every row: " if len(rows) > 1 else ""
    return [columns[index] for index in rest], kept, f"{start}{said}" if said else ""
