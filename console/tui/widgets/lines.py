"""Text in roles, wrapped to its room and drawn line by line: details beside a table, a host's header, a picture.

Like the grid it paints only lines that differ, so that a pane may be shown anew with every reading.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.tui.marks import Span
from console.tui.widgets.cells import ROLES, printable
from console.tui.widgets.styling import Styles

Line = tuple[Span, ...]


class Para(NamedTuple):
    """A paragraph: its spans, and how far its second and later lines stand in. `keep`: cut, never wrapped."""

    spans: Line
    hang: int = 0
    keep: bool = False


def para(text: str, role: Any = "", *, hang: int = 0) -> Para:
    """A paragraph of one role."""
    return Para(((text, role),), hang)


def labelled(label: str, text: str, role: Any = "", *, width: int = 10) -> Para:
    """`label     text`, later lines under the text."""
    return Para(((f"{label:<{width}}", "dim"), (text, role)), width)


BLANK = Para(())


def wrap(item: Para, width: int) -> list[Line]:
    """The lines of a paragraph in `width` cells; a word that is too long for one is broken."""
    if item.keep or width < 1:
        return [item.spans]
    hang = min(item.hang, width // 2)
    lines: list[Line] = []
    line: list[Span] = []
    used = 0
    for text, role in item.spans:
        for word in _words(printable(text)):
            room = width - (hang if lines else 0)
            size = cell_len(word)
            if used + cell_len(word.rstrip()) > room and used:
                lines.append(_closed(line, hang if lines else 0))
                line, used = [], 0
                room = width - hang
                word = word.lstrip()
                size = cell_len(word)
            if cell_len(word.rstrip()) > room:
                bare = word.rstrip()
                *pieces, rest = chop_cells(bare, room)
                word = rest + word[len(bare) :]
                for piece in pieces:
                    lines.append(_closed([(piece, role)], hang if lines else 0))
                size = cell_len(word)
            if word:
                line.append((word, role))
                used += size
    lines.append(_closed(line, hang if lines else 0))
    return lines


def _words(text: str) -> Iterable[str]:
    """Words with the blanks after them; blanks at the start stand alone."""
    start = 0
    for place in range(1, len(text)):
        if text[place - 1] == " " and text[place] != " ":
            yield text[start:place]
            start = place
    yield text[start:]


def _closed(line: Sequence[Span], hang: int) -> Line:
    """Neighbours of one role joined, the indent before them."""
    joined: list[Span] = [(" " * hang, "")] if hang else []
    for text, role in line:
        if joined and joined[-1][1] == role:
            joined[-1] = joined[-1][0] + text, role
        else:
            joined.append((text, role))
    return tuple(joined)


class Lines(ScrollView, can_focus=True):
    """Paragraphs, scrolled by keys when they are more than the room."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "up", show=False),
        Binding("down", "scroll_down", "down", show=False),
        Binding("pageup", "page_up", "page up", show=False),
        Binding("pagedown", "page_down", "page down", show=False),
        Binding("home", "scroll_home", "first", show=False),
        Binding("end", "scroll_end", "last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{role}" for role in ROLES}
    DEFAULT_CSS = """
    Lines { background: $background; padding: 0 1; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
            overflow-x: hidden; scrollbar-gutter: stable; }
    Lines .lines--ok { color: $success; }
    Lines .lines--warn { color: $warning; }
    Lines .lines--fail { color: $error; text-style: bold; }
    Lines .lines--unknown { color: $secondary; }
    Lines .lines--busy { color: $primary; }
    Lines .lines--accent { color: $accent; }
    Lines .lines--dim { color: $foreground 60%; }
    Lines .lines--bold { text-style: bold; }
    Lines .lines--simulated { color: $accent; text-style: italic; }
    """

    def __init__(self, *, id: str | None = None, **given: Any) -> None:
        super().__init__(id=id, **given)
        self._paras: tuple[Para, ...] = ()
        self._lines: list[Line] = []
        self._wrapped_to = -1
        self._styles = Styles(self, "lines")

    @property
    def text(self) -> str:
        """What it holds, as plain text, unwrapped."""
        return "\n".join("".join(text for text, _ in item.spans).rstrip() for item in self._paras)

    def show(self, paras: Iterable[Para], *, top: bool = False) -> None:
        """Show these; `top` scrolls back to the first, as for another subject."""
        new = tuple(paras)
        if new != self._paras:
            self._paras = new
            self._rewrap()
        if top and self.scroll_offset.y:
            self.scroll_to(y=0, animate=False)

    def _rewrap(self) -> None:
        width = self.scrollable_content_region.width
        if width < 1:
            self._wrapped_to = -1
            return
        before, self._lines = self._lines, [line for item in self._paras for line in wrap(item, width)]
        moved = self._wrapped_to != width or len(before) != len(self._lines)
        self._wrapped_to = width
        self.virtual_size = Size(width, len(self._lines))
        if moved:
            self.refresh()
            return
        top, height = self.scroll_offset.y, self.size.height
        for number, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new and 0 <= number - top < height:
                self.refresh(Region(0, number - top, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One line."""
        width = self.size.width
        base = self._styles[""]
        index = self.scroll_offset.y + y
        if index >= len(self._lines):
            return Strip.blank(width, base)
        segments = [Segment(text, base + self._styles[role] if role else base) for text, role in self._lines[index]]
        room = self.scrollable_content_region.width
        if cell_len("".join(segment.text for segment in segments).rstrip()) > room > 0:  # one that is kept in a line
            segments = [*Strip(segments).crop(0, room - 1), Segment("…", segments[-1].style)]
        return Strip(segments).adjust_cell_length(width, base)

    def on_resize(self, event: events.Resize) -> None:
        """Wrapped anew."""
        if self._wrapped_to != self.scrollable_content_region.width:
            self._rewrap()

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles.clear()
