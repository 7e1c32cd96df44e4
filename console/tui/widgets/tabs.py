"""The views of a screen in one line: their keys, their names, and what there is to see in each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.message import Message

from console.tui.marks import Span
from console.tui.widgets.chrome import SpanLine


class Tab(NamedTuple):
    """One view: its identity, the key that goes there, its name, and a short count with its role."""

    id: str
    key: str
    name: str
    badge: Span = ("", "")


class TabLine(SpanLine):
    """The tabs; where room is short only the names that fit, each with its key."""

    DEFAULT_CSS = "TabLine { background: $surface; }"

    class Picked(Message):
        """A click on a tab."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._ends: list[tuple[int, str]] = []

    def show(self, tabs: Sequence[Tab], here: str, right: Sequence[Span] = ()) -> None:
        """`here` is the identity of the one that is seen; `right` stands at the end."""
        parts: list[tuple[str, str]] = []
        self._ends = []
        used = 0
        for tab in tabs:
            chosen = tab.id == here
            own = [(f" {tab.key} ", "tab-here" if chosen else "key"), (f"{tab.name} ", "tab-here" if chosen else "tab")]
            if tab.badge[0]:
                own.append((f"{tab.badge[0]} ", "tab-here" if chosen else tab.badge[1]))
            parts += own
            used += sum(cell_len(text) for text, _ in own)
            self._ends.append((used, tab.id))
        self.set_parts(parts, right)

    def on_click(self, event: events.Click) -> None:
        """To the tab under the mouse."""
        for end, tab in self._ends:
            if event.x < end:
                self.post_message(self.Picked(tab))
                return
