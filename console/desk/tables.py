"""Result tables: polars frames of runs, the published page's view of them, files by ending."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.desk import desk
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.results import comparison, frames, views, write
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
    """Raise now, not after hours of running, when no format has this ending or its folder is not there."""
    write.format_of(path)
    if not path.absolute().parent.is_dir():
        raise DeskError(f"{path}: there is no folder {path.absolute().parent}")


def save(settings: Settings, table: "pl.DataFrame", path: Path) -> None:
    """Write a table of results; the ending chooses the format. Raises ResultsError."""
    write.write(table, path, desk.fleet_catalog(settings).matrices)


def rendered(settings: Settings, table: "pl.DataFrame", ending: str) -> bytes:
    """A table of results in the format of an ending. Raises ResultsError."""
    return write.render(table, ending, desk.fleet_catalog(settings).matrices)


def endings() -> tuple[str, ...]:
    """Every ending that a file of results may have, with the dot."""
    return tuple(write.formats())


def compare(settings: Settings, a: str, b: str) -> "pl.DataFrame":
    """Two runs side by side, cell by cell; the ratio is b against a, above 1 is better."""
    first, second = (frames.summary(results(settings, run_ids(settings, [name]))) for name in (a, b))
    return comparison.compare(first, second)
