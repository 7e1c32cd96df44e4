"""Matrix: the published tables, what of them to run where, and how that stands."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from console.desk.matrices import Entry, Shelf
from console.fleet.host import FleetError
from console.fleet.selection import select
from console.tui.keys import Key, bindings
from console.tui.marks import Span
from console.tui.screens.matrix import detail as matrix_detail
from console.tui.screens.matrix import lines as matrix_lines
from console.tui.screens.matrix import plan as matrix_plan
from console.tui.screens.matrix import rows as matrix_rows
from console.tui.screens.matrix import work as matrix_work
from console.tui.screens.matrix.acts import MatrixActs
from console.tui.screens.matrix.choice import Choice, command, request
from console.tui.widgets.chrome import SpanLine
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import BLANK, Lines, Para
from console.tui.world import Changes

if TYPE_CHECKING:
    from console.desk.views import AttemptView
    from console.runs.by_hand import ByHand
    from console.runs.plan import PlannedAttempt
    from console.tui.link import Answer

_KEYS = (
    Key("matrix.tick", "space", "tick", "Tick or untick the row", "tick"),
    Key("matrix.plan", "p", "plan", "Plan: ask the hosts what would run, how long, what is in the way", "plan"),
    Key("matrix.start", "x", "start", "Start what is ticked, after a plan and a question", "start"),
    Key("matrix.hosts", "h", "hosts", "On which hosts", "hosts"),
    Key("matrix.image", "i", "image", "Under which image", "image"),
    Key("matrix.how", "o", "how", "How: each or spread, repeats, busy hosts, accepted checks, label", "options"),
    Key("matrix.pause", "P", "pause", "Pause the run (nothing new starts), or go on", "pause"),
    Key("matrix.stop", "s", "stop", "Stop the attempts of the row", "stop"),
    Key("matrix.stop_run", "S", "stop_run", "Stop the whole run"),
    Key("matrix.retry", "r", "retry", "Try the row again", "again"),
    Key("matrix.retry_run", "R", "retry_run", "Try everything of the run again that has no figure that counts"),
    Key("matrix.view", "v", "view", "The row or the plan in the lower pane", "row/plan"),
    Key("matrix.list", "m", "list", "To the matrices and back", "matrices"),
    Key("matrix.filter", "slash", "filter", "Show some rows: model~70B and output_len==2048", "filter"),
    Key("matrix.leave", "escape", "leave", "Out of the filter: every row again; out of the list"),
    Key("matrix.all", "a", "tick_all(True)", "Tick every row that is shown", "all"),
    Key("matrix.none", "n", "tick_all(False)", "Untick every row that is shown", "none"),
    Key("matrix.live", "l", "live", "What runs of this row, live"),
    Key("matrix.copy", "y", "copy", "Copy what a person would type on the hosts for the row"),
    Key("matrix.copy_run", "Y", "copy_run", "Copy the `instinct run` that does the same"),
)


class MatrixScreen(MatrixActs):
    """The matrices at the left, one of them as a table, under it its row or the plan."""

    NAME = "matrix"
    ABOUT = (
        "Every published table, and your own, in the columns of its source. Tick rows, choose hosts and an image,\n"
        "plan: hosts are asked; the plan says how many attempts, how long, what preflight found, the exact commands.\n"
        "Start opens a run that goes on without the console. The last columns say what runs now and what was measured\n"
        "last; a * at a published figure marks an erratum of that row. The filter takes the expressions of --only."
    )
    KEYS = _KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]
    TICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._problem = ""
        self._lower = "row"
        self._under = ""
        self._ended: tuple[str, int] = ("", -1)
        self._paper: dict[object, PlannedAttempt | str] = {}
        self._run_shown: tuple[object, Sequence[Para], object] = (None, (), None)
        self._layout: tuple[tuple[str, int, bool], matrix_rows.Layout] | None = None
        self._drop_past: Callable[[], None] = lambda: None

    def body(self) -> ComposeResult:
        """The list, and at its right the table over the lower pane."""
        with Horizontal(id="split"):
            yield Grid(matrix_rows.LIST, id="list", empty="reading the profiles …")
            with Vertical(id="main"):
                yield SpanLine(id="title")
                yield Input(placeholder="rows: model~70B and output_len==2048", id="filter", classes="filter")
                yield Static(id="wrong")
                yield Grid((), id="table", empty="reading the profiles …")
                yield SpanLine(id="chosen")
                with Horizontal(id="lower"):
                    yield Lines(id="row")
                    yield Lines(id="plan")

    def on_mount(self) -> None:
        """Profiles are read beside the screen."""
        self.query_one("#filter").display = False
        self.query_one("#wrong").display = False
        self.table.focus()
        settings, fleet = self.link.settings, self.world.fleet_file

        def read_shelf() -> Shelf:
            from console.desk import matrices

            return matrices.shelf(settings, fleet)

        self.link.work(read_shelf, self._shelved)

    def _shelved(self, answer: "Answer") -> None:
        self._problem = answer.error or ""
        if answer.error is None:
            shelf: Shelf = answer.value
            self.shelf = shelf
            names = [entry.matrix.name for entry in shelf.entries]
            running = [run.matrices[0] for run in self.world.open_runs() if run.matrices]
            start = next((name for name in (self.app.chosen_matrix, *running, *names) if name in names), None)
            if start is not None:
                self.open(start)
                self.take_wanted_host()
        self.redraw()

    # -- drawing

    def draw(self, changes: Changes | None) -> None:
        """Everything; grids and lines paint only what differs."""
        if not self.is_attached or (changes is not None and not (changes.attempts or changes.runs or changes.time)):
            return
        entry, choice = self.entry, self.choice
        self._draw_list()
        if entry is None or choice is None:
            why = self._problem or ("reading the profiles …" if self.shelf is None else "no matrix in the profiles")
            self.table.set_rows((), empty=why)
            return
        self._read_past(entry)
        work = self.work_here()
        self._draw_table(entry, choice, work)
        run = self.run_here()
        self.query_one("#title", SpanLine).set_parts(*matrix_lines.title(entry, len(self.table.rows), run))
        self.query_one("#chosen", SpanLine).set_parts(
            matrix_lines.chosen(choice, entry, self._host_count(choice), self.planning)
        )
        self._draw_lower(entry, choice, work)

    def _draw_list(self) -> None:
        running = {matrix for run in self.world.open_runs() for matrix in run.matrices}
        ticked = {name: len(choice.ticked) for name, choice in self.choices.items()}
        entries = self.shelf.entries if self.shelf is not None else ()
        grid = self.query_one("#list", Grid)
        grid.set_rows(matrix_rows.list_rows(entries, running, ticked), empty=self._problem)
        if self.entry is not None and not grid.has_focus:
            grid.move_to(self.entry.matrix.name)

    def _draw_table(self, entry: Entry, choice: Choice, work: "Mapping[str, Sequence[AttemptView]]") -> None:
        run = self.run_here()
        paused = run is not None and run.paused and run.closed_at_ns is None
        stands = {
            cell.id: matrix_rows.stand(work.get(cell.id, ()), self.past.get(cell.id, ()), paused=paused)
            for cell in entry.matrix.cells
        }
        plan = self.planning.digest if self.planning.about(choice) else None
        plans = plan.marks if plan is not None else None
        grid = self.table
        room = grid.size.width or self.size.width
        fitted = (entry.matrix.name, room, self.world.simulated)
        if self._layout is None or self._layout[0] != fitted:
            self._layout = fitted, matrix_rows.layout(entry, room, simulated=self.world.simulated)
        layout = self._layout[1]
        grid.set_columns(layout.columns)
        empty = f"no row matches {choice.filter!r}; esc shows all"
        rows = matrix_rows.table_rows(entry, layout.texts, self.shown, choice.ticked, stands, plans)
        grid.set_rows(rows, empty=empty)
        height = min(len(grid.rows) + 2, max(6, (self.size.height - 5) * 3 // 5))
        if grid.styles.height is None or grid.styles.height.value != height:
            grid.styles.height = height

    def _draw_lower(self, entry: Entry, choice: Choice, work: "Mapping[str, Sequence[AttemptView]]") -> None:
        self.set_class(self._lower == "plan", "-plan")
        now_ns, name = self.world.clock(), self.current_cell()
        cell = entry.cell(name) if name is not None else None
        made: list[Para] = []
        if cell is not None:
            made = matrix_detail.cell_paras(entry, cell, work.get(cell.id, ()), self.past.get(cell.id, ()), now_ns)
            made += self._run_paras(choice, cell.id)
        key = f"{choice.matrix} {name}"
        self.query_one("#row", Lines).show([*made, BLANK, *matrix_detail.about_paras(entry)], top=key != self._under)
        self._under = key
        asked = command(request(choice, entry), self.link.settings)
        self.query_one("#plan", Lines).show(matrix_lines.plan_pane(choice, self.planning, asked, now_ns))

    def _host_count(self, choice: Choice) -> int | str:
        fleet = self.world.fleet_file
        if fleet is None:
            return "no fleet file: on paper only"
        try:
            return len(select(fleet, choice.hosts))
        except FleetError as error:
            return str(error)

    def note(self) -> Span:
        """The filter in force."""
        if self.choice is None or not self.choice.filter:
            return "", ""
        return f"rows: {self.choice.filter}", "accent"

    # -- what is read beside the screen

    def _read_past(self, entry: Entry) -> None:
        """Figures of earlier runs, again whenever an attempt has ended."""
        name = entry.matrix.name
        state = (name, matrix_work.ended(self.world.board, name))
        if state == self._ended:
            return
        self._ended = state
        settings = self.link.settings

        def read_figures() -> object:
            from console.desk import matrices

            return matrices.latest(settings, name)

        def read(answer: "Answer") -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
            elif self.entry is entry:
                self.past = answer.value
                self.redraw()

        self._drop_past()
        self._drop_past = self.link.work(read_figures, read)

    def _groups(self, choice: Choice, cell: str) -> "Sequence[Sequence[PlannedAttempt]]":
        """The row's part of the plan, while the plan is of this choice."""
        planned = self.planning.planned if self.planning.about(choice) else None
        return matrix_plan.attempts_of(planned, cell) if planned is not None else ()

    def _on_paper(self, choice: Choice, cell: str) -> "PlannedAttempt | str | None":
        """The row as it would run on the matrix' own kind of server; worked out once for each image and change."""
        key = (choice.matrix, cell, choice.image, choice.changes)
        entry, shelf = self.entry, self.shelf
        if key in self._paper or entry is None or shelf is None:
            return self._paper.get(key)
        asked, catalog = request(choice, entry), shelf.catalog

        def on_paper() -> object:
            from console.desk import matrices

            return matrices.on_paper(catalog, entry.matrix, cell, asked)

        def made(answer: "Answer") -> None:
            self._paper[key] = answer.error if answer.error is not None else answer.value
            self.redraw()

        self._paper[key] = ""
        self.link.work(on_paper, made)
        return None

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the row under the cursor."""
        if action == "live":
            return any(view.outcome is None for view in self.of_cell())
        if action == "copy":
            return bool(self._command())
        return super().check_action(action, parameters)

    def _run_paras(self, choice: Choice, cell: str) -> Sequence[Para]:
        """What exactly would run; worked out again only when there is another plan, another row or another image."""
        planned = self.planning.planned if self.planning.about(choice) else None
        paper = self._on_paper(choice, cell)
        key = (choice.matrix, cell, id(planned), id(paper))
        if key != self._run_shown[0]:  # with the two themselves, so that their ids are not given to others
            self._run_shown = key, matrix_lines.run_pane(self._groups(choice, cell), paper, _hands), (planned, paper)
        return self._run_shown[1]

    def _command(self) -> "Sequence[ByHand]":
        choice, cell = self.choice, self.current_cell()
        if choice is None or cell is None:
            return ()
        paper = self._paper.get((choice.matrix, cell, choice.image, choice.changes))
        planned = [group[0] for group in self._groups(choice, cell)]
        attempts = planned or ([paper] if paper is not None and not isinstance(paper, str) else [])
        return [hand for attempt in attempts for hand in _hands(attempt)]

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """From the list to the table; in the table as `start`."""
        if event.grid.id == "list":
            self.action_list()
        elif self.check_action("start", ()):
            self.action_start()

    def action_view(self) -> None:
        """The other of row and plan."""
        self._lower = "plan" if self._lower == "row" else "row"
        self.redraw()

    def show_plan(self, *, on: bool = True) -> None:
        """The plan in the lower pane, or the row."""
        self._lower = "plan" if on else "row"

    def action_live(self) -> None:
        """The first open attempt of the row."""
        for view in [view for view in self.of_cell() if view.outcome is None][:1]:
            self.app.open_attempt(view.attempt)

    def action_copy(self) -> None:
        """The commands of the row."""
        hands = self._command()
        if hands:
            self.app.copy(matrix_plan.command_text(hands), "what one would type for this row")


def _hands(attempt: "PlannedAttempt") -> "Sequence[ByHand]":
    from console.runs.by_hand import by_hand

    return by_hand(attempt.launch) if attempt.launch is not None else ()
