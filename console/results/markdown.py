"""Markdown of a summary: one table per matrix, held beside the published page column by column."""

import re
from collections.abc import Mapping

import polars as pl

from console.judge.statistics import TableSummary
from console.model.cell import Matrix
from console.results.views import Page, pages

_SPECIAL = re.compile(r"([\\|`*<\[\]])")
SIMULATED = "Simulated by the embedded lab: these figures say nothing about any hardware."


def markdown(summary: pl.DataFrame, matrices: Mapping[str, Matrix]) -> str:
    """Every matrix of a summary frame under a heading of its own, errata as footnotes."""
    notes: dict[str, int] = {}
    parts = ["# Results\n"]
    if summary.is_empty():
        parts.append("No attempt was planned.\n")
    parts += [_section(page, summary, notes) for page in pages(summary, matrices)]
    if notes:
        parts.append("\n".join(f"[^{number}]: {escape(text)}" for text, number in notes.items()) + "\n")
    return "\n".join(parts)


def _section(page: Page, summary: pl.DataFrame, notes: dict[str, int]) -> str:
    lines = [f"## {escape(page.title)}{' (simulated)' if page.simulated else ''}", ""]
    if page.simulated:
        lines += [f"**{SIMULATED}**", ""]
    lines += [*_origin(page, summary), ""]
    lines.append("| " + " | ".join(escape(heading) for heading in page.headings) + " |")
    lines.append("|" + "|".join("---:" if number else "---" for number in page.numeric) + "|")
    for row, errata in zip(page.rows, page.errata, strict=True):
        cells = [escape(text) for text in row]
        if page.printed is not None:
            cells[page.printed] += "".join(f"[^{notes.setdefault(text, len(notes) + 1)}]" for text in errata)
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"- {escape(text)}" for text in _footer(page))]
    return "\n".join(lines) + "\n"


def _origin(page: Page, summary: pl.DataFrame) -> list[str]:
    """Run, hosts and image of the table; a list where there are several."""
    own = summary.filter(pl.col("matrix") == page.matrix)
    hosts = sorted({host for row in own["hosts"].to_list() for host in row})
    images = dict.fromkeys(own["image"].drop_nulls().to_list())
    runs = dict.fromkeys(own["run"].to_list())
    return [
        f"Run {escape(', '.join(runs))} on {escape(', '.join(hosts) or 'no host')}, "
        f"image {escape(', '.join(images) or 'unknown')}."
    ]


def _footer(page: Page) -> list[str]:
    """What the rows add up to, why some have no figure, and what is not covered.

    The spread of fictional figures says nothing about a set-up.
    """
    hint = [page.summary.hint] if page.summary.hint and not page.simulated else []
    return [summary_sentence(page.summary), *hint, *page.failures, *page.notes, *_covered(page)]


def _covered(page: Page) -> tuple[str, ...]:
    return page.coverage.sentences() if page.coverage.rows else ()


def summary_sentence(summary: TableSummary) -> str:
    """A table in one line: how many rows compare, their geometric mean and the worst, and the verdicts."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(summary.by_verdict.items()))
    if summary.geomean is None or summary.worst_ratio is None:
        return f"no row compares: {verdicts}"
    return (
        f"{summary.compared} of {summary.rows} rows compare, geometric mean of the ratios {summary.geomean:.3f}, "
        f"worst {summary.worst_ratio:.3f} ({summary.worst_cell}): {verdicts}"
    )


def escape(text: str) -> str:
    """Text as it may stand in a Markdown table."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
