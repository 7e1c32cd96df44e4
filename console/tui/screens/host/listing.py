"""What the views of the Host screen have in common: they draw one subject, most of them as a list and a pane."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container

from console.tui.screens.host.subject import Subject
from console.tui.widgets.grid import Column, Grid, Row
from console.tui.widgets.lines import Lines, Para

Copied = tuple[str, str]
"""What goes to the clipboard, and what it is called."""


class Pane(Container):
    """One view. `show` draws the subject; `copied` is what the copy keys take from it."""

    def show(self, subject: Subject, *, fresh: bool) -> None:
        """Draw; `fresh` when anything may differ, as for another host."""

    def copied(self) -> Copied | None:
        """What is under the cursor, to paste."""
        return None

    def copied_all(self) -> Copied | None:
        """All of it, as Markdown."""
        return None


class Listing(Pane):
    """A table and the row under its cursor in full."""

    COLUMNS: ClassVar[Sequence[Column]] = ()
    SHARE: ClassVar[int] = 55
    """How much of the height the list takes at most, of a hundred."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.subject: Subject | None = None
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """Both."""
        yield Grid(self.COLUMNS)
        yield Lines(classes="detail")

    @property
    def grid(self) -> Grid:
        """The table."""
        return self.query_one(Grid)

    def show(self, subject: Subject, *, fresh: bool) -> None:
        """The rows, made again only when what they come from has changed."""
        before, self.subject = self.subject, subject
        basis = self.basis(subject)
        if basis != self._drawn or fresh:
            self._drawn = basis
            self.grid.set_rows(self.rows(subject), empty=self.why_empty(subject))
        self._share_room()
        self.draw_detail(top=before is None or before.name != subject.name)

    def _share_room(self) -> None:
        """A short list leaves its room to the pane below; beside it both are as high as the view."""
        grid = self.grid
        most = self.size.height * self.SHARE // 100
        wanted = None if self.beside else max(4, min(len(grid.rows) + 2, most))
        current = grid.styles.inline.height
        if (int(current.value) if current is not None else None) != wanted:
            grid.styles.height = wanted

    @property
    def beside(self) -> bool:
        """Whether there is room for the pane beside the list."""
        return self.screen.has_class("-vast")

    def basis(self, subject: Subject) -> object:
        """What the rows depend on; equal means that nothing is drawn."""
        return subject

    def rows(self, subject: Subject) -> Sequence[Row]:
        """The rows."""
        return ()

    def why_empty(self, subject: Subject) -> str:
        """Why there are none."""
        return subject.why_empty

    def detail(self, subject: Subject, key: str) -> Sequence[Para]:
        """A row in full."""
        return ()

    def draw_detail(self, *, top: bool = False) -> None:
        """The row under the cursor."""
        key = self.grid.current
        lines = self.detail(self.subject, key) if self.subject is not None and key is not None else ()
        self.query_one(Lines).show(lines, top=top)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Another row."""
        self.draw_detail(top=True)
