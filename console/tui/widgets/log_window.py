"""The stretch of a log that is in memory, and what of it is on the screen. Pure: no file, no Textual.

Rows are what is painted: a line, or a piece of it where long lines are wrapped. The place on the screen is kept by
line, so that lines arriving before or behind never move what is being read.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from console.desk.logs import Line, Page

MOST_LINES = 6000
MARGIN = 300
"""With fewer lines than this beyond the screen, more are asked for."""


class Row(NamedTuple):
    """A painted row: its line, which piece of it, and its text."""

    line: Line
    piece: int
    text: str


def flat(text: str) -> str:
    """Tabs as blanks: a row must know its width."""
    return text.expandtabs(8) if "\t" in text else text


def pieces(text: str, width: int) -> Sequence[str]:
    """A line in rows of `width` cells, at least one."""
    text = flat(text)
    if width < 1 or len(text) <= width // 2:
        return (text,)
    if text.isascii():
        return [text[start : start + width] for start in range(0, len(text), width)]
    return chop_cells(text, width)


class LogWindow:
    """Lines in memory, the first row on the screen, and whether the end is followed."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.size = 0
        """Bytes of the log when it was last looked at."""
        self.follow = True
        self.unseen = 0
        """Lines that came since the end was last followed."""
        self.wrap = False
        self.width, self.height = 80, 24
        self._top, self._piece = 0, 0

    # -- what is there

    @property
    def start(self) -> int:
        """First byte in memory."""
        return self.lines[0].start if self.lines else 0

    @property
    def end(self) -> int:
        """The byte behind the last one in memory."""
        return self.lines[-1].end if self.lines else 0

    @property
    def next(self) -> int:
        """Where to read on: an unfinished line is read again."""
        if not self.lines:
            return 0
        return self.lines[-1].end if self.lines[-1].whole else self.lines[-1].start

    @property
    def wants_before(self) -> bool:
        """True when the screen comes near the first line in memory and the log has more."""
        return bool(self.lines) and self.start > 0 and self._top < MARGIN

    @property
    def wants_behind(self) -> bool:
        """True when the screen comes near the last line in memory and the log has more."""
        return not self.follow and self.next < self.size and self._top > len(self.lines) - self.height - MARGIN

    def share(self) -> float:
        """How far down the log the last row stands, 0 to 1."""
        rows = self.rows()
        return min(1.0, rows[-1].line.end / self.size) if rows and self.size else 1.0

    # -- what arrives

    def show(self, page: Page, at: int | None = None) -> None:
        """These lines in place of all others; the line that begins at byte `at` stands a third down, else the end."""
        self.lines, self.size = list(page.lines), page.size
        if at is None:
            del self.lines[:-MOST_LINES]
            self._to_bottom()
            return
        place = self.place(at) or 0
        del self.lines[place + MOST_LINES // 2 :]
        del self.lines[: max(0, place - MOST_LINES // 2)]
        self.follow = False
        self.seek(at)

    def behind(self, page: Page) -> None:
        """More lines at the end. Following, the screen goes with them."""
        self.size = page.size
        if not page.lines or (self.lines and page.start != self.next):
            return
        if self.lines and not self.lines[-1].whole:
            self.lines.pop()
        self.lines.extend(page.lines if self.follow else page.lines[: MOST_LINES // 2])
        spare = len(self.lines) - MOST_LINES
        if spare > 0:
            cut = spare if self.follow else min(spare, max(0, self._top - MARGIN))
            del self.lines[:cut]
            self._top -= cut
        if self.follow:
            self._to_bottom()

    def before(self, page: Page) -> None:
        """More lines at the beginning; the screen stays where it is."""
        if not page.lines or page.end != self.start:
            return
        fresh = page.lines[-MOST_LINES // 2 :]
        self.lines[:0] = fresh
        self._top += len(fresh)
        keep = max(MOST_LINES, self._top + self.height + MARGIN)
        del self.lines[keep:]

    # -- moving

    def fit(self, width: int, height: int, *, wrap: bool) -> None:
        """Another size, or lines wrapped or not; the first row keeps its line."""
        if (width, height, wrap) == (self.width, self.height, self.wrap):
            return
        if wrap != self.wrap or width != self.width:
            self._piece = 0
        self.width, self.height, self.wrap = max(1, width), max(1, height), wrap
        if self.follow:
            self._to_bottom()
        else:
            self._clamp()

    def scroll(self, rows: int) -> None:
        """Up (below 0) or down. Upwards ends following, the end of everything begins it again."""
        if rows < 0:
            self.follow = False
            for _ in range(-rows):
                if not self._up():
                    return
        else:
            for _ in range(rows):
                self._down()
            self._clamp()
            if (self._top, self._piece) == self._bottom() and self.end >= self.size:
                self._to_bottom()

    def to_end(self) -> bool:
        """Follow the end; False when it is not in memory and must be read."""
        self._to_bottom()
        return self.end >= self.size

    def seek(self, offset: int) -> bool:
        """Put the line that begins at an offset a third down the screen; False when it is not in memory."""
        place = self.place(offset)
        if place is None:
            return False
        self.follow = False
        self._top, self._piece = place, 0
        for _ in range(self.height // 3):
            self._up()
        self._clamp()
        return True

    def place(self, offset: int) -> int | None:
        """Number of the line that begins at an offset, among those in memory."""
        low, high = 0, len(self.lines)
        while low < high:
            middle = (low + high) // 2
            if self.lines[middle].start < offset:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self.lines) and self.lines[low].start == offset else None

    # -- what is seen

    def rows(self) -> list[Row]:
        """The rows on the screen, at most as many as it is high."""
        found: list[Row] = []
        piece = self._piece
        for line in self.lines[self._top : self._top + self.height]:
            texts = self._pieces(line)
            found += [Row(line, number, text) for number, text in enumerate(texts)][piece:]
            piece = 0
            if len(found) >= self.height:
                break
        return found[: self.height]

    # -- the place

    def _pieces(self, line: Line) -> Sequence[str]:
        return pieces(line.text, self.width) if self.wrap else (flat(line.text),)

    def _count(self, number: int) -> int:
        if not self.wrap:
            return 1
        text = self.lines[number].text
        if len(text) <= self.width and text.isascii() and "\t" not in text:
            return 1
        return len(self._pieces(self.lines[number]))

    def _up(self) -> bool:
        if self._piece > 0:
            self._piece -= 1
        elif self._top > 0:
            self._top -= 1
            self._piece = self._count(self._top) - 1
        else:
            return False
        return True

    def _down(self) -> None:
        if self._top >= len(self.lines):
            return
        if self._piece + 1 < self._count(self._top):
            self._piece += 1
        elif self._top + 1 < len(self.lines):
            self._top, self._piece = self._top + 1, 0

    def _bottom(self) -> tuple[int, int]:
        """The place from which the last row is the last line's."""
        left = self.height
        for number in range(len(self.lines) - 1, -1, -1):
            count = self._count(number)
            if count >= left:
                return number, count - left
            left -= count
        return 0, 0

    def _to_bottom(self) -> None:
        self.follow, self.unseen = True, 0
        self._top, self._piece = self._bottom()

    def _clamp(self) -> None:
        bottom = self._bottom()
        self._top = min(max(0, self._top), max(0, len(self.lines) - 1))
        if (self._top, self._piece) > bottom:
            self._top, self._piece = bottom


def crop(text: str, left: int, width: int) -> str:
    """The part of a row that is seen when it is moved `left` cells; an ellipsis where it goes on."""
    if text.isascii():
        shown = text[left : left + width]
        return f"{shown[:-1]}…" if len(text) > left + width and shown else shown
    cells, kept, used = 0, "", 0
    for char in text:
        size = cell_len(char)
        if cells >= left:
            if used + size > width:
                return f"{kept[:-1]}…" if kept else kept
            kept += char
            used += size
        cells += size
    return kept
