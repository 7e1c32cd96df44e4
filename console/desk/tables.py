"""Result tables: polars frames of runs, the published page's view of them, files by ending."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from console.desk import desk
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.results import comparison, frames, views, write
from console.results.rows import Row
from console.results.views import Page

if TYPE_CHECKING:
    import polars as pl


def run_ids(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """Ids of the runs meant: each an id, a unique beginning, a label or `last`; the newest when none is named."""
    with desk.tail(settings) as tail:
        return tuple(dict.fromkeys(tail.find_run(name).run for name in names or ("last",)))


def results(settings: Settings, runs: Sequence[str]) -> "pl.DataFrame":
    """One row per attempt of the runs (exact ids), with what the catalog says of each now."""
    with desk.tail(settings) as tail:
        return frames.results(tail, desk.fleet_catalog(settings), runs)


def pages(settings: Settings, table: "pl.DataFrame") -> tuple[Page, ...]:
    """A table of results as people read it: one page per matrix, in the columns of its source."""
    return views.pages(frames.summary(table), desk.fleet_catalog(settings).matrices)


def check_ending(path: Path) -> None:
    """Raise now, not after hours of running, when no format has this ending or its folder takes no file."""
    write.format_of(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise DeskError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise DeskError(f"{path}: nothing can be written into {folder}")


def save(settings: Settings, table: "pl.DataFrame", path: Path) -> None:
    """Write a table of results; the ending chooses the format. Raises ResultsError."""
    write.write(table, path, desk.fleet_catalog(settings).matrices)


def rendered(settings: Settings, table: "pl.DataFrame", ending: str) -> bytes:
    """A table of results in the format of an ending. Raises ResultsError."""
    return write.render(table, ending, desk.fleet_catalog(settings).matrices)


def key_of(row: Row) -> str:
    """What tells a cell on its hosts apart from every other, in frames of results and of their summary alike."""
    return "\x1f".join((row["run"], row["matrix"], row["cell"], *row["hosts"]))


def copied(settings: Settings, runs: Sequence[str], keys: Collection[str], ending: str, only: str = "") -> bytes:
    """Chosen cells of runs, one row each, in the format of an ending: what is put into a clipboard.

    `only` says in words why others are left out; Markdown then counts what is covered of the chosen rows alone.
    """
    cells = frames.summary(results(settings, runs))
    chosen = cells.filter([key_of(row) in keys for row in cells.iter_rows(named=True)])
    matrices = dict(desk.fleet_catalog(settings).matrices)
    if only:
        names = set(zip(chosen["matrix"].to_list(), chosen["cell"].to_list(), strict=True))
        for name, matrix in matrices.items():
            kept = tuple(cell for cell in matrix.cells if (name, cell.id) in names)
            matrices[name] = msgspec.structs.replace(matrix, cells=kept, title=f"{matrix.title}: {only}")
    return write.render(chosen, ending, matrices)


def endings() -> tuple[str, ...]:
    """Every ending that a file of results may have, with the dot."""
    return tuple(write.formats())


def compare(settings: Settings, a: str, b: str) -> "pl.DataFrame":
    """Two runs side by side, cell by cell; the ratio is b against a, above 1 is better."""
    first, second = (frames.summary(results(settings, run_ids(settings, [name]))) for name in (a, b))
    return comparison.compare(first, second)
