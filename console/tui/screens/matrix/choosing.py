"""What one chooses on the Matrix screen: which matrix, which of its rows, where and how."""

from collections.abc import Mapping, Sequence

import msgspec
from textual.content import Content
from textual.widgets import Input, Static

from console.catalog.errors import CatalogError
from console.desk.matrices import Entry, Shelf, selected
from console.desk.sheet_views import Figure
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.matrix import rows as matrix_rows
from console.tui.screens.matrix.choice import Choice, first
from console.tui.widgets.grid import Grid

_CHOOSES = ("tick", "tick_all", "filter", "image", "how")


class MatrixChoosing(ConsoleScreen):
    """The choosing part of the Matrix screen; every matrix keeps its own choice while the console is open."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf: Shelf | None = None
        self.entry: Entry | None = None
        self.past: Mapping[str, Sequence[Figure]] = {}
        self.shown: frozenset[str] = frozenset()
        self.choices: dict[str, Choice] = {}
        self.listing = False

    @property
    def choice(self) -> Choice | None:
        """What is chosen of the matrix that is shown."""
        return self.choices.get(self.entry.matrix.name) if self.entry is not None else None

    def choose(self, choice: Choice) -> None:
        """Something else is chosen."""
        self.choices[choice.matrix] = choice
        self.redraw()

    @property
    def table(self) -> Grid:
        """The rows of the matrix."""
        return self.query_one("#table", Grid)

    def current_cell(self) -> str | None:
        """The row under the cursor."""
        return self.table.current

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Choosing needs a matrix; there is something to leave in the filter and in the list."""
        if action in _CHOOSES:
            return self.choice is not None
        if action == "copy_run":
            return self.choice is not None and bool(self.choice.ticked)
        if action == "hosts":
            return self.choice is not None and self.world.fleet_file is not None
        if action == "leave":
            filtered = self.choice is not None and bool(self.choice.filter)
            return filtered or self.listing or self.query_one("#filter").display
        return super().check_action(action, parameters)

    # -- which matrix

    def open(self, name: str) -> None:
        """Show a matrix."""
        entry = self.shelf.entry(name) if self.shelf is not None else None
        if entry is None or entry is self.entry:
            return
        fleet = self.world.fleet_file
        self.entry, self.past = entry, {}
        self.app.chosen_matrix = name
        self.choices.setdefault(name, first(entry, fleet.hosts if fleet else ()))
        self._refilter(self.choices[name].filter)

    def on_screen_resume(self) -> None:
        """Seen again: perhaps sent here with a matrix or a host."""
        if self.app.chosen_matrix:
            self.open(self.app.chosen_matrix)
        self.take_wanted_host()
        super().on_screen_resume()

    def take_wanted_host(self) -> None:
        """Sent here to choose what to run on a host: on that one alone."""
        if self.choice is not None:
            host, self.app.wanted_host = self.app.wanted_host, None
            if host is not None:
                self.choices[self.choice.matrix] = msgspec.structs.replace(self.choice, hosts=host)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Another matrix, or another row."""
        if event.grid.id == "list" and event.key and not event.key.startswith("@") and event.grid.has_focus:
            self.open(event.key)
        self.redraw()

    def action_list(self) -> None:
        """To the list and back; where there is no room for both, one takes the place of the other."""
        self.listing = not self.query_one("#list").has_focus
        self.set_class(self.listing, "-listing")
        (self.query_one("#list") if self.listing else self.table).focus()
        self.redraw()

    # -- which rows

    def _refilter(self, text: str) -> bool:
        """Show the rows of an expression; one that cannot be read changes nothing and is said where it is typed."""
        entry, choice = self.entry, self.choice
        if entry is None or choice is None:
            return False
        wrong = ""
        try:
            self.shown = selected(entry.matrix, text)
        except CatalogError as error:
            wrong = str(error)
        else:
            self.choices[choice.matrix] = msgspec.structs.replace(choice, filter=text)
        said = self.query_one("#wrong", Static)
        said.update(Content(wrong))
        said.display = bool(wrong)
        return not wrong

    def action_filter(self) -> None:
        """Type an expression."""
        box = self.query_one("#filter", Input)
        box.value = self.choice.filter if self.choice is not None else ""
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """As you type."""
        self._refilter(event.value.strip())
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the table, the filter stays; not with a mistake in it."""
        if self._refilter(event.value.strip()):
            self.query_one("#filter").display = False
            self.table.focus()
        self.redraw()

    def action_leave(self) -> None:
        """Out of the filter first, then out of the list."""
        box = self.query_one("#filter", Input)
        if box.display or (self.choice is not None and self.choice.filter):
            box.display = False
            box.value = ""
            self._refilter("")
            self.table.focus()
            self.redraw()
        elif self.listing:
            self.action_list()

    def action_tick(self) -> None:
        """The row under the cursor, in or out."""
        cell, choice = self.current_cell(), self.choice
        if cell is not None and choice is not None:
            self.choose(choice.with_ticks([cell], on=cell not in choice.ticked))

    def action_tick_all(self, on: bool) -> None:
        """Every row that is shown."""
        if self.choice is not None:
            self.choose(self.choice.with_ticks(self.shown, on=on))

    # -- where and how

    def action_hosts(self) -> None:
        """Which hosts."""
        from console.tui.screens.matrix.dialogs import ChooseHosts, Taken

        choice, entry, fleet = self.choice, self.entry, self.world.fleet_file
        if choice is None or entry is None or fleet is None:
            return

        def taken(answer: Taken | None) -> None:
            if answer is not None and self.choice is not None:
                self.choose(msgspec.structs.replace(self.choice, hosts=answer.hosts))

        self.app.push_screen(ChooseHosts(fleet, self.world.fleet.hosts(), choice.hosts, entry.hosts), taken)

    def action_image(self) -> None:
        """Under which image."""
        from console.tui.dialogs import Choose

        choice, entry = self.choice, self.entry
        if choice is None or entry is None:
            return

        def taken(name: str | None) -> None:
            if name is not None and self.choice is not None:
                self.choose(msgspec.structs.replace(self.choice, image=name or None))

        options = matrix_rows.image_options(entry)
        self.app.push_screen(Choose("Under which image?", options, choice.image or ""), taken)

    def action_how(self) -> None:
        """Placement, repeats and the rest."""
        from console.tui.screens.matrix.dialogs import ChooseHow

        def taken(choice: Choice | None) -> None:
            if choice is not None:
                self.choose(choice)

        if self.choice is not None:
            self.app.push_screen(ChooseHow(self.choice), taken)
