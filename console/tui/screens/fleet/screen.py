"""Fleet: every host, what is wrong with it, what its GPUs do and what runs there."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from console.desk.fleet_board import HostView
from console.desk.views import AttemptView
from console.model.finding import State
from console.tui import marks
from console.tui.keys import Key, bindings, reopening, shown
from console.tui.marks import Span
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.fleet import rows as fleet_rows
from console.tui.screens.fleet.detail import detail
from console.tui.screens.fleet.table import FleetTable, host_of
from console.tui.widgets.chrome import SpanLine
from console.tui.widgets.filter_box import FilterBox
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines, para
from console.tui.world import Changes

ROOM_FOR_TOTALS = 20
"""Rows of a screen from which on the line of totals is worth one of them."""

_KEYS = (
    Key("fleet.open", "enter", "open", "Open the host: facts, findings, readings", "open"),
    Key("fleet.filter", "slash", "filter", "Filter as you type: words, !word, @group, state:fail", "filter"),
    Key("fleet.leave_filter", "escape", "leave_filter", "Leave the filter: all hosts again"),
    Key("fleet.sort", "s", "sort(1)", "Sort by the next column", "sort"),
    Key("fleet.sort_back", "S", "sort(-1)", "Sort by the column before"),
    Key("fleet.bad_first", "b", "bad_first", "Bad hosts first, or the fleet file's order again", "bad first"),
    Key("fleet.group", "o", "group", "Group by the groups of the fleet file", "group"),
    Key("fleet.again", "r", "again", "Look at the host again now", "look again"),
    Key("fleet.all_again", "R", "all_again", "Look at every host again now"),
    Key("fleet.run", "m", "run_here", "Choose a matrix to run"),
    Key("fleet.live", "l", "live", "What runs on this host, live"),
    Key("fleet.copy", "y", "copy", "Copy the table as Markdown"),
)


class FleetScreen(ConsoleScreen):
    """A row per host."""

    NAME = "fleet"
    ABOUT = (
        "Every host of the fleet file: whether it answers, its GPUs (one column each: how busy, how full, in bars),\n"
        "power, the hottest junction, driver and BIOS, its health against its profile, and what runs there now.\n"
        "A host that does not answer says since when and when it is tried again."
    )
    KEYS = _KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]
    TICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._view = FleetTable()
        self._work: dict[str, list[AttemptView]] = {}
        self._about: str | None = None

    def body(self) -> ComposeResult:
        """The totals, a filter that shows while it is used, the table, and the host under the cursor."""
        yield SpanLine(id="totals")
        yield FilterBox("words, !word, @group, state:fail", lambda: self.query_one(Grid))
        with Container(id="split"):
            yield Grid(fleet_rows.COLUMNS, id="fleet")
            yield Lines(id="detail")

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.query_one(Grid).focus()

    def draw(self, changes: Changes | None) -> None:
        """All rows; the table paints only cells that differ."""
        if changes is not None and not (changes.hosts or changes.attempts or changes.runs or changes.time):
            self._draw_totals()
            return
        if changes is None or changes.attempts or changes.runs:
            self._work = {}
            for view in self.world.active():
                for host in view.hosts if view.placed else ():
                    self._work.setdefault(host, []).append(view)
        grid = self.query_one(Grid)
        rows = self._view.rows(self.world.fleet.hosts(), self._work, self.world.clock())
        self._share_room(len(rows))
        grid.set_columns(fleet_rows.columns(grid.size.width))
        grid.set_rows(rows, empty=self._why_empty())
        grid.show_sorted(self._view.sort, down=self._view.down)
        self._draw_totals()
        self._draw_detail()

    def _share_room(self, rows: int) -> None:
        """Below the table the pane gets what the hosts leave; beside it both are as high as the screen."""
        totals = self.query_one("#totals")
        totals.display = self.size.height >= ROOM_FOR_TOTALS
        height = self.query_one("#split").size.height
        wanted = None if self.has_class("-vast") or not self.has_class("-high") else min(rows + 2, height * 6 // 10)
        grid = self.query_one(Grid)
        if not rows:
            wanted = None  # room to say why
        current = grid.styles.inline.height
        if (int(current.value) if current is not None else None) != wanted:
            grid.styles.height = wanted

    def _draw_totals(self) -> None:
        running = len({view.attempt for views in self._work.values() for view in views})
        totals = self.world.fleet.totals()
        parts = list(fleet_rows.totals(totals, running)) if totals.hosts else []
        if self.world.problem:
            # a message at the edge is soon gone, what is wrong is not
            first = self.world.problem.partition("\n")[0]
            parts = [(f" {marks.HEALTH[State.FAIL].glyph} {first}  ", "fail"), *parts]
        self.query_one("#totals", SpanLine).set_parts(parts)

    def _draw_detail(self) -> None:
        pane = self.query_one(Lines)
        if not pane.display:
            return
        host = self._current()
        if host is None:
            pane.show((para("no host under the cursor", "dim"),))
            return
        again = next(shown(key, self.app.changed_keys) for key in _KEYS if key.id == "fleet.again")
        health, work = self.world.fleet.health(host.name), self._work.get(host.name, ())
        lines = detail(host, health, work, self.world.clock(), again)
        pane.show(lines, top=host.name != self._about)
        self._about = host.name

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """The pane follows the cursor, the keys what can be done with that host."""
        self._draw_detail()
        self.draw_lines()

    def _why_empty(self) -> str:
        if self.world.why_no_fleet:
            key = reopening(self.app.changed_keys)
            return (
                f"{self.world.why_no_fleet}\n{key} reads it again.\n\n"
                "`instinct demo` shows the console on simulated hosts."
            )
        if self._view.filter:
            return f"No host matches {self._view.filter!r}.\nesc clears the filter."
        return "The fleet file has no hosts.\n`instinct hosts add` adds some."

    def note(self) -> Span:
        """The filter, how many hosts it leaves, and the order."""
        return self._view.note(len(self.world.fleet.hosts())), "accent"

    # -- keys

    def _to_host(self, name: str | None) -> None:
        """The cursor on a host, or on the first one: a group's heading opens nothing."""
        grid = self.query_one(Grid)
        keys = {host_of(row.key): row.key for row in reversed(grid.rows) if host_of(row.key)}
        key = keys.get(name) or next(reversed(keys.values()), None)
        if key is not None:
            grid.move_to(key)

    def _current(self) -> HostView | None:
        name = host_of(self.query_one(Grid).current)
        return self.world.fleet.host(name) if name else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the host under the cursor."""
        if action in ("open", "again"):
            return self._current() is not None
        if action == "live":
            host = self._current()
            return host is not None and bool(self.world.on_host(host.name))
        if action == "run_here":
            return not self.world.read_only
        if action == "leave_filter":
            return self.query_one(FilterBox).in_use
        return super().check_action(action, parameters)

    def action_open(self) -> None:
        """The host's own screen."""
        host = self._current()
        if host is not None:
            self.show_host(host.name)

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """As `open`."""
        self.action_open()

    def on_grid_heading(self, event: Grid.Heading) -> None:
        """A click sorts, another turns it around."""
        self._view.sort_by(event.column)
        self.redraw()

    def action_sort(self, by: int) -> None:
        """Another column."""
        self._view.sort_next(by)
        self.redraw()

    def action_bad_first(self) -> None:
        """The worst first."""
        bad_first = self._view.bad_first()
        self.redraw()
        if bad_first:
            self.query_one(Grid).action_edge(-1)

    def action_group(self) -> None:
        """By group, or not."""
        before = self._current()
        self._view.grouped = not self._view.grouped
        self.redraw()
        self._to_host(before.name if before else None)

    def action_filter(self) -> None:
        """Type to filter."""
        self.query_one(FilterBox).begin()

    def on_input_changed(self, event: Input.Changed) -> None:
        """As you type."""
        self._view.filter = event.value.strip()
        self.redraw()
        if self._current() is None:
            self._to_host(None)

    def action_leave_filter(self) -> None:
        """All hosts again."""
        self._view.filter = ""
        self.query_one(FilterBox).clear_all()
        self.redraw()

    def action_again(self) -> None:
        """Survey the host now."""
        host = self._current()
        if host is not None:
            self.link.look_again(host.name)
            self.app.say(f"looking at {host.name} again")

    def action_all_again(self) -> None:
        """Survey every host now."""
        self.link.look_again()
        self.app.say("looking at every host again")

    def action_run_here(self) -> None:
        """To the matrices."""
        host = self._current()
        self.app.wanted_host = host.name if host else None
        self.app.action_go("matrix")

    def action_live(self) -> None:
        """The first attempt on the host."""
        host = self._current()
        if host is not None:
            for view in self.world.on_host(host.name)[:1]:
                self.app.open_attempt(view.attempt)

    def action_copy(self) -> None:
        """The rows that are shown, as Markdown."""
        grid = self.query_one(Grid)
        self.app.copy(
            fleet_rows.markdown(grid.rows, simulated=self.world.simulated), f"{len(grid.rows)} hosts as Markdown"
        )
