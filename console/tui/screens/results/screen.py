"""Results: matrix by matrix, what was measured beside its reference, and everything it rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.widgets import Input

from console.desk.sheet_views import Side
from console.tui.keys import Key, bindings
from console.tui.link import Answer
from console.tui.screens.results import export as results_export
from console.tui.screens.results import files as results_files
from console.tui.screens.results import head
from console.tui.screens.results import reading as asks
from console.tui.screens.results import rows as rows_of
from console.tui.screens.results.pick import Pick
from console.tui.screens.results.view import ResultsView
from console.tui.screens.runs.rows import PICK_COLUMNS, pick_row
from console.tui.widgets.filter_box import FilterBox
from console.tui.widgets.grid import Grid, Row

if TYPE_CHECKING:
    from console.desk.history import RunSummary


_KEYS = (
    Key("results.open", "enter", "open", "All of the figure: reference, conditions, reasons, command", "details"),
    Key("results.filter", "slash", "filter", "Filter as you type: words, !word, verdict:below, host:node01", "filter"),
    Key("results.next", "right_square_bracket,right", "sheet(1)", "Next matrix", "next matrix"),
    Key("results.previous", "left_square_bracket,left", "sheet(-1)", "Matrix before"),
    Key("results.runs", "r", "choose_runs", "Choose the run, or several", "runs"),
    Key("results.compare", "c", "compare", "Compare with another run or another host", "compare"),
    Key("results.swap", "s", "swap", "Swap the two sides", "swap sides"),
    Key("results.copy", "y", "copy('.md')", "Copy the rows as Markdown", "copy"),
    Key("results.export", "e", "export", "Write every attempt of the runs to a file", "export"),
    Key("results.log", "l", "log", "The log behind the figure", "log"),
    Key("results.files", "f", "files", "Files kept of it: facts, result file, inspect, log", "files"),
    Key("results.worst", "b", "worst_first", "Worst first, or as published", "worst first"),
    Key("results.unasked", "n", "unasked", "Also rows of the matrix that the run has not", "rows not run"),
    Key("results.live", "w", "live", "Watch it live", "watch"),
    Key("results.copy_csv", "Y", "copy('.csv')", "Copy the rows as CSV"),
    Key("results.leave", "escape", "leave", "Out of the details, the filter, the comparison"),
    Key("results.again", "R", "again", "Read everything again, references too"),
)


class ResultsScreen(ResultsView):
    """One matrix at a time, or two sides of a comparison; what the row under the cursor rests on beside it."""

    NAME = "results"
    ABOUT = (
        "What was measured, matrix by matrix in the order and columns of its source: beside the reference the figure,\n"
        "their ratio (turned so that above 1 is better; the mark in its bar is 100 %), the verdict, the repeats it\n"
        "rests on, and why it does not count where it does not. A failed cell is a row with its cause.\n"
        "Ratios in grey are for orientation only. Two runs, or two hosts, can stand side by side."
    )
    KEYS = _KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with what is shown."""
        figure = self._figure() if self.is_mounted else None
        if action == "open":
            return figure is not None or self._pair() is not None
        if action in ("log", "files"):
            return figure is not None and figure.was_run
        if action == "live":
            return figure is not None and figure.open > 0
        if action == "sheet":
            return self._comparison is None and self._book is not None and len(self._book.sheets) > 1
        if action == "swap":
            return self._comparison is not None
        if action in ("worst_first", "unasked"):
            sheet = self._sheet() if self._comparison is None else None
            return sheet is not None and (action == "worst_first" or bool(sheet.missing))
        if action in ("copy", "export", "compare"):
            return self._book is not None and bool(self._book.sheets)
        if action == "leave":  # else the same key goes back
            filtered = self.query_one(FilterBox).in_use
            return self._zoomed or filtered or self._comparison is not None
        return super().check_action(action, parameters)

    # -- the row

    def action_open(self) -> None:
        """The pane alone, or beside the table again."""
        self._zoom(not self._zoomed)

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """As `open`."""
        self.action_open()

    def action_log(self) -> None:
        """The log behind the figure."""
        figure = self._figure()
        if figure is not None and figure.attempts:
            results_files.which(self, figure.attempts, lambda got: results_files.choose_file(self, got, "log"))

    def action_files(self) -> None:
        """Every file that is kept of it."""
        figure = self._figure()
        if figure is not None and figure.attempts:
            results_files.which(self, figure.attempts, lambda got: results_files.choose_file(self, got))

    def action_live(self) -> None:
        """The attempt that goes on now."""
        figure = self._figure()
        views = [self.world.board.attempt(item.attempt) for item in figure.attempts] if figure is not None else []
        going = [view for view in views if view is not None and view.outcome is None]
        if going:
            self.app.open_attempt(going[0].attempt)
        else:
            self.app.say("nothing of it goes on now")

    # -- which rows

    def action_filter(self) -> None:
        """Type to filter."""
        self.query_one(FilterBox).begin()

    def on_input_changed(self, event: Input.Changed) -> None:
        """As you type."""
        self._shown = self._shown._replace(words=event.value.strip())
        self.redraw()

    def action_leave(self) -> None:
        """Out of the pane, the filter, the comparison."""
        box = self.query_one(FilterBox)
        if self._zoomed:
            self._zoom(False)
        elif box.in_use:
            self._shown = self._shown._replace(words="")
            box.clear_all()
            self.redraw()
        elif self._comparison is not None:
            self._comparison = None
            self.redraw()

    def action_sheet(self, by: int) -> None:
        """Another matrix."""
        if self._book is not None and self._book.sheets:
            self._matrix = self._book.sheets[(self._place() + by) % len(self._book.sheets)].matrix
            self.redraw()

    def on_tabs_picked(self, event: head.Tabs.Picked) -> None:
        """A click on a matrix."""
        if self._book is not None and event.place < len(self._book.sheets):
            self._matrix = self._book.sheets[event.place].matrix
            self.redraw()

    def action_worst_first(self) -> None:
        """Ordered by what is wrong, or as published."""
        self._shown = self._shown._replace(worst_first=not self._shown.worst_first)
        self.redraw()

    def action_unasked(self) -> None:
        """References that no cell of the runs belongs to, or not."""
        self._shown = self._shown._replace(unasked=not self._shown.unasked)
        self.redraw()

    def action_again(self) -> None:
        """Read everything again."""
        self._papers.clear()
        self._error = ""
        self._read()
        self.redraw()

    # -- which runs

    def action_choose_runs(self) -> None:
        """One run or several, from all there are."""

        def ready(answer: Answer) -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
                return
            now_ns = self.world.clock()
            rows = [pick_row(run, now_ns) for run in answer.value]
            window = Pick(
                "Results of which run?", PICK_COLUMNS, rows, several=True, ticked=self._runs if self._runs[1:] else (),
                current=self._runs[0] if self._runs else "", empty="there are no runs",
            )  # fmt: skip
            self.app.push_screen(window, self._chose_runs)

        self.link.work(asks.past(self.link.settings), ready)

    def _chose_runs(self, runs: tuple[str, ...] | None) -> None:
        if runs:
            self._taken = self.app.chosen_run = runs[0]
            self._choose(runs)
            self.redraw()

    def action_compare(self) -> None:
        """Beside another host of these runs, or another run."""

        def ready(answer: Answer) -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
                return
            self._ask_second(answer.value)

        self.link.work(asks.past(self.link.settings), ready)

    def _ask_second(self, past: "tuple[RunSummary, ...]") -> None:
        book = self._book
        if book is None:
            return
        figure = self._figure()
        host = figure.hosts[0] if figure is not None and figure.hosts else next(iter(book.hosts), "")
        now_ns = self.world.clock()
        rows = [
            Row(f"host\x1f{other}", (("host", "dim"), other, (f"beside {host}, in the same run", "dim")))
            for other in book.hosts
            if other != host
        ]
        rows += [pick_row(run, now_ns)._replace(key=f"run\x1f{run.run}") for run in past if run.run not in book.runs]
        named = " and ".join(name for name in dict.fromkeys(rows_of.run_name(item) for item in book.sheets[0].figures))
        window = Pick(
            f"Compare {named} with which run, or {host} with which host?", PICK_COLUMNS, rows,
            empty="there is no other run, and these ran on one host",
        )  # fmt: skip

        def chose(got: tuple[str, ...] | None) -> None:
            if not got:
                return
            kind, _, name = got[0].partition("\x1f")
            if kind == "host":
                a, b = Side(host, book.runs, host), Side(name, book.runs, name)
            else:
                label = next((run.label for run in past if run.run == name), "")
                a, b = Side(named, book.runs), Side(label or name, (name,))
            self._places.pop("\x1f", None)
            self._read_comparison(a, b)

        self.app.push_screen(window, chose)

    def action_swap(self) -> None:
        """A and B change places."""
        if self._comparison is not None:
            self._read_comparison(self._comparison.b, self._comparison.a)

    # -- taking it along

    def action_copy(self, ending: str) -> None:
        """The rows that are shown, with all their columns."""
        settings, words = self.link.settings, self._shown.words
        book, sheet, comparison = self._book, self._sheet(), self._comparison
        kind = {".md": "Markdown", ".csv": "CSV"}[ending]
        if comparison is not None:
            places = [pair.place for pair in self._pairs(comparison)]
            count, asked = len(places), asks.compared(settings, comparison, places, ending)
        elif book is not None and sheet is not None:
            keys = [item.key for item in rows_of.chosen(sheet, self._shown) if item.was_run]
            only = f"rows that match {words!r}" if words else ""
            count, asked = len(keys), asks.copied(settings, book.runs, keys, ending, only)
        else:
            return
        if not count:
            self.app.say("there is no row to copy", error=True)
            return

        def ready(answer: Answer) -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
            else:
                self.app.copy(answer.value, f"{count} rows as {kind}")

        self.link.work(asked, ready)

    def action_export(self) -> None:
        """Every attempt of the runs, or the comparison, to a file."""
        settings, book, comparison = self.link.settings, self._book, self._comparison
        if comparison is not None:
            what, name = f"the comparison of {comparison.a.name} and {comparison.b.name}", "comparison"
            results_export.export(self, what, name, lambda path: asks.save_comparison(settings, comparison, path))
        elif book is not None:
            figures = [item for sheet in book.sheets for item in sheet.figures]
            count = sum(len(item.attempts) for item in figures)
            name = rows_of.run_name(figures[0]) if figures and len(book.runs) == 1 else "results"
            runs = "the run" if len(book.runs) == 1 else f"{len(book.runs)} runs"

            def save(path: Path) -> "asks.Saved":
                return asks.save(settings, book.runs, path)

            results_export.export(self, f"all {count} attempts of {runs}", name, save)
