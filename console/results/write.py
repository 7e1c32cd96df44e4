"""A frame to a file, by the file's ending. Whoever reads the file sees the old one or the whole new one."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import polars as pl

from console.model.cell import Matrix
from console.results import plain
from console.results.comparison import COMPARISON
from console.results.comparison_markdown import markdown as comparison_markdown
from console.results.errors import ResultsError
from console.results.frames import summary
from console.results.markdown import markdown
from console.results.schema import RESULTS
from console.results.workbook import workbook

Matrices = Mapping[str, Matrix]
NO_MATRICES: Matrices = {}


class Format(msgspec.Struct, frozen=True):
    """One export format: its ending, what it is for, and a frame of `results` to its bytes."""

    ending: str
    title: str
    render: Callable[[pl.DataFrame, Matrices], bytes]


_FORMATS: dict[str, Format] = {}


def register(form: Format) -> Format:
    """Add a format under its ending. Raises ValueError when the ending is taken."""
    if form.ending in _FORMATS:
        raise ValueError(f"two formats for {form.ending}")
    _FORMATS[form.ending] = form
    return form


def formats() -> Mapping[str, Format]:
    """All formats by ending, the dot included."""
    return _FORMATS


def format_of(path: Path) -> Format:
    """The format a file name asks for. Raises ResultsError naming the endings that are known."""
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        known = " ".join(sorted(_FORMATS))
        raise ResultsError(f"{path.name}: no format for the ending {path.suffix or '(none)'}; known endings: {known}")
    return found


def render(frame: pl.DataFrame, ending: str, matrices: Matrices = NO_MATRICES) -> bytes:
    """The bytes of a frame in the format of an ending such as `.md`. Raises ResultsError on an unknown one."""
    return format_of(Path(f"table{ending}")).render(frame, matrices)


def write(frame: pl.DataFrame, path: Path, matrices: Matrices = NO_MATRICES) -> None:
    """Write a frame of `results`; `matrices` give Markdown its published columns. Raises ResultsError."""
    data = format_of(path).render(frame, matrices)
    try:
        _replace(path, data)
    except OSError as error:
        raise ResultsError(f"{path} could not be written: {error.strerror or error}; choose another place") from error


def _replace(path: Path, data: bytes) -> None:
    """Temporary file beside the target, flushed to disk, then renamed over it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _markdown(frame: pl.DataFrame, matrices: Matrices) -> bytes:
    if tuple(frame.columns) == tuple(COMPARISON):
        return comparison_markdown(frame).encode()
    cells = summary(frame) if set(RESULTS.schema) <= set(frame.columns) else frame
    return markdown(cells, matrices).encode()


register(Format(".parquet", "Parquet, for polars, pandas, DuckDB", lambda frame, _: plain.parquet(frame)))
register(Format(".csv", "CSV, for spreadsheets", lambda frame, _: plain.comma_separated(frame)))
register(Format(".json", "one JSON object", lambda frame, _: plain.json_object(frame)))
register(Format(".ndjson", "one JSON object per line", lambda frame, _: plain.json_lines(frame)))
register(Format(".xlsx", "a workbook for spreadsheets, with what each column means", lambda frame, _: workbook(frame)))
register(Format(".md", "Markdown, in the columns of the published page", _markdown))
