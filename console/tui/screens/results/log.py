"""A window on the stored log of an attempt: all of it, of any length."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.tui.widgets.logs import LogView

if TYPE_CHECKING:
    from console.desk.logs import LogFile
    from console.tui.widgets.log_reading import Work

KEYS = "/  search   n N  next, before   w  wrap   T  times   y  copy what is shown   esc  close"


class LogReader(ModalScreen[None]):
    """Shows a log; what it is and where one is stands above it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "close"),
        Binding("slash", "search", "search", show=False),
        Binding("n", "next(1)", "next", show=False),
        Binding("N", "next(-1)", "before", show=False),
        Binding("w", "wrap", "wrap", show=False),
        Binding("T", "stamps", "times", show=False),
        Binding("y", "copy", "copy", show=False),
    ]

    def __init__(self, title: str, log: "LogFile", work: "Work") -> None:
        super().__init__()
        self._title = title
        self._log = log
        self._work = work

    def compose(self) -> ComposeResult:
        """What it is, the log, the keys."""
        with Vertical(classes="dialog reader"):
            yield Static(Content(self._title), classes="dialog-title")
            yield Input(placeholder="search for a regular expression", select_on_focus=False)
            yield LogView(self._work)
            yield Static(Content(KEYS), classes="dialog-keys")

    def on_mount(self) -> None:
        """From its end; keys go to it."""
        self.query_one(Input).display = False
        view = self.query_one(LogView)
        view.set_log(self._log, empty="The log is empty.")
        view.focus()

    def on_log_view_changed(self) -> None:
        """Where one is."""
        status = self.query_one(LogView).status
        title = self.query_one(".dialog-title", Static)
        title.update(Content.assemble(self._title, (f"   {status}", "dim")), layout=False)

    def action_search(self) -> None:
        """Type what to look for."""
        box = self.query_one(Input)
        box.display = True
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look for it."""
        problem = self.query_one(LogView).reading.search(event.value)
        if problem:
            self.app.notify(problem, severity="error", markup=False)
            return
        event.input.display = False
        self.query_one(LogView).focus()

    def action_next(self, by: int) -> None:
        """Another match."""
        self.query_one(LogView).reading.search_next(backwards=by < 0)

    def action_wrap(self) -> None:
        """Long lines wrapped or cut."""
        view = self.query_one(LogView)
        view.set_wrap(not view.wrapped)

    def action_stamps(self) -> None:
        """When each line came."""
        view = self.query_one(LogView)
        view.set_stamps(not view.stamps)

    def action_copy(self) -> None:
        """The lines on the screen, to the terminal's clipboard."""
        self.app.copy_to_clipboard(self.query_one(LogView).visible_text)
        self.app.notify("copied the lines that are shown", timeout=3, markup=False)

    def action_leave(self) -> None:
        """Out of the search first."""
        view, box = self.query_one(LogView), self.query_one(Input)
        if box.display:
            box.display = False
            view.focus()
        elif not view.reading.end_search():
            self.dismiss(None)
