"""What commands print: data on stdout as a table or JSON, everything else on stderr. All text is made clean here."""

import contextlib
import errno
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import click
import msgspec

from console.model.text import clean, clean_line, redact
from console.model.units import table_figure

SCHEMA_VERSION = 1

_ACTING = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
"""Controls beyond ASCII, which JSON leaves as they are, and marks of direction; they stand only inside its texts."""

_STAGES = ((False, 16), (True, 8), (False, 5), (True, 5))
"""How columns give way: whether all do or only those that shrink, and down to which width."""

Align = Literal["left", "right"]

_CELL = 4000
"""Longest text of a cell where nothing has to fit: a message of a host ends with what to do, and that must not go."""


class Column(msgspec.Struct, frozen=True):
    """A column of a printed table. `shrink` columns give way first when a terminal is narrow, `keep` ones never.

    Nor do the figures of a `right` one, only its heading: 1503… would read as another figure.

    `keep_end`: of a text that is cut, the end stays, as in names that only differ there.
    """

    heading: str
    align: Align = "left"
    shrink: bool = False
    keep: bool = False
    keep_end: bool = False


def data(text: str, nl: bool = True) -> None:
    """Data, as it is, on stdout."""
    click.echo(text, nl=nl)


def note(text: str) -> None:
    """A message to the person on stderr; one line per line, safe for a terminal, without secrets."""
    with heard_by_nobody():
        click.echo(clean(redact(text)), err=True)


@contextlib.contextmanager
def heard_by_nobody() -> Iterator[None]:
    """What is told on stderr may be told to nobody: a closed terminal or pipe must not cost the work it is about."""
    try:
        yield
    except OSError as error:
        if not is_unheard(error):
            raise
        silence(sys.stderr)


def is_unheard(error: BaseException) -> bool:
    """True when a terminal or a pipe was written to that is closed at the other end."""
    return isinstance(error, OSError) and error.errno in (errno.EIO, errno.EPIPE)


def is_no_room(error: BaseException) -> bool:
    """True when what was written to has no room left, or takes nothing at all."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def give_streams() -> None:
    """Let what a caller closed (`>&-`) lead nowhere: text is dropped, and no file of ours gets the number 1 or 2."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - it is ours to the end


def silence(stream: TextIO) -> None:
    """Let a stream whose reader has left lead nowhere, so that the flush at exit does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def error(text: str) -> None:
    """Something failed; the first line says what."""
    note(f"instinct: {text}")


def json_object(value: object, *, on_a_line: bool = False) -> None:
    """An object as JSON on stdout, with its schema version first; on one line where object follows object."""
    raw = msgspec.json.encode(value, enc_hook=_plain)  # what is not a number (NaN) becomes null
    if raw.startswith(b"{") and not _names_its_schema(value):
        raw = b'{"schema_version":%d' % SCHEMA_VERSION + (b"," if raw != b"{}" else b"") + raw[1:]
    data(_escaped((raw if on_a_line else msgspec.json.format(raw, indent=2)).decode()))


def _escaped(json: str) -> str:
    """JSON in which what a terminal would act on is written as `\\u009b`: the same text to whoever reads it as JSON."""
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


def _names_its_schema(value: object) -> bool:
    fields = value if isinstance(value, Mapping) else getattr(value, "__struct_fields__", ())
    return "schema_version" in fields


def json_rows(name: str, rows: Sequence[object]) -> None:
    """Rows as one object: `{"schema_version", NAME: [...]}`."""
    json_object({name: list(rows)})


def table(columns: Sequence[Column], rows: Sequence[Sequence[object]], *, title: str = "", cut: bool = True) -> None:
    """An aligned table on stdout. On a terminal it fits the width unless `cut` is false; elsewhere nothing is cut."""
    if title:
        data(clean_line(title))
    for line in table_lines(columns, rows, terminal_width() if cut else None):
        data(line)


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None) -> list[str]:
    """The lines of a table. Cells that do not fit `width` are cut with an ellipsis, `shrink` columns first."""
    cells = [[clean_line(_text(value), _CELL) for value in row] for row in rows]
    headings = [column.heading for column in columns]
    widths = [max(map(cell_width, each), default=0) for each in zip(headings, *cells, strict=True)]
    if width is not None:
        figures = [max(map(cell_width, each), default=0) for each in zip(*cells, strict=True)] if cells else widths
        widths = _fit(columns, widths, figures, width)
    lines = [_line(columns, headings, widths)]
    lines += [_line(columns, row, widths) for row in cells]
    return lines


def cell_width(text: str) -> int:
    """Columns the text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def figure(value: float | None, digits: int | None = None) -> str:
    """A measured figure for people: one decimal from 100 up, four significant digits below; `-` when there is none."""
    if value is None or value != value:  # NaN is not a figure
        return "-"
    if digits is not None:
        return f"{value:.{digits}f}"
    return table_figure(value)


def _fit(columns: Sequence[Column], widths: Sequence[int], figures: Sequence[int], width: int) -> list[int]:
    least = [figures[i] if column.align == "right" else 0 for i, column in enumerate(columns)]
    fitted = list(widths)
    gaps = 2 * (len(columns) - 1)
    for everyone, floor in _STAGES:
        while sum(fitted) + gaps > width:
            wide = [
                i
                for i, column in enumerate(columns)
                if fitted[i] > max(floor, least[i]) and not column.keep and (column.shrink or everyone)
            ]
            if not wide:
                break
            fitted[max(wide, key=lambda i: fitted[i])] -= 1
    return fitted


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for column, text, width in zip(columns, cells, widths, strict=True):
        shown = shorten_start(text, width) if column.keep_end else shorten(text, width)
        padding = " " * (width - cell_width(shown))
        parts.append(padding + shown if column.align == "right" else shown + padding)
    return "  ".join(parts).rstrip()


def shorten(text: str, width: int) -> str:
    """The text in at most `width` columns, with an ellipsis where something is missing."""
    if cell_width(text) <= width:
        return text
    kept = ""
    for char in text:
        if cell_width(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"


def shorten_start(text: str, width: int) -> str:
    """As `shorten`, but the end is kept."""
    return shorten(text[::-1], width)[::-1]


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return figure(value)
    if isinstance(value, tuple | list):
        return ",".join(_text(item) for item in value)
    return str(value)


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is, or what COLUMNS says; None when it is none, and nothing has to fit."""
    if not sys.stdout.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")
