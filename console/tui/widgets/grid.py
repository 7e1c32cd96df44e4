"""A table drawn line by line that repaints only the cells that changed.

Textual's own DataTable paints the whole visible table for one changed cell; a fleet at 1 Hz over a slow link cannot
afford that. Columns have explicit widths; when room is short the least important columns go first.
"""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any, ClassVar

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.tui.widgets.cells import ROLES, Cell, Column, Row, fit, fitted, padded, spans, text_of
from console.tui.widgets.styling import Styles

__all__ = ["ROLES", "Cell", "Column", "Grid", "Row", "fit", "spans", "text_of"]


class Grid(ScrollView, can_focus=True):
    """Rows under a heading that stays. Keys move a cursor, enter chooses its row."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "up", show=False, id="grid.up"),
        Binding("down,j", "cursor(1)", "down", show=False, id="grid.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="grid.page_up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="grid.page_down"),
        Binding("home,g", "edge(-1)", "first", show=False, id="grid.first"),
        Binding("end,G", "edge(1)", "last", show=False, id="grid.last"),
        Binding("enter", "choose", "open", show=False, id="grid.open"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--heading",
        "grid--cursor",
        "grid--cursor-away",
        *(f"grid--{role}" for role in ROLES),
    }
    DEFAULT_CSS = """
    Grid { background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    Grid .grid--heading { color: $foreground 70%; text-style: bold; }
    Grid .grid--cursor { background: $primary 35%; }
    Grid .grid--cursor-away { background: $foreground 8%; }
    Grid .grid--ok { color: $success; }
    Grid .grid--warn { color: $warning; }
    Grid .grid--fail { color: $error; text-style: bold; }
    Grid .grid--unknown { color: $secondary; }
    Grid .grid--busy { color: $primary; }
    Grid .grid--accent { color: $accent; }
    Grid .grid--dim { color: $foreground 55%; }
    Grid .grid--bold { text-style: bold; }
    Grid .grid--simulated { color: $accent; text-style: italic; }
    Grid:ansi .grid--cursor { color: $block-cursor-foreground; background: $block-cursor-background; }
    Grid:ansi .grid--cursor-away { text-style: underline; background: ansi_default; }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    class Chosen(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, grid: "Grid", key: str) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> "Grid":
            """The grid it came from."""
            return self.grid

    class Moved(Message):
        """The cursor went to another row."""

        def __init__(self, grid: "Grid", key: str | None) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> "Grid":
            """The grid it came from."""
            return self.grid

    class Heading(Message):
        """A click on a heading."""

        def __init__(self, grid: "Grid", column: str) -> None:
            super().__init__()
            self.grid = grid
            self.column = column

        @property
        def control(self) -> "Grid":
            """The grid it came from."""
            return self.grid

    def __init__(self, columns: Sequence[Column], *, empty: str = "", id: str | None = None, **given: Any) -> None:
        """`empty` is shown in place of rows: say why there are none."""
        super().__init__(id=id, **given)
        self._columns = tuple(columns)
        self._rows: tuple[Row, ...] = ()
        self._index: dict[str, int] = {}
        self._widths: tuple[int, ...] = ()
        self._fitted_to = (-1, -1)
        self._empty = empty
        self._styles = Styles(self, "grid")
        self._cache: dict[tuple[str, bool], Strip] = {}
        self._sorted = ("", False)

    # -- what it shows

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows as last set."""
        return self._rows

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, those left out for want of room included."""
        return self._columns

    @property
    def current(self) -> str | None:
        """Key of the row under the cursor."""
        return self._rows[self.cursor].key if self._rows else None

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Other columns; rows must follow."""
        if tuple(columns) == self._columns:
            return
        self._columns, self._rows, self._index = tuple(columns), (), {}
        self._fitted_to = (-1, -1)
        self._repaint()

    def set_rows(self, rows: Iterable[Row], *, empty: str | None = None) -> None:
        """Show these rows. Only cells that differ are painted again; the cursor stays on its row."""
        before, self._rows = self._rows, tuple(rows)
        why_changed = empty is not None and empty != self._empty
        if empty is not None:
            self._empty = empty  # with or without rows the cursor stays on its row
        same_keys = len(before) == len(self._rows) and all(
            old.key == new.key for old, new in zip(before, self._rows, strict=True)
        )
        if same_keys and before:
            self._repaint_changed(before)
            return
        if not before and not self._rows and not why_changed:
            self._measure()  # the reason that is shown already stands
            return
        held = before[self.cursor].key if before and self.cursor < len(before) else None
        seen = 0 <= self.cursor - self.scroll_offset.y < max(1, self.size.height - 1)
        self._index = {row.key: index for index, row in enumerate(self._rows)}
        self._cache.clear()
        self._measure()
        place = self._index.get(held, min(self.cursor, max(0, len(self._rows) - 1))) if held else self.cursor
        self.set_reactive(Grid.cursor, min(place, max(0, len(self._rows) - 1)))
        self.refresh()
        if seen and self.is_mounted:  # whoever has scrolled away from the cursor is left where he is
            self._keep_in_sight()
        if self.current != held:
            self.post_message(self.Moved(self, self.current))

    def show_sorted(self, column: str, *, down: bool) -> None:
        """Mark the heading that rows are sorted by; sorting them is the owner's."""
        if self._sorted != (column, down):
            self._sorted = (column, down)
            self.refresh(Region(0, 0, self.size.width, 1))

    def move_to(self, key: str) -> bool:
        """Put the cursor on a row; False when there is none of that key."""
        index = self._index.get(key)
        if index is None:
            return False
        self.cursor = index
        return True

    def invalidate(self) -> None:
        """Paint everything again, as after a change of theme."""
        self._styles.clear()
        self._repaint()

    # -- painting

    def _repaint(self) -> None:
        self._cache.clear()
        self.refresh()

    def _measure(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)

    def _repaint_changed(self, before: Sequence[Row]) -> None:
        top, height = self.scroll_offset.y, self.size.height
        for index in range(len(self._rows)):
            old, new = before[index], self._rows[index]
            if old == new:
                continue
            self._cache.pop((new.key, False), None)
            self._cache.pop((new.key, True), None)
            line = index - top + 1
            if 1 <= line < height:
                begin, end = self._changed(old, new)
                if begin < end:
                    self.refresh(Region(begin, line, end - begin, 1))

    def _changed(self, old: Row, new: Row) -> tuple[int, int]:
        """From the first cell that differs to the end of the last: one stretch, because the compositor (8.2.8) sends
        everything left of each stretch again.
        """
        if old.role != new.role or len(old.cells) != len(new.cells):
            return 0, self.size.width
        x, begin, end = 1, self.size.width, 0
        for place, width in self._shown():
            if old.cells[place] != new.cells[place]:
                begin, end = min(begin, x), x + width
            x += width + 2
        return begin, end

    def _shown(self) -> Sequence[tuple[int, int]]:
        """Place and width of every column there is room for."""
        self._fit()
        return [(place, width) for place, width in enumerate(self._widths) if width]

    def _fit(self) -> None:
        room = self.scrollable_content_region.width or self.size.width
        if self._fitted_to == (room, len(self._columns)):
            return
        self._fitted_to = (room, len(self._columns))
        self._widths = fit(self._columns, room - 1)
        self._cache.clear()

    def render_line(self, y: int) -> Strip:
        """One line: the heading, a row, or why there are none."""
        width = self.size.width
        base = self._styles[""]
        if y == 0:
            return self._heading(width, base)
        index = self.scroll_offset.y + y - 1
        if not self._rows:
            lines = [
                part
                for line in self._empty.splitlines()
                for part in wrap(line, max(10, width - 2), break_on_hyphens=False) or [""]
            ]
            text = f" {lines[y - 2]}" if 2 <= y < len(lines) + 2 else ""
            style = base + self._styles["dim"]
            return Strip([Segment(set_cell_size(text, width), style)], width)
        if index >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[index]
        under = index == self.cursor
        strip = self._cache.get((row.key, under))
        if strip is None or strip.cell_length != width:
            strip = self._draw(row, width, base, under=under)
            self._cache[row.key, under] = strip
        return strip

    def _heading(self, width: int, base: Style) -> Strip:
        style = base + self._styles["heading"]
        parts = [" "]
        sorted_by, down = self._sorted
        for place, room in self._shown():
            column = self._columns[place]
            title = column.title + (("↓" if down else "↑") if column.key == sorted_by else "")
            parts.append(padded(title, room, right=column.right) + "  ")
        return Strip([Segment(set_cell_size("".join(parts), width), style)], width)

    def _draw(self, row: Row, width: int, base: Style, *, under: bool) -> Strip:
        ground = base
        if under:
            ground = base + self._styles["cursor" if self.has_focus else "cursor-away"]
        # the terminal's own colours cannot be mixed: a role's may be the very one the cursor has
        one_colour = under and self.has_focus and self.app.native_ansi_color
        segments = [Segment(" ", ground)]
        used = 1
        for place, room in self._shown():
            cell = row.cells[place] if place < len(row.cells) else ""
            for text, role in fitted(spans(cell), room, right=self._columns[place].right):
                own = self._styles[role or row.role] if role or row.role else Style()
                segments.append(Segment(text, ground + (own.without_color + Style(dim=False) if one_colour else own)))
            segments.append(Segment("  ", ground))
            used += room + 2
        if used < width:
            segments.append(Segment(" " * (width - used), ground))
        return Strip(segments, used if used > width else width).crop(0, width).simplify()

    # -- moving

    def validate_cursor(self, value: int) -> int:
        """Within the rows."""
        return min(max(0, value), max(0, len(self._rows) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Paint the two lines, keep the cursor in sight, tell."""
        self._line(before)
        self._line(now)
        self._keep_in_sight()
        self.post_message(self.Moved(self, self.current))

    def _line(self, index: int) -> None:
        line = index - self.scroll_offset.y + 1
        if 1 <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def _keep_in_sight(self) -> None:
        top, room = self.scroll_offset.y, max(1, self.size.height - 1)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + room:
            self.scroll_to(y=self.cursor - room + 1, animate=False)

    def action_cursor(self, by: int) -> None:
        """One row up or down."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """A screenful."""
        self.cursor += by * max(1, self.size.height - 2)

    def action_edge(self, to: int) -> None:
        """The first row or the last."""
        self.cursor = 0 if to < 0 else len(self._rows) - 1

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def on_click(self, event: events.Click) -> None:
        """A heading, or a row: the first click moves there, one on the cursor opens it."""
        if event.y == 0:
            x = 1
            for place, width in self._shown():
                if x <= event.x < x + width + 2:
                    self.post_message(self.Heading(self, self._columns[place].key))
                x += width + 2
            return
        index = self.scroll_offset.y + event.y - 1
        if index >= len(self._rows):
            return
        if index == self.cursor and event.chain > 1:
            self.action_choose()
        self.cursor = index

    def on_resize(self, event: events.Resize) -> None:
        """Columns fit the new width."""
        self._measure()
        self._repaint()
        self._keep_in_sight()

    def on_focus(self) -> None:
        """The cursor is brighter where keys go."""
        self._repaint_cursor()

    def on_blur(self) -> None:
        """The cursor is dimmer where keys do not go."""
        self._repaint_cursor()

    def _repaint_cursor(self) -> None:
        if self._rows:
            self._cache.pop((self._rows[self.cursor].key, True), None)
            self._line(self.cursor)

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles.clear()
        self._cache.clear()
