"""What the Results screen asks of the core: functions of the desk, imported when they are first needed."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.desk.sheet_views import Book, Comparison, Side

if TYPE_CHECKING:
    from console.desk.history import RunSummary
    from console.desk.logs import LogFile
    from console.desk.papers import Paper
    from console.desk.settings import Settings


Saved = Callable[[], int]
"""Writes a file and says how many rows it has."""


def book(settings: "Settings", runs: Sequence[str]) -> Callable[[], Book | None]:
    """Read runs; the one opened last when none is named, None when there is none."""

    def read_book() -> Book | None:
        from console.desk import history, sheets

        chosen = tuple(runs)
        if not chosen:
            last = history.last_run(settings)
            chosen = (last,) if last else ()
        return sheets.read(settings, chosen) if chosen else None

    return read_book


def comparison(settings: "Settings", a: Side, b: Side) -> Callable[[], Comparison]:
    """Hold two sides against each other."""

    def read_comparison() -> Comparison:
        from console.desk import comparing

        return comparing.read(settings, a, b)

    return read_comparison


def paper(settings: "Settings", attempt: str) -> Callable[[], "Paper"]:
    """What is kept of an attempt."""

    def read_paper() -> "Paper":
        from console.desk import papers

        return papers.of_attempt(settings, attempt)

    return read_paper


def text(settings: "Settings", attempt: str, name: str) -> Callable[[], tuple[str, ...]]:
    """The lines of a file of an attempt."""

    def read_text() -> tuple[str, ...]:
        from console.desk import papers

        return papers.text(settings, attempt, name)

    return read_text


def log(settings: "Settings", attempt: str, part: str) -> "Callable[[], LogFile]":
    """The log of a part of an attempt."""

    def open_log() -> "LogFile":
        from console.desk import logs

        return logs.open_log(settings, attempt, part)

    return open_log


def past(settings: "Settings", only: Collection[str] | None = None) -> "Callable[[], tuple[RunSummary, ...]]":
    """Every run, newest first; with `only` those of them that are named."""

    def read_runs() -> "tuple[RunSummary, ...]":
        from console.desk import history

        return history.summaries(settings, only)

    return read_runs


def copied(
    settings: "Settings", runs: Sequence[str], keys: Collection[str], ending: str, only: str
) -> Callable[[], str]:
    """Rows for the clipboard."""

    def copy_rows() -> str:
        from console.desk import tables

        return tables.copied(settings, runs, keys, ending, only).decode()

    return copy_rows


def compared(settings: "Settings", shown: Comparison, places: Collection[int], ending: str) -> Callable[[], str]:
    """Pairs for the clipboard."""

    def copy_pairs() -> str:
        from console.desk import comparing

        return comparing.rendered(settings, shown.a, shown.b, ending, places).decode()

    return copy_pairs


def save(settings: "Settings", runs: Sequence[str], path: Path) -> Saved:
    """Write every attempt of the runs to a file; how many rows it has."""

    def save_results() -> int:
        from console.desk import tables

        table = tables.results(settings, runs)
        tables.save(settings, table, path)
        return len(table)

    return save_results


def save_comparison(settings: "Settings", shown: Comparison, path: Path) -> Saved:
    """Write a comparison to a file; how many rows it has."""

    def save_pairs() -> int:
        from console.desk import comparing

        return comparing.save(settings, shown.a, shown.b, path)

    return save_pairs


def check(path: Path) -> Callable[[], bool]:
    """Whether there is a file already. Raises when no format has this ending, or its folder is not there."""

    def check_file() -> bool:
        from console.desk import tables

        tables.check_ending(path)
        return path.exists()

    return check_file


def endings() -> tuple[str, ...]:
    """Every ending that a file of results may have."""
    from console.desk import tables

    return tables.endings()
