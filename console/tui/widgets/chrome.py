"""The two lines every screen has: where one is and how things stand above, the keys below. One fat widget each."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from console.tui.marks import Span
from console.tui.widgets.styling import component

if TYPE_CHECKING:
    from console.tui.app import Console

TABS = (("fleet", "1 Fleet"), ("host", "2 Host"), ("matrix", "3 Matrix"), ("live", "4 Live"), ("results", "5 Results"),
        ("runs", "6 Runs"))  # fmt: skip
NARROW = 100
"""Columns below which the top line is written closely; screens are named by their numbers alone when even that is
too wide for what is to be told beside them."""


class SpanLine(Widget):
    """One line of spans, painted only when they differ."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"line--{name}" for name in ("ok", "warn", "fail", "unknown", "busy", "accent", "dim", "bold", "simulated",
                                     "tab", "tab-here", "key")
    }  # fmt: skip
    DEFAULT_CSS = """
    SpanLine { height: 1; background: $panel; color: $foreground; }
    SpanLine .line--ok { color: $success; }
    SpanLine .line--warn { color: $warning; }
    SpanLine .line--fail { color: $error; text-style: bold; }
    SpanLine .line--unknown { color: $secondary; }
    SpanLine .line--busy { color: $primary; }
    SpanLine .line--accent { color: $accent; }
    SpanLine .line--dim { color: $foreground 55%; }
    SpanLine .line--bold { text-style: bold; }
    SpanLine .line--simulated { color: $background; background: $accent; text-style: bold; }
    SpanLine .line--tab { color: $foreground 70%; }
    SpanLine .line--tab-here { color: $background; background: $primary; text-style: bold; }
    SpanLine .line--key { color: $primary; text-style: bold; }
    SpanLine:ansi .line--simulated { color: $accent; background: ansi_default; text-style: bold reverse; }
    SpanLine:ansi .line--tab-here { color: $block-cursor-foreground; background: $block-cursor-background; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: tuple[tuple[str, str], ...] = ()
        self._right: tuple[tuple[str, str], ...] = ()

    def set_parts(self, left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]] = ()) -> None:
        """Text and component name, from the left and from the right."""
        new = tuple(left), tuple(right)
        if new != (self._left, self._right):
            self._left, self._right = new
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line; the right part goes first, from its end, when there is no room for both."""
        width = self.size.width
        base = self.rich_style
        left = [Segment(text, base + self._part(name)) for text, name in self._left]
        right = [Segment(text, base + self._part(name)) for text, name in self._right]
        used = sum(cell_len(item.text) for item in left)
        wanted = sum(cell_len(item.text) for item in right)
        while right and used + wanted + 1 > width:
            wanted -= cell_len(right.pop().text)
        if used > width:
            return Strip([*Strip(left).crop(0, width - 1), Segment("…", left[-1].style)])
        gap = Segment(" " * max(0, width - used - wanted), base)
        return Strip([*left, gap, *right], width)

    def _part(self, name: str) -> Style:
        return component(self, f"line--{name}") if name else Style()


class TopBar(SpanLine):
    """The screens, and the fleet and the runs in a few words."""

    app: "Console"

    def show(self, here: str, simulated: bool, state: Sequence[Span]) -> None:
        """`here` is the screen's name; `state` stands at the right."""
        right = [(text, role) for text, role in state]
        width = self.app.size.width
        left = self._tabs(here, simulated, narrow=width < NARROW)
        if width < NARROW and sum(cell_len(text) for text, _ in (*left, *right)) >= width:
            left = self._tabs(here, simulated, narrow=True, numbers=True)
        self.set_parts(left, right)

    @staticmethod
    def _tabs(here: str, simulated: bool, *, narrow: bool, numbers: bool = False) -> list[tuple[str, str]]:
        tabs: list[tuple[str, str]] = []
        for name, title in TABS:
            text = title[0] if numbers and name != here else title
            tabs.append((f" {text}" if narrow and not numbers else f" {text} ", "tab-here" if name == here else "tab"))
        return [*tabs, (" ", ""), (" SIM " if narrow else " SIMULATED ", "simulated")] if simulated else tabs

    def on_click(self, event: events.Click) -> None:
        """A click on a tab goes there."""
        x = 0
        for (text, name), (screen, _) in zip(self._left, TABS, strict=False):
            if not name.startswith("tab"):
                return
            x += cell_len(text)
            if event.x < x:
                self.app.action_go(screen)
                return


class Hint(NamedTuple):
    """A key as a person reads it, a word for what it does, and the key itself."""

    shown: str
    word: str
    key: str

    @property
    def width(self) -> int:
        """Cells it takes."""
        return cell_len(self.shown) + cell_len(self.word) + 4


class KeyBar(SpanLine):
    """The keys that mean something now. It changes in place, so that months of focus changes leave nothing behind."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._hints: tuple[Hint, ...] = ()

    def show(self, own: Sequence[Hint], everywhere: Sequence[Hint] = (), note: Span = ("", "")) -> None:
        """The most useful first; `note` stands at the right. What does not fit is left to the help, whose own key, the
        first of `everywhere`, always has its place.
        """
        room = self.size.width - cell_len(note[0]) - 2 - sum(hint.width for hint in everywhere[:1])
        hints = [*_fitting(own, room), *everywhere[:1]]
        if len(hints) > len(own):
            hints += _fitting(everywhere[1:], room - sum(hint.width for hint in own))
        self._hints = tuple(hints)
        parts = [part for hint in hints for part in ((f" {hint.shown} ", "key"), (f"{hint.word}  ", "dim"))]
        self.set_parts(parts, [(f"{note[0]} ", note[1])] if note[0] else ())

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        x = 0
        for hint in self._hints:
            x += hint.width
            if event.x < x:
                self.app.simulate_key(hint.key)
                return


def _fitting(hints: Sequence[Hint], room: int) -> Iterator[Hint]:
    for hint in hints:
        room -= hint.width
        if room < 0:
            return
        yield hint
