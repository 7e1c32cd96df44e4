"""The small windows of the Matrix screen: which hosts, and how."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.desk.fleet_board import HostView
from console.fleet.host import Fleet, FleetError
from console.fleet.selection import select
from console.tui import marks
from console.tui.dialogs import AskText
from console.tui.screens.matrix.choice import BUSY, Choice, changes_of, changes_text, expression_of
from console.tui.widgets.grid import Column, Grid, Row

_HOSTS = (
    Column("tick", "", 3),
    Column("host", "host", 16, grow=1),
    Column("state", "state", 11),
    Column("gpus", "GPUs", 12, rank=1),
    Column("groups", "groups", 10, grow=1, rank=2),
    Column("now", "runs now", 14, grow=1, rank=3),
)


class Taken(msgspec.Struct, frozen=True):
    """Hosts that were chosen; None for every host."""

    hosts: str | None


def host_rows(hosts: Sequence[HostView], ticked: Collection[str], about: Collection[str]) -> list[Row]:
    """Hosts with a tick; those with the GPUs that the matrix is about are bright."""
    return [
        Row(
            host.name,
            (
                ("[x]", "accent") if host.name in ticked else ("[ ]", "dim"),
                (host.name, "" if not about or host.name in about else "dim"),
                marks.HOST[host.state].span,
                (host.row.gpus if host.row is not None else "", ""),
                (" ".join(f"@{group}" for group in host.groups), "dim"),
                (host.row.running if host.row is not None else "", "busy"),
            ),
        )
        for host in hosts
    ]


class ChooseHosts(ModalScreen[Taken | None]):
    """Hosts by expression or by ticks; each follows the other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave"),
        Binding("space", "tick", "tick"),
        Binding("a", "every(True)", "all"),
        Binding("n", "every(False)", "none"),
        Binding("enter", "take", "take", priority=True),
        Binding("down", "to_list", "to the list", show=False),
    ]

    def __init__(self, fleet: Fleet, views: Sequence[HostView], hosts: str | None, about: Collection[str]) -> None:
        super().__init__()
        self._fleet = fleet
        self._views = views
        self._about = about
        self._text = hosts or ""
        self._ticked: frozenset[str] = frozenset()
        self._problem = ""

    def compose(self) -> ComposeResult:
        """The expression, what it comes to, the hosts."""
        with Vertical(classes="dialog matrix-hosts"):
            yield Static(Content("On which hosts?"), classes="dialog-title")
            yield Input(
                self._text, placeholder="every host; names, @groups, globs, ranges, !without", select_on_focus=False
            )
            yield Static(id="said")
            yield Grid(_HOSTS, empty="The fleet file has no hosts.")
            yield Static(
                Content("space  tick    a  all    n  none    enter  take    esc  leave"), classes="dialog-keys"
            )

    def on_mount(self) -> None:
        """What is chosen already is ticked."""
        self._understand(self._text)
        self.query_one(Grid).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Typed: the ticks follow."""
        if event.input.has_focus:
            self._understand(event.value)

    def _understand(self, text: str) -> None:
        try:
            chosen = select(self._fleet, text.strip() or None)
        except FleetError as error:
            self._problem = str(error)
        else:
            self._problem = ""
            self._ticked = frozenset(host.name for host in chosen)
        self._text = text.strip()
        self._show()

    def _show(self) -> None:
        self.query_one(Grid).set_rows(host_rows(self._views, self._ticked, self._about))
        said = self.query_one("#said", Static)
        said.set_class(bool(self._problem), "problem")
        count = len(self._ticked)
        said.update(Content(self._problem or f"{count} of {len(self._fleet.hosts)} hosts"))

    def _set(self, names: Collection[str]) -> None:
        self._ticked = frozenset(names)
        self._problem = "" if names else "tick at least one host"
        self._text = (expression_of(names, self._fleet.hosts) or "") if names else ""
        self.query_one(Input).value = self._text
        self._show()

    def action_tick(self) -> None:
        """The host under the cursor, in or out."""
        name = self.query_one(Grid).current
        if name is not None:
            self._set(self._ticked ^ {name})

    def action_every(self, on: bool) -> None:
        """All of them, or none."""
        self._set({host.name for host in self._fleet.hosts} if on else ())

    def action_to_list(self) -> None:
        """From the expression to the hosts."""
        self.query_one(Grid).focus()

    def action_take(self) -> None:
        """As it stands, unless it means nothing."""
        if not self._problem:
            self.dismiss(Taken(self._text or None))

    def action_leave(self) -> None:
        """Nothing is changed."""
        self.dismiss(None)


_HOW = (Column("name", "", 12), Column("value", "", 22, grow=1), Column("what", "", 30, grow=2))


def how_rows(choice: Choice) -> list[Row]:
    """Each option with its value and what that means."""
    place = "every cell on every host" if choice.place == "each" else "each cell once, on the next free host"
    busy = dict(BUSY).get(choice.if_busy, "")
    fetch = "models that a host lacks are fetched first" if choice.fetch else "a host that lacks a model is refused"
    whole = "one blocked attempt refuses them all" if choice.all_or_none else "what can start starts"
    said = (
        ("place", choice.place, place),
        ("repeat", str(choice.repeat), "repeats of each cell; one alone is at most unconfirmed"),
        ("if busy", choice.if_busy, busy),
        ("fetch", "yes" if choice.fetch else "no", fetch),
        ("all or none", "yes" if choice.all_or_none else "no", whole),
        ("accept", " ".join(choice.accept) or "-", "checks that spoil a figure; it runs, and stays spoiled"),
        ("set", changes_text(choice.changes) or "-", "KEY=VALUE: parameters otherwise than published"),
        ("label", choice.label or "-", "a name to find the run by"),
    )
    return [Row(name, ((name, "bold"), (value, "accent"), (what, "dim"))) for name, value, what in said]


def cycled(choice: Choice, name: str) -> Choice | None:
    """The choice with the next value of an option; None for those one types."""
    replace = msgspec.structs.replace
    if name == "place":
        return replace(choice, place="spread" if choice.place == "each" else "each")
    if name == "if busy":
        words = [word for word, _ in BUSY]
        place = words.index(choice.if_busy) + 1 if choice.if_busy in words else 0
        return replace(choice, if_busy=words[place % len(words)])
    if name == "fetch":
        return replace(choice, fetch=not choice.fetch)
    if name == "all or none":
        return replace(choice, all_or_none=not choice.all_or_none)
    return None


def typed(choice: Choice, name: str, text: str) -> Choice:
    """The choice with an option as it was typed. Raises ValueError, which says what is wrong."""
    text = text.strip()
    replace = msgspec.structs.replace
    if name == "repeat":
        if not text.isdigit() or not 1 <= int(text) <= 1000:
            raise ValueError(f"{text!r} is not a number from 1 to 1000")
        return replace(choice, repeat=int(text))
    if name == "accept":
        return replace(choice, accept=tuple(text.replace(",", " ").split()))
    if name == "set":
        return replace(choice, changes=changes_of(text))
    return replace(choice, label=text)


class ChooseHow(ModalScreen[Choice | None]):
    """The options of a run, one a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,o", "take", "done"),
        Binding("space,right", "change", "change"),
    ]

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self._choice = choice

    def compose(self) -> ComposeResult:
        """The options."""
        with Vertical(classes="dialog matrix-how"):
            yield Static(Content("How?"), classes="dialog-title")
            yield Grid(_HOW)
            yield Static(id="said")
            yield Static(Content("enter  change    esc  done"), classes="dialog-keys")

    def on_mount(self) -> None:
        """As it stands."""
        self.query_one(Grid).focus()
        self._show()

    def _show(self, problem: str = "") -> None:
        self.query_one(Grid).set_rows(how_rows(self._choice))
        said = self.query_one("#said", Static)
        said.set_class(bool(problem), "problem")
        said.update(Content(problem))

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """As `change`."""
        self.action_change()

    def action_change(self) -> None:
        """The next value, or a line to type it in."""
        name = self.query_one(Grid).current
        if name is None:
            return
        changed = cycled(self._choice, name)
        if changed is not None:
            self._choice = changed
            self._show()
            return
        value = next(row.cells[1][0] for row in how_rows(self._choice) if row.key == name)

        def take(text: str | None) -> None:
            if text is not None:
                self._take(name, text)

        self.app.push_screen(AskText(f"{name}:", "" if value == "-" else str(value)), take)

    def _take(self, name: str, text: str) -> None:
        try:
            self._choice = typed(self._choice, name, text)
        except ValueError as error:
            self._show(str(error))
        else:
            self._show()

    def action_take(self) -> None:
        """Whatever was changed holds."""
        self.dismiss(self._choice)
