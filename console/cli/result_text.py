"""Result pages as people read them on a terminal: the published columns, the measured figure, ratio, verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.cli import printing
from console.cli.printing import Column

if TYPE_CHECKING:
    import polars as pl

    from console.results.views import Page

SIMULATED = "simulated by the embedded lab: these figures say nothing about any hardware"
_OURS = ("Validity", "Run", "Hosts")


def print_pages(pages: Sequence["Page"], table: "pl.DataFrame") -> None:
    """Every matrix as a table on stdout; under it what the rows add up to, and why some have no figure."""
    from console.results.markdown import summary_sentence

    for index, page in enumerate(pages):
        if index:
            printing.data("")
        columns = [
            Column(heading, "right" if numeric else "left", shrink=heading in _OURS)
            for heading, numeric in zip(page.headings, page.numeric, strict=True)
        ]
        printing.table(columns, page.rows, title=page.title + (f" ({SIMULATED})" if page.simulated else ""))
        printing.data(summary_sentence(page.summary))
        if page.summary.hint:
            printing.data(page.summary.hint)
        for sentence in page.coverage.sentences() if page.coverage.rows else ():
            printing.data(sentence)
        for line in why_lines(table, page.matrix):
            printing.data(line)


def why_lines(table: "pl.DataFrame", matrix: str) -> list[str]:
    """Why attempts of a matrix have no figure: one line for each class and root-cause line, with what to do."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for row in table.iter_rows(named=True):
        if row["matrix"] == matrix and row["failure"]:
            key = (row["state"], row["failure"], row["failure_line"] or "", row["remedy"] or "")
            groups.setdefault(key, []).append(row["cell"])
    lines = []
    for (state, failure, line, remedy), cells in groups.items():
        who = cells[0] if len(cells) == 1 else f"{len(cells)} rows"
        lines.append(f"{who} {state} ({failure}): {line}" + (f"; {remedy}" if remedy else ""))
    return lines
