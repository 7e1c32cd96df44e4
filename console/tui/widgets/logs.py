"""A log on the screen, painted row by row: follows the end, scrolls, searches, wraps, shows times, can be selected."""

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from console.desk.logs import LogFile
from console.tui.widgets.cells import printable
from console.tui.widgets.log_reading import LogReading, Until, Work
from console.tui.widgets.log_window import LogWindow, Row, crop
from console.tui.widgets.styling import Styles

POLL_S = 0.25
STAMP = 13

_BAD = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|Traceback|Exception:|\w*Error\b|Segmentation fault)")
_WARN = re.compile(r"\b(?:WARNING|WARN|\w*Warning)\b")


class LogView(Widget, can_focus=True):
    """One log. The owner gives it a file and a way to run requests, shows `status` somewhere and offers its keys."""

    ALLOW_SELECT = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "rows(-1)", "up", show=False, id="log.up"),
        Binding("down,j", "rows(1)", "down", show=False, id="log.down"),
        Binding("pageup,b", "pages(-1)", "page up", show=False, id="log.page_up"),
        Binding("pagedown", "pages(1)", "page down", show=False, id="log.page_down"),
        Binding("home,g", "first", "first line", show=False, id="log.first"),
        Binding("end,G", "last", "follow the end", show=False, id="log.last"),
        Binding("left", "aside(-16)", "left", show=False, id="log.left"),
        Binding("right", "aside(16)", "right", show=False, id="log.right"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log--{name}" for name in ("dim", "fail", "warn", "match", "busy")}
    DEFAULT_CSS = """
    LogView { height: 1fr; min-height: 1; background: $background; }
    LogView .log--dim { color: $foreground 55%; }
    LogView .log--fail { color: $error; text-style: bold; }
    LogView .log--warn { color: $warning; }
    LogView .log--busy { color: $primary; }
    LogView .log--match { text-style: reverse; }
    """

    class Changed(Message):
        """`status` may read differently now."""

        def __init__(self, view: "LogView") -> None:
            super().__init__()
            self.view = view

        @property
        def control(self) -> "LogView":
            """The view it came from."""
            return self.view

    def __init__(self, work: Work, *, id: str | None = None, **given: Any) -> None:
        """`work` runs a blocking function elsewhere and brings its answer back here."""
        super().__init__(id=id, **given)
        self.stamps = False
        self.wrapped = False
        self.reading = LogReading(work, self._news)
        self._why_empty = ""
        self._left = 0
        self._rows: list[Row] = []
        self._told = ""
        self._styles = Styles(self, "log")

    @property
    def window(self) -> LogWindow:
        """What is in memory, and where one is."""
        return self.reading.window

    # -- what it shows

    def set_log(self, log: LogFile | None, *, empty: str = "", until: Until | None = None) -> None:
        """Show the end of another log. `empty`: why there is nothing. `until`: nothing later than this is shown."""
        self._why_empty, self._left, self._rows = empty, 0, []
        self.reading.open(log, until or (lambda: None))
        self.repaint()

    @property
    def status(self) -> str:
        """Follows or where one is, how much came meanwhile, the search."""
        window, reading = self.window, self.reading
        parts = []
        if reading.searching:
            parts.append("searching …, esc ends it")
        elif window.lines:
            parts.append("following" if window.follow else f"{window.share():.0%}")
            if window.unseen:
                parts.append(f"{window.unseen} new, G follows")
        if reading.pattern is not None:
            parts.append(f"/{reading.pattern.pattern}")
        if reading.said:
            parts.append(reading.said)
        return " · ".join(parts)

    @property
    def visible_text(self) -> str:
        """The lines on the screen, whole also where they are cut off."""
        lines = dict.fromkeys(row.line for row in self._rows)
        return "\n".join(f"{stamp(line.at_ns)}{line.text}" if self.stamps else line.text for line in lines)

    def on_mount(self) -> None:
        """Looks are taken while it can be seen."""
        self.set_interval(POLL_S, self._tick)

    def on_show(self) -> None:
        """Seen again."""
        self.reading.wake()

    def on_unmount(self) -> None:
        """Nothing is asked any more."""
        self.reading.drop()

    def _tick(self) -> None:
        if self.size.height and self.display and self.screen is self.app.screen:
            self.reading.tick()

    def _news(self) -> None:
        self.repaint(force=False)

    # -- moving

    def action_rows(self, by: int) -> None:
        """A row up or down."""
        self.window.scroll(by)
        self.repaint(force=False)
        self.reading.scrolled()

    def action_pages(self, by: int) -> None:
        """A screenful."""
        self.action_rows(by * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """The beginning of the log, wherever it is."""
        self.reading.first()

    def action_last(self) -> None:
        """The end, and follow it."""
        self.reading.last()

    def action_aside(self, by: int) -> None:
        """Left or right, where lines are not wrapped."""
        self._left = 0 if self.wrapped else max(0, self._left + by)
        self.repaint()

    def toggle_follow(self) -> None:
        """Follow the end, or stay here."""
        if self.window.follow:
            self.window.follow = False
            self._tell()
        else:
            self.reading.last()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        event.stop()
        self.action_rows(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down."""
        event.stop()
        self.action_rows(3)

    def set_wrap(self, wrapped: bool) -> None:
        """Wrap long lines, or cut them off."""
        self.wrapped, self._left = wrapped, 0
        self.repaint()

    def set_stamps(self, stamps: bool) -> None:
        """Show when each line came, in UTC."""
        self.stamps = stamps
        self.repaint()

    # -- painting

    def repaint(self, *, force: bool = True) -> None:
        """Paint the rows that belong on the screen now; when not forced, only if they are others than before."""
        if not self.size.width:
            return
        room = self.size.width - (STAMP if self.stamps else 0)
        self.window.fit(room, self.size.height, wrap=self.wrapped)
        before, self._rows = self._rows, self.window.rows()
        if force or before != self._rows:
            self.refresh()
        self._tell()

    def _tell(self) -> None:
        if self.status != self._told:
            self._told = self.status
            self.post_message(self.Changed(self))

    def on_resize(self, event: events.Resize) -> None:
        """Another size."""
        self.repaint()
        self.reading.scrolled()

    def render_line(self, y: int) -> Strip:
        """One row."""
        width, base = self.size.width, self._styles[""]
        if y >= len(self._rows):
            return Strip([Segment(self._empty_line(y), base + self._styles["dim"])]).adjust_cell_length(width, base)
        row = self._rows[y]
        head, text = self._parts(row)
        segments = [Segment(head, base + self._styles["dim"])] if head else []
        segments += self._coloured(text, row, base)
        strip = Strip(segments).adjust_cell_length(width, base)
        selection = self.text_selection
        span = selection.get_span(y) if selection is not None else None
        if span is not None:
            start, stop = span[0], width if span[1] == -1 else min(span[1], width)
            chosen = self.screen.get_component_rich_style("screen--selection")
            before, middle, after = strip.divide([start, max(start, stop), width])
            strip = Strip.join([before, middle.apply_style(chosen), after])
        return strip.apply_offsets(0, y)

    def _parts(self, row: Row) -> tuple[str, str]:
        """The time before a row, and its text as far as there is room."""
        head = ""
        if self.stamps:
            head = stamp(row.line.at_ns) if row.piece == 0 else " " * STAMP
        text = row.text if self.wrapped else crop(row.text, self._left, self.size.width - len(head))
        return head, printable(text)

    def _empty_line(self, y: int) -> str:
        if self.window.lines:
            return ""
        lines = (self._why_empty or "Nothing was written to this log so far.").splitlines()
        place = y - (1 if self.size.height > len(lines) else 0)
        return f" {lines[place]}" if 0 <= place < len(lines) else ""

    def _coloured(self, text: str, row: Row, base: Style) -> list[Segment]:
        whole = row.line.text
        name = "fail" if _BAD.search(whole) else "warn" if _WARN.search(whole) else ""
        if whole.startswith("@@instinct"):
            name = "busy"
        style = base + self._styles[name] if name else base
        pattern = self.reading.pattern
        segments, done = [], 0
        for found in pattern.finditer(text) if pattern is not None else ():
            if found.end() > found.start():
                segments += [
                    Segment(text[done : found.start()], style),
                    Segment(found[0], style + self._styles["match"]),
                ]
                done = found.end()
        return [*segments, Segment(text[done:], style)]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What the mouse selected, from the rows on the screen."""
        return selection.extract("\n".join("".join(self._parts(row)) for row in self._rows)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """What is being selected must not run away."""
        if selection is not None:
            self.window.follow = False
        self.refresh()
        self._tell()

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles.clear()


def stamp(at_ns: int | None) -> str:
    """A line's time in UTC to a tenth of a second, as wide as STAMP."""
    if at_ns is None:
        return " " * STAMP
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%S.%f")[:10].ljust(STAMP)
