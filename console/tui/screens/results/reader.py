"""A window to read a text in: a result file, facts, what inspect said. Lines cut or wrapped, found by words."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.tui.widgets.lines import Lines, Para

KEYS = "/  only lines with …      w  wrap      y  copy      esc  close"


class Reader(ModalScreen[str | None]):
    """Shows numbered lines. Answers with the text to copy, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "close"),
        Binding("w", "wrap", "wrap", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("slash", "filter", "filter", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, about: str = "") -> None:
        """`lines` are clean already; `about` says where they come from."""
        super().__init__()
        self._title = title
        self._given = lines
        self._about = about
        self._wrapped = False

    def compose(self) -> ComposeResult:
        """Title, text, keys."""
        with Vertical(classes="dialog reader"):
            yield Static(Content(self._title), classes="dialog-title")
            yield Input(placeholder="only lines with these words", select_on_focus=False)
            yield Lines()
            yield Static(Content(f"{self._about}\n{KEYS}" if self._about else KEYS), classes="dialog-keys")

    def on_mount(self) -> None:
        """Keys go to the text."""
        self.query_one(Input).display = False
        self.query_one(Lines).focus()
        self._show()

    def _show(self) -> None:
        words = self.query_one(Input).value.lower().split()
        number = len(str(len(self._given)))
        paras = [
            Para(((f"{place:>{number}} ", "dim"), (line, "")), number + 1, keep=not self._wrapped)
            for place, line in enumerate(self._given, 1)
            if all(word in line.lower() for word in words)
        ]
        if not paras:
            said = f"no line has {' '.join(words)}" if words else "it is empty"
            paras = [Para(((said, "dim"),))]
        self.query_one(Lines).show(paras, top=bool(words))

    def on_input_changed(self) -> None:
        """As you type."""
        self._show()

    def on_input_submitted(self) -> None:
        """Back to the text."""
        self.query_one(Lines).focus()

    def action_filter(self) -> None:
        """Type to see only lines with these words."""
        box = self.query_one(Input)
        box.display = True
        box.focus()

    def action_wrap(self) -> None:
        """Long lines cut or wrapped."""
        self._wrapped = not self._wrapped
        self._show()

    def action_copy(self) -> None:
        """Everything that is shown of it."""
        words = self.query_one(Input).value.lower().split()
        kept = [line for line in self._given if all(word in line.lower() for word in words)]
        self.dismiss("\n".join(kept) + "\n")

    def action_leave(self) -> None:
        """Out of the filter first."""
        box = self.query_one(Input)
        if box.display:
            box.value = ""
            box.display = False
            self.query_one(Lines).focus()
            return
        self.dismiss(None)
