"""Small windows over a screen: a question, a line of text, a choice, the help."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from console.tui.widgets.lines import BLANK, Lines, Para, para


class Confirm(ModalScreen[bool]):
    """Asks before something is stopped or removed. Only `y` says yes: enter alone must not end hours of work."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,enter,q", "answer(False)", "no"),
    ]

    def __init__(self, question: str, detail: str = "", *, yes: str = "do it") -> None:
        super().__init__()
        self._question = question
        self._detail = detail
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question, what it means, the two keys."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            if self._detail:
                yield Static(Content(self._detail), classes="dialog-text")
            yield Static(Content(f"y  {self._yes}      n  leave it as it is"), classes="dialog-keys")

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class AskText(ModalScreen[str | None]):
    """A line of text: a file name, a label, a filter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(self, question: str, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._question = question
        self._value = value
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        """The question and an input."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            yield Input(self._value, placeholder=self._placeholder, select_on_focus=False)
            yield Static(Content("enter  take it      esc  leave"), classes="dialog-keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter takes it."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Nothing is changed."""
        self.dismiss(None)


class Choose(ModalScreen[str | None]):
    """One of several."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "leave")]

    def __init__(self, question: str, options: Sequence[tuple[str, str]], current: str | None = None) -> None:
        """`options` are identities and what a person reads."""
        super().__init__()
        self._question = question
        self._options = options
        self._current = current

    def compose(self) -> ComposeResult:
        """The question and the list."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="dialog-title")
            yield OptionList(*(Option(Content(text), id=f"o{index}") for index, (_, text) in enumerate(self._options)))

    def on_mount(self) -> None:
        """Begin where one stands."""
        names = [name for name, _ in self._options]
        if self._current in names:
            self.query_one(OptionList).highlighted = names.index(self._current)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Taken."""
        self.dismiss(self._options[event.option_index][0])

    def action_leave(self) -> None:
        """Nothing is changed."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """What a screen shows and every key that works on it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,f1", "leave", "close")]

    def __init__(self, title: str, text: str, sections: Sequence[tuple[str, Sequence[tuple[str, str, str]]]]) -> None:
        """`sections` are headings with keys, what they do and the names by which they can be changed."""
        super().__init__()
        self._title = title
        self._text = text
        self._sections = sections

    def compose(self) -> ComposeResult:
        """All of it, scrollable."""
        # lines of the source end where the source does, not where this window does
        paras = [para(" ".join(part.split())) for part in self._text.strip().split("\n\n")]
        for heading, keys in self._sections:
            width = max((len(key) for key, _, _ in keys), default=0)
            paras += [BLANK, para(heading, "bold")]
            paras += [
                Para(((f"  {key:<{width}}  ", "busy"), (what, ""), (f"  {name}", "dim")), width + 4)
                for key, what, name in keys
            ]
        with Vertical(classes="dialog help"):
            yield Static(Content(self._title), classes="dialog-title")
            lines = Lines()
            lines.show(paras)
            yield lines
            yield Static(Content("esc  close"), classes="dialog-keys")

    def on_mount(self) -> None:
        """Keys scroll at once."""
        self.query_one(Lines).focus()

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)
