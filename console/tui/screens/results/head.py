"""The lines above the Results table: which matrices there are, which runs are shown, what they add up to. Pure."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.message import Message

from console.desk.sheet_views import Book, Comparison, Figure, Sheet
from console.tui.marks import Span
from console.tui.screens.results.pairs import both_measured
from console.tui.screens.results.rows import Shown, shared
from console.tui.widgets.chrome import SpanLine

Parts = list[tuple[str, str]]


def tabs(titles: Sequence[str], here: int, width: int) -> Parts:
    """The matrices in a line, the one that is shown marked; those that do not fit are told by an ellipsis."""
    first = 0
    while first < here and sum(cell_len(title) + 3 for title in titles[first : here + 1]) + 4 > width:
        first += 1
    parts: Parts = [("… ", "dim")] if first else []
    room = width - (2 if first else 0)
    for place in range(first, len(titles)):
        text = f" {titles[place]} "
        if cell_len(text) + 3 > room and place > here:
            parts.append(("…", "dim"))
            break
        parts += [(text, "tab-here" if place == here else "tab"), (" ", "")]
        room -= cell_len(text) + 1
    return parts


def runs_line(book: Book, goes_on: Sequence[str], reading: bool) -> list[Span]:
    """Which runs are shown, and whether what is shown may be old."""
    labels = dict.fromkeys((item.label, item.run) for sheet in book.sheets for item in sheet.figures)
    named = [f"{label} ({run})" if label else run for label, run in labels]
    spans: list[Span] = [("run " if len(named) == 1 else f"{len(named)} runs ", "dim"), (", ".join(named), "bold")]
    if len(book.hosts) > 1:
        spans.append((f" on {len(book.hosts)} hosts", "dim"))
    elif book.hosts:
        spans.append((f" on {book.hosts[0]}", "dim"))
    if book.simulated:
        spans += [("  ", ""), (" simulated ", "simulated")]
    if goes_on:
        spans.append(("  ▶ goes on", "busy"))
    if reading:
        spans.append(("  reading …", "dim"))
    return spans


def sheet_line(sheet: Sheet, figures: Sequence[Figure], shown: Shown, *, alone: bool) -> list[Span]:
    """What all rows share, how many are shown and why not all; the matrix where it is the only one."""
    spans: list[Span] = [(sheet.title, "bold")] if alone else [(f"{len(sheet.figures)} rows", "bold")]
    if shown.words:
        total = len(sheet.figures) + (len(sheet.missing) if shown.unasked else 0)
        spans.append((f"  {len(figures)} of {total} rows match {shown.words}", "accent"))
    if sheet.missing and not shown.unasked:
        spans.append((f"  {len(sheet.missing)} rows not in the run", "accent"))
    if same := shared(sheet, figures):
        spans.append((f"  all: {same}", "dim"))
    return spans


def comparison_line(comparison: Comparison, shown: int) -> list[Span]:
    """The two sides."""
    spans: list[Span] = [("A ", "dim"), (comparison.a.name, "bold"), ("   B ", "dim"), (comparison.b.name, "bold")]
    if comparison.simulated:
        spans += [("   ", ""), (" simulated ", "simulated")]
    spans.append(("   B against A: above 1 means that B is better", "dim"))
    if shown != len(comparison.pairs):
        spans.append((f"   {shown} of {len(comparison.pairs)} rows match", "accent"))
    return spans


def ratios_line(comparison: Comparison) -> str:
    """What the pairs add up to."""
    ratios = [pair.ratio for pair in comparison.pairs if pair.ratio]
    alone = sum(pair.comparable is None for pair in comparison.pairs)
    apart = sum(pair.comparable is False and both_measured(pair) for pair in comparison.pairs)
    product = 1.0
    for ratio in ratios:
        product *= ratio ** (1 / len(ratios))
    parts = [f"{len(ratios)} of {len(comparison.pairs)} rows compare"]
    if ratios:
        parts.append(f"geometric mean {product:.3f}, worst {min(ratios):.3f}, best {max(ratios):.3f}")
    if apart:
        parts.append(f"{apart} may not be compared")
    if alone:
        parts.append(f"{alone} only on one side")
    return ", ".join(parts)


class Tabs(SpanLine):
    """The matrices; a click chooses one."""

    class Picked(Message):
        """A click on a matrix, by its place among the tabs that are shown."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._first = 0
        self._parts: Parts = []

    def show(self, titles: Sequence[str], here: int, width: int) -> None:
        """Paint them in so many cells."""
        parts = tabs(titles, here, width)
        shown = [text.strip() for text, role in parts if role.startswith("tab")]
        self._first = titles.index(shown[0]) if shown else 0
        self._parts = parts
        self.set_parts(parts)

    def on_click(self, event: events.Click) -> None:
        """Which tab is under the mouse."""
        x, place = 0, self._first
        for text, role in self._parts:
            x += cell_len(text)
            if event.x < x:
                if role.startswith("tab"):
                    self.post_message(self.Picked(place))
                return
            place += role.startswith("tab")
