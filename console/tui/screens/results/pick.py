"""A window to choose from a table that may be long: filter as you type, one row or several."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.tui.widgets.grid import Column, Grid, Row, text_of

TICK = "✓"


class Pick(ModalScreen[tuple[str, ...] | None]):
    """Answers with the keys of the chosen rows, None when it is left. `several`: space ticks rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave"),
        Binding("space", "tick", "tick", show=False),
        Binding("slash", "filter", "filter", show=False),
    ]

    def __init__(
        self,
        question: str,
        columns: Sequence[Column],
        rows: Sequence[Row],
        *,
        several: bool = False,
        ticked: Sequence[str] = (),
        current: str = "",
        empty: str = "",
    ) -> None:
        super().__init__()
        self._question = question
        self._columns = (Column("tick", "", 1), *columns) if several else tuple(columns)
        self._given = tuple(rows)
        self._several = several
        self._ticked = dict.fromkeys(ticked)
        self._current = current
        self._empty = empty

    def compose(self) -> ComposeResult:
        """The question, a filter, the table, the keys."""
        keys = "enter  take it      /  filter      esc  leave"
        with Vertical(classes="dialog pick"):
            yield Static(Content(self._question), classes="dialog-title")
            yield Input(placeholder="type to filter", select_on_focus=False)
            yield Grid(self._columns, empty=self._empty)
            yield Static(Content(f"space  tick several      {keys}" if self._several else keys), classes="dialog-keys")

    def on_mount(self) -> None:
        """Keys go to the table."""
        self._show()
        grid = self.query_one(Grid)
        grid.focus()
        if self._current:
            grid.move_to(self._current)

    def _show(self) -> None:
        words = self.query_one(Input).value.lower().split()
        kept = [row for row in self._given if all(word in _text(row) for word in words)]
        if self._several:
            kept = [
                row._replace(cells=((TICK if row.key in self._ticked else "", "accent"), *row.cells)) for row in kept
            ]
        self.query_one(Grid).set_rows(kept, empty=f"nothing matches {' '.join(words)}" if words else self._empty)

    def on_input_changed(self) -> None:
        """As you type."""
        self._show()

    def on_input_submitted(self) -> None:
        """Back to the table."""
        self.query_one(Grid).focus()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """The ticked rows, or the one under the cursor when none is ticked."""
        self.dismiss(tuple(self._ticked) or (event.key,))

    def action_tick(self) -> None:
        """Tick the row, or take the tick away; on to the next."""
        grid = self.query_one(Grid)
        if not self._several or grid.current is None:
            return
        if grid.current in self._ticked:
            del self._ticked[grid.current]
        else:
            self._ticked[grid.current] = None
        self._show()
        grid.action_cursor(1)

    def action_filter(self) -> None:
        """Type to filter."""
        self.query_one(Input).focus()

    def action_leave(self) -> None:
        """Out of the filter first; then nothing is changed."""
        box = self.query_one(Input)
        if box.value:
            box.value = ""
            self.query_one(Grid).focus()
            return
        self.dismiss(None)


def _text(row: Row) -> str:
    return " ".join(text_of(cell) for cell in row.cells).lower()
