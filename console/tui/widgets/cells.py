"""What a table is made of, and how it is laid into columns. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from console.tui.marks import Role, Span

Cell = str | Span | tuple[Span, ...]
"""Plain text, text with a role, or several of those in a row."""

ROLES: tuple[Role, ...] = ("ok", "warn", "fail", "unknown", "busy", "accent", "dim", "bold", "simulated")


class Column(NamedTuple):
    """`width` cells, at least; `grow` shares what is left over. A higher `rank` is left out first (0 never)."""

    key: str
    title: str
    width: int
    right: bool = False
    grow: int = 0
    rank: int = 0


class Row(NamedTuple):
    """A row with an identity, so that the cursor stays on it when rows move. `role` colours what has no role."""

    key: str
    cells: tuple[Cell, ...]
    role: Role = ""


def spans(cell: Cell) -> tuple[Span, ...]:
    """A cell in its longest form."""
    if isinstance(cell, str):
        return ((cell, ""),)
    if len(cell) == 2 and isinstance(cell[0], str):
        return (cell,)
    return cell


def printable(text: str) -> str:
    """The last guard against control characters; what comes from hosts was cleaned long before."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "·" for char in text)


def text_of(cell: Cell) -> str:
    """The text of a cell alone."""
    return "".join(text for text, _ in spans(cell))


def fit(columns: Sequence[Column], room: int) -> tuple[int, ...]:
    """Widths for `room` cells, two between columns; 0 leaves a column out, the highest rank first."""
    kept = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[place].width for place in kept) + 2 * len(kept)

    while needed() > room:
        droppable = [place for place in kept if columns[place].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda place: (columns[place].rank, place)))
    left = max(0, room - needed())
    shares = sum(columns[place].grow for place in kept)
    widths = [0] * len(columns)
    for place in kept:
        grow = columns[place].grow
        extra = left * grow // shares if shares else 0
        widths[place] = columns[place].width + extra
    return tuple(widths)


def padded(text: str, width: int, *, right: bool) -> str:
    """The text in exactly `width` cells."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width)
    return " " * (width - length) + text if right else text + " " * (width - length)


def fitted(parts: Sequence[Span], width: int, *, right: bool) -> Iterable[Span]:
    """The spans in exactly `width` cells; what does not fit ends in an ellipsis."""
    clean = [(printable(text), role) for text, role in parts]
    total = sum(cell_len(text) for text, _ in clean)
    if total <= width:
        if right and total < width:
            yield " " * (width - total), ""
        yield from clean
        if not right and total < width:
            yield " " * (width - total), ""
        return
    left = width - 1
    for text, role in clean:
        length = cell_len(text)
        if length <= left:
            yield text, role
            left -= length
            continue
        yield set_cell_size(text, left) + "…", role
        return
    yield "…", ""
