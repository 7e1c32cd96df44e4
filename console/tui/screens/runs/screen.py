"""Runs: everything that was run from this store and everything that runs now, and what to do about it."""

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widgets import Input

from console.model.attempt import Stage
from console.tui.keys import Key, bindings, shown
from console.tui.link import Answer
from console.tui.marks import Span
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.results import export as results_export
from console.tui.screens.results import reading as asks
from console.tui.screens.runs import acts as runs_acts
from console.tui.screens.runs import rows as runs_rows
from console.tui.screens.runs.detail import detail
from console.tui.screens.runs.rows import Now, RunTable
from console.tui.widgets.chrome import SpanLine
from console.tui.widgets.filter_box import FilterBox
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines, para
from console.tui.world import Changes

if TYPE_CHECKING:
    from console.desk.history import RunSummary

_KEYS = (
    Key("runs.open", "enter", "open", "Results of the run", "results"),
    Key("runs.watch", "w", "watch", "Watch it live, whoever started it", "watch"),
    Key("runs.resume", "u", "resume", "Resume a run that was left or killed", "resume"),
    Key("runs.stop", "x", "stop", "Stop the run", "stop"),
    Key("runs.clean", "c", "clean", "Clean: look what ended runs left on the hosts, and remove it", "clean"),
    Key("runs.export", "e", "export", "Write its results to a file", "export"),
    Key("runs.filter", "slash", "filter", "Filter as you type: words, !word, state:left", "filter"),
    Key("runs.details", "d", "details", "All of the run, or the table again", "details"),
    Key("runs.leave", "escape", "leave", "Out of the details, out of the filter"),
    Key("runs.replay", "R", "replay", "Copy the command that plays it again"),
    Key("runs.copy", "y", "copy", "Copy the run's id"),
)
SOON_S = 1.0
"""Runs that change are read together, at most this often."""
PANE_LINES = 12
"""What the pane needs below the table to say anything."""
LOOK_S = 5
"""How often open runs are looked at again: a conductor that died says nothing."""


class RunsScreen(ConsoleScreen):
    """A row per run, the newest first."""

    NAME = "runs"
    ABOUT = (
        "Every run of this store, the newest first: how it stands, how much of it is done, when it was opened and why\n"
        "it ended. A run that was `left` has open attempts and nobody who conducts it; resume carries it on where it\n"
        "stands, from any console. Leaving the console leaves runs alone: they are processes of their own."
    )
    KEYS = _KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]
    TICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, RunSummary] = {}
        self._table = RunTable()
        self._changed: set[str] = set()
        self._soon: Timer | None = None
        self._reading = False
        self._anew = False
        self._read = False
        self._error = ""
        self._beats = 0
        self._about = ""
        self._zoomed = False

    def body(self) -> ComposeResult:
        """How many there are; the table; the run under the cursor."""
        yield SpanLine(id="totals")
        yield FilterBox("words, !word, state:left", lambda: self.query_one(Grid))
        with Container(id="split"):
            yield Grid(runs_rows.COLUMNS, id="runs")
            yield Lines(id="detail")

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.query_one(Grid).focus()

    # -- reading

    def draw(self, changes: Changes | None) -> None:
        """The runs as they were read last; those that go on as the board has them."""
        if changes is None or changes.runs:
            self._wish(changes.runs if changes is not None and self._read else None)
        elif changes.time:
            self._beats += 1
            if self._beats % LOOK_S == 0:
                self._wish([run.run for run in self._runs.values() if run.closed_at_ns is None])
        self._show()

    def _wish(self, runs: Collection[str] | None) -> None:
        """Read these runs soon; None: all of them, at once."""
        if runs is None:
            self._ask(None)
            return
        self._changed.update(runs)
        if self._changed and self._soon is None:
            self._soon = self.set_timer(SOON_S, self._read_changed)

    def _read_changed(self) -> None:
        self._soon = None
        if self._changed:
            wanted, self._changed = self._changed, set()
            self._ask(wanted)

    def _ask(self, only: Collection[str] | None) -> None:
        if self._reading:
            if only is None:
                self._anew = True  # what is being read may be of some runs, or older than what is to be shown
            else:
                self._wish(only)
            return
        self._reading = True

        def ready(answer: Answer) -> None:
            self._reading = False
            self._error = answer.error or ""
            if answer.error is None:
                self._have(answer.value, whole=only is None)
            self._show()
            self.draw_lines()
            if self._anew:
                self._anew = False
                self._ask(None)

        self.link.work(asks.past(self.link.settings, only), ready)

    def _have(self, runs: "tuple[RunSummary, ...]", *, whole: bool) -> None:
        self._read = True
        known = {} if whole else self._runs
        new = any(run.run not in known for run in runs)
        known.update((run.run, run) for run in runs)
        if new and not whole:
            known = {run.run: run for run in sorted(known.values(), key=lambda run: run.opened_at_ns, reverse=True)}
        self._runs = known

    # -- showing

    def _show(self) -> None:
        grid, board = self.query_one(Grid), self.world.board
        rows = self._table.rows(self._runs.values(), board.run, self.world.clock())
        grid.set_rows(rows, empty=self._why_empty())
        totals = self.query_one("#totals", SpanLine)
        totals.display = bool(self._runs)
        totals.set_parts(runs_rows.totals(tuple(self._runs.values()), board.run))
        self._share_room(len(rows))
        self._show_detail()

    def _share_room(self, rows: int) -> None:
        """Below the table the pane gets what the rows leave, and nothing where that is too little."""
        grid, room = self.query_one(Grid), self.query_one("#split").size.height
        vast, high = self.has_class("-vast"), self.has_class("-high")
        fits = rows + 2 <= room - PANE_LINES
        self.set_class(vast or high or fits, "-paned")
        wanted = None if vast or not (high or fits) else max(4, min(rows + 2, room - PANE_LINES))
        current = grid.styles.inline.height
        if (int(current.value) if current is not None else None) != wanted:
            grid.styles.height = wanted

    def _show_detail(self) -> None:
        pane = self.query_one(Lines)
        run = self._current()
        if not pane.display:
            return
        if run is None:
            pane.show((para("no run under the cursor", "dim"),) if self._runs else ())
            return
        view = self.world.board.run(run.run)
        keys = {key.action: shown(key, self.app.changed_keys) for key in _KEYS}
        lines = detail(run, self._standing(run), view, self.world.clock(), keys, may_act=self._may_act())
        pane.show(lines, top=run.run != self._about)
        self._about = run.run

    def _why_empty(self) -> str:
        if self._error:
            return f"The runs cannot be read: {self._error}"
        if not self._read:
            return "reading the runs …"
        if self._table.filter:
            return f"No run matches {self._table.filter!r}.\nesc clears the filter."
        return f"Nothing was run yet from {self.link.settings.store.value}.\nThe Matrix screen (3) starts runs."

    def note(self) -> Span:
        """The filter and how many runs it leaves."""
        if not self._table.filter:
            return "", ""
        return f"{self._table.shown} of {len(self._runs)} runs match {self._table.filter}", "accent"

    # -- the run under the cursor

    def _current(self) -> "RunSummary | None":
        key = self.query_one(Grid).current
        return self._runs.get(key) if key else None

    def _standing(self, run: "RunSummary") -> Now:
        return runs_rows.now(run, self.world.board.run(run.run))

    def _may_act(self) -> bool:
        return not self.world.read_only and not self.world.replaying

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with that run."""
        if action not in ("open", "watch", "resume", "stop", "clean", "export", "details", "replay", "copy", "leave"):
            return super().check_action(action, parameters)
        if action == "leave":  # else the same key goes back
            return self._zoomed or self.query_one(FilterBox).in_use
        if action == "clean":
            return self._may_act() and self.world.fleet_file is not None
        run = self._current() if self.is_mounted else None
        if run is None:
            return False
        standing = self._standing(run)
        over = standing.state in ("finished", "stopped", "ended")
        if action == "watch":
            return not over
        if action == "resume":
            return self._may_act() and (not over or standing.open > 0)
        if action == "stop":
            return self._may_act() and not over and standing.state != "stopping"
        return action not in ("export", "replay") or standing.ended > 0

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """The pane follows the cursor, the keys what can be done with that run."""
        self._show_detail()
        self.draw_lines()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """As `open`."""
        self.action_open()

    def action_open(self) -> None:
        """Its results."""
        run = self._current()
        if run is not None:
            self.app.open_run(run.run)

    def action_watch(self) -> None:
        """Its attempts live, also those that another console started."""
        run = self._current()
        if run is None:
            return
        self.app.chosen_run = run.run
        if self.world.board.run(run.run) is None:
            self.link.load(run.run)
        going = [view for view in self.world.board.attempts(run.run) if view.outcome is None]
        at_work = [view for view in going if view.stage is not Stage.PLANNED]
        for view in (at_work or going)[:1]:
            self.app.open_attempt(view.attempt)
            return
        self.app.action_go("live")

    def action_resume(self) -> None:
        """A conductor for it."""
        run = self._current()
        if run is not None:
            runs_acts.resume(self, run, self._standing(run))

    def action_stop(self) -> None:
        """End it, when it was meant so."""
        run = self._current()
        if run is not None:
            runs_acts.stop(self, run, self._standing(run))

    def action_clean(self) -> None:
        """What ended runs left on the hosts."""
        runs_acts.clean(self)

    def action_export(self) -> None:
        """Its results to a file."""
        run, settings = self._current(), self.link.settings
        if run is not None:
            name, what = run.label or run.run, f"the results of {run.run} {run.label}".rstrip()
            results_export.export(self, what, name, lambda path: asks.save(settings, (run.run,), path))

    def action_replay(self) -> None:
        """The command that plays it again."""
        run = self._current()
        if run is not None:
            self.app.copy(f"instinct watch {run.run} --replay 20x\n", "the command that plays it again")

    def action_copy(self) -> None:
        """Its id."""
        run = self._current()
        if run is not None:
            self.app.copy(run.run, f"{run.run}")

    # -- which runs

    def action_details(self) -> None:
        """The pane alone, or the table again."""
        self._zoom(not self._zoomed)

    def _zoom(self, alone: bool) -> None:
        self._zoomed = alone
        self.set_class(alone, "-zoomed")
        self.query_one(Lines if alone else Grid).focus()
        self.call_after_refresh(self.redraw)

    def action_filter(self) -> None:
        """Type to filter."""
        self.query_one(FilterBox).begin()

    def on_input_changed(self, event: Input.Changed) -> None:
        """As you type."""
        self._table.filter = event.value.strip()
        self._show()
        self.draw_lines()

    def action_leave(self) -> None:
        """Out of the pane, then of the filter."""
        box = self.query_one(FilterBox)
        if self._zoomed:
            self._zoom(False)
        elif box.in_use:
            self._table.filter = ""
            box.clear_all()
            self._show()
            self.draw_lines()
