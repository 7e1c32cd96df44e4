"""Live: what runs now, as fast as it is told: phases, rates beside the reference, GPUs, logs; several side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.widgets import Input

from console.desk.board import AttemptView
from console.model.attempt import Stage
from console.tui.keys import Key, bindings
from console.tui.marks import Span
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.live import rows as live_rows
from console.tui.screens.live.acts import LiveActs
from console.tui.screens.live.pane import SHOWS, LivePane
from console.tui.screens.live.series import METRICS
from console.tui.widgets.grid import Grid
from console.tui.widgets.logs import LogView
from console.tui.world import Changes

if TYPE_CHECKING:
    from console.model.profile import GpuSpec
    from console.tui.link import Answer

_KEYS = (
    Key("live.tick", "space", "tick", "Tick the attempt: up to four ticked ones are shown side by side", "tick"),
    Key("live.zoom", "z", "zoom", "The attempt alone; once more its log alone; once more all again", "zoom"),
    Key("live.search", "slash", "search", "Search the log for a regular expression", "search"),
    Key("live.next", "n", "next(1)", "Next line that matches", ""),
    Key("live.previous", "N", "next(-1)", "Line before that matches", ""),
    Key("live.follow", "f", "follow", "Follow the log's end, or stay", ""),
    Key("live.wrap", "w", "wrap", "Wrap long lines of logs, or cut them off", "wrap"),
    Key("live.stamps", "T", "stamps", "Show when each line of the log came"),
    Key("live.part", "L", "part", "Which log: of the server, the client, a rank", "which log"),
    Key("live.metric", "t", "metric", "Next reading of the GPUs: power, junction, busy …", "readings"),
    Key("live.time", "x", "lately", "The last ten minutes, or the whole time"),
    Key("live.view", "v", "shows", "Plots and log, plots alone, log alone", "view"),
    Key("live.stop", "s", "stop", "Stop the attempt", "stop"),
    Key("live.stop_run", "S", "stop_run", "Stop the attempt's whole run"),
    Key("live.pause", "p", "pause", "Pause the replay; of a run: start nothing new, or go on", "pause"),
    Key("live.retry", "R", "retry", "Try the cell once more"),
    Key("live.slower", "less_than_sign", "speed(-1)", "Replay slower", "slower"),
    Key("live.faster", "greater_than_sign", "speed(1)", "Replay faster", "faster"),
    Key("live.back", "left_square_bracket", "seek(-1)", "Replay: back", "back"),
    Key("live.forth", "right_square_bracket", "seek(1)", "Replay: forth", "forth"),
    Key("live.to_end", "E", "seek(0)", "Replay: to the end"),
    Key("live.all", "a", "all", "Also what is planned and what ended before", "all"),
    Key("live.results", "o", "results", "Results of the attempt's run"),
    Key("live.host", "h", "host", "The attempt's host"),
    Key("live.leave", "escape", "leave", "Out of the search, the zoom, the log"),
    Key("live.copy", "y", "copy", "Copy what is selected in the log, else the lines on the screen"),
)  # fmt: skip


class LiveScreen(LiveActs, ConsoleScreen):
    """Attempts at work, and panes of those that were chosen."""

    NAME = "live"
    ABOUT = (
        "Every attempt at work, and below the one under the cursor, or up to four ticked ones (space): what it does,\n"
        "its rate now and on average beside the reference, what its GPUs do on the same time axis, and its log.\n"
        "Tab goes to the log: it follows the end until one scrolls up; end or G follows again.\n"
        "Attempts that have ended stay while they are ticked, with their outcome and why."
    )
    KEYS = _KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]
    TICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._ticked: list[str] = []
        self._everything = False
        self._zoom = ""
        self._wanted: str | None = None
        self._views: dict[str, AttemptView] = {}
        self._gpus: Mapping[str, GpuSpec] = {}
        self._asked_specs = False
        self._by_itself = True
        self._placed: str | None = None
        self._order: list[str] = []

    def body(self) -> ComposeResult:
        """The table and four panes, of which as many show as are wanted and fit."""
        yield Grid(live_rows.COLUMNS, id="attempts")
        with Container(id="panes"):
            for number in range(live_rows.MOST_PANES):
                yield LivePane(self.link, self.world, id=f"pane{number}")

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.query_one(Grid).focus()

    def on_screen_resume(self) -> None:
        """What another screen wants to be shown."""
        super().on_screen_resume()
        if self.app.chosen_attempt is not None:
            self._wanted, self.app.chosen_attempt = self.app.chosen_attempt, None
            self.bring(self._wanted)

    # -- drawing

    def draw(self, changes: Changes | None) -> None:
        """The table and the panes."""
        now_ns = self.world.clock()
        board = self.world.board
        everything = [view for run in board.runs() for view in board.attempts(run.run)]
        kept = {*self._ticked, *filter(None, (self._wanted, self.query_one(Grid).current))}
        views = live_rows.worth_showing(everything, kept, now_ns, everything=self._everything)
        self._views = {view.attempt: view for view in views}
        labels = {run.run: run.label or run.run for run in board.runs()}
        rows = [
            live_rows.row(view, now_ns, ticked=view.attempt in self._ticked, label=labels.get(view.run, ""))
            for view in views
        ]
        grid = self.query_one(Grid)
        planned = sum(view.outcome is None and view.stage is Stage.PLANNED for view in everything)
        grid.set_rows(rows, empty=live_rows.why_empty(has_runs=bool(everything), waiting=planned))
        self._place_cursor(grid)
        self._ask_specs(views)
        self._draw_panes()

    def _place_cursor(self, grid: Grid) -> None:
        """On what was asked for; else, until a person moves it, on an attempt at work. Always in sight."""
        if self._wanted is not None and grid.move_to(self._wanted):
            self._wanted, self._by_itself = None, False
        current = self._views.get(grid.current or "")
        first = next(iter(self._views.values()), None)
        if self._by_itself and not self._ticked and not self._zoom and current is not None and first is not None:
            over = current.outcome is not None or current.stage is Stage.PLANNED
            if over and first.outcome is None and first.stage is not Stage.PLANNED and self.focused is grid:
                grid.move_to(first.attempt)
        self._placed = grid.current if self._by_itself else self._placed
        keys = list(self._views)
        if keys != self._order and grid.current in self._views:
            self._order = keys
            line, room = keys.index(grid.current), max(1, grid.size.height - 1)
            if not grid.scroll_offset.y <= line < grid.scroll_offset.y + room:
                grid.scroll_to(y=max(0, line - room + 1), animate=False)

    def _draw_panes(self) -> None:
        """Give each pane its attempt, lay them out, draw those that show."""
        shown = [name for name in self._ticked if name in self._views]
        current = self.query_one(Grid).current
        if not shown:
            shown = [current] if current is not None and current in self._views else []
        width, height = self.size.width, self.size.height - 2
        alone = self.pane().attempt if self._zoom else None
        if alone is not None and alone in shown:
            shown = [alone]
        table = 0 if self._zoom else self._table_height(height, bool(shown))
        across, down = live_rows.layout(len(shown), width, height - table)
        if len(shown) > across * down and current in shown[across * down :]:
            shown = [str(current), *(name for name in shown if name != current)]
        shown = shown[: across * down]
        grid, panes = self.query_one("#attempts"), self.query_one("#panes")
        grid.display = not self._zoom
        grid.styles.height = table if shown else "1fr"
        panes.display = bool(shown)
        panes.styles.grid_size_columns, panes.styles.grid_size_rows = across, -(-len(shown) // across) or 1
        for number, pane in enumerate(self.panes):
            pane.display = number < len(shown)
            pane.show(shown[number] if number < len(shown) else None)
        for pane in self.panes[: len(shown)]:
            pane.draw(self._gpus)

    def _table_height(self, height: int, panes: bool) -> int:
        return min(len(self._views) + 1, max(4, height // 5)) if panes else height

    def note(self) -> Span:
        """What is not on the screen though it was ticked."""
        shown = sum(pane.display for pane in self.panes)
        if len(self._ticked) > shown:
            return f"{shown} of {len(self._ticked)} ticked fit", "warn"
        return self.replay_note()

    @property
    def panes(self) -> list[LivePane]:
        """All four, shown or not."""
        return list(self.query(LivePane))

    def pane(self) -> LivePane:
        """The pane that keys are meant for: where the focus is, else of the attempt under the cursor."""
        panes = self.panes
        for pane in panes:
            if pane.display and pane.has_focus_within:
                return pane
        current = self.query_one(Grid).current
        return next((pane for pane in panes if pane.display and pane.attempt == current), panes[0])

    def target(self) -> AttemptView | None:
        """The attempt that keys are meant for."""
        if self.query_one(Grid).has_focus:
            current = self.query_one(Grid).current
            return self.world.board.attempt(current) if current else None
        return self.pane().view

    def _ask_specs(self, views: list[AttemptView]) -> None:
        """What the GPUs can do at best, once something on the screen is to be held against it."""
        if self._asked_specs or not live_rows.wants_specs(views):
            return
        self._asked_specs = True
        settings = self.link.settings

        def read_gpus() -> "Mapping[str, GpuSpec]":
            from console.desk import desk

            return desk.fleet_catalog(settings).gpus

        def told(answer: "Answer") -> None:
            if answer.error is None:
                self._gpus = answer.value

        self.link.work(read_gpus, told)

    def themed(self) -> None:
        """Other colours."""
        super().themed()
        for view in self.query(LogView):
            view.repaint()

    # -- the table and the view

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Another attempt is shown."""
        if event.key != self._placed:
            self._by_itself = False
        if self.is_mounted and self.size.width:
            self._draw_panes()
            self.draw_lines()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """To its log."""
        self.set_focus(self.pane().logs)

    def on_log_view_changed(self, event: LogView.Changed) -> None:
        """Where one is in the log."""
        try:
            event.view.query_ancestor(LivePane).tell_log()
        except NoMatches:
            return

    def on_descendant_focus(self) -> None:
        """Keys are meant for another pane."""
        self.draw_lines()

    def action_tick(self) -> None:
        """Show it beside others, or no more."""
        view = self.target()
        if view is None:
            return
        if view.attempt in self._ticked:
            self._ticked.remove(view.attempt)
        elif len(self._ticked) >= live_rows.MOST_PANES:
            self.app.say(f"{live_rows.MOST_PANES} are ticked; take one away first (space)")
        else:
            self._ticked.append(view.attempt)
        self.redraw()

    def action_all(self) -> None:
        """Planned and old ones too, or not."""
        self._everything = not self._everything
        self.redraw()

    def action_zoom(self) -> None:
        """The pane alone, then its log alone, then everything again."""
        pane = self.pane()
        if not self._zoom:
            self._zoom = "pane"
        elif self._zoom == "pane":
            self._zoom, pane.shows = "log", "log"
        else:
            self._zoom, pane.shows = "", "both"
        self.set_focus(pane.logs if self._zoom else self.query_one(Grid))
        self.redraw()
        self.call_after_refresh(self.redraw)

    def action_shows(self) -> None:
        """Plots and log, plots, log: in every pane."""
        shows = SHOWS[(SHOWS.index(self.pane().shows) + 1) % len(SHOWS)]
        for pane in self.panes:
            pane.shows = shows
        self.redraw()
        self.call_after_refresh(self.redraw)

    def action_metric(self) -> None:
        """The next reading of the GPUs, then none."""
        choices = (*METRICS, None)
        metric = choices[(choices.index(self.pane().metric) + 1) % len(choices)]
        for pane in self.panes:
            pane.metric = metric
        self.redraw()

    def action_lately(self) -> None:
        """The last ten minutes, or all of it."""
        lately = not self.pane().lately
        for pane in self.panes:
            pane.lately = lately
        self.app.say("the last ten minutes" if lately else "the whole time")
        self.redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave only what one is in; the same key then goes back."""
        if action == "leave":
            pane = self.pane()
            reading = pane.logs.reading
            inside = bool(self._zoom) or pane.query_one(Input).display or not self.query_one(Grid).has_focus
            return inside or reading.searching or reading.pattern is not None
        return super().check_action(action, parameters)

    def action_leave(self) -> None:
        """Out of the search, the zoom, the log."""
        pane = self.pane()
        box = pane.query_one(Input)
        if box.display:
            box.display = False
            self.set_focus(pane.logs)
        elif pane.logs.reading.end_search():
            pass
        elif self._zoom:
            self._zoom, pane.shows = "", "both"
            self.set_focus(self.query_one(Grid))
            self.redraw()
        else:
            self.set_focus(self.query_one(Grid))
