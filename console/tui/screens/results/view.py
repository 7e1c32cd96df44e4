"""Reading and showing results: what the Results screen does before any key is pressed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer

from console.desk.sheet_views import Book, Comparison, Figure, Pair, Sheet, Side
from console.tui.link import Answer
from console.tui.marks import Span
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.results import head
from console.tui.screens.results import pairs as pairs_of
from console.tui.screens.results import reading as asks
from console.tui.screens.results import rows as rows_of
from console.tui.screens.results.detail import detail, pair_detail
from console.tui.screens.results.rows import Shown
from console.tui.widgets.chrome import SpanLine
from console.tui.widgets.filter_box import FilterBox
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines, para
from console.tui.world import Changes

if TYPE_CHECKING:
    from console.desk.papers import Paper

AGAIN_S = 1.0
"""Attempts may end faster than tables are worth reading."""
BESIDE = 190
"""Cells from which on the pane stands beside the table; with fewer a row would lose what it is about."""
PANE_LINES = 8
"""What the pane needs below the table to say anything."""
PAPERS = 40
"""Attempts whose papers are remembered."""


_COMPARED = "\x1f"
"""Stands among the names of matrices for the comparison."""


class ResultsView(ConsoleScreen):
    """A book of results, one sheet of it, or a comparison; and the pane of the row under the cursor."""

    def __init__(self) -> None:
        super().__init__()
        self._runs: tuple[str, ...] = ()
        self._taken: str | None = None
        self._book: Book | None = None
        self._comparison: Comparison | None = None
        self._error = ""
        self._reading = False
        self._nothing = False
        self._told = 0
        self._read_as: tuple[object, ...] = ()
        self._again: Timer | None = None
        self._matrix = ""
        self._shown = Shown()
        self._places: dict[str, str] = {}
        self._papers: dict[str, Paper | str] = {}
        self._looking = False
        self._about = ""
        self._zoomed = False

    def body(self) -> ComposeResult:
        """Matrices, runs, what the rows add up to; the table; what the row under the cursor rests on."""
        yield head.Tabs(id="matrices")
        yield SpanLine(id="runs")
        yield SpanLine(id="sheet")
        yield SpanLine(id="said")
        yield FilterBox("words, !word, verdict:below, host:node01", lambda: self.query_one(Grid))
        with Container(id="split"):
            yield Grid((), id="figures")
            yield Lines(id="detail")

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.query_one(Grid).focus()

    def _zoom(self, alone: bool) -> None:
        """The pane in place of the table, or the table and, where there is room, the pane beside it."""
        self._zoomed = alone
        self.set_class(alone, "-zoomed")
        self.query_one(Lines if alone else Grid).focus()
        self.call_after_refresh(self.redraw)

    # -- reading

    def draw(self, changes: Changes | None) -> None:
        """The table as it was read last; it is read again when an attempt of these runs has ended."""
        if changes is not None and not (changes.runs or changes.attempts):
            return
        if changes is not None and changes.runs:
            self._told += 1
        chosen = self.app.chosen_run
        if chosen is not None and chosen != self._taken:
            self._taken = chosen
            self._choose((chosen,))
        elif self._book is None:
            if not self._nothing:
                self._read()
            elif changes is not None and changes.runs:
                self._read_soon()
        elif self._ends() != self._read_as:
            self._read_soon()
        self._show()

    def _choose(self, runs: Sequence[str]) -> None:
        self._runs, self._book, self._comparison, self._error = tuple(runs), None, None, ""
        self._nothing = False
        self._papers.clear()
        self._read()

    def _ends(self) -> tuple[object, ...]:
        """What the board says of these runs that a table would show: which attempts there are, and which ended."""
        return tuple((view.attempt, view.outcome) for run in self._runs for view in self.world.board.attempts(run))

    def _read_soon(self) -> None:
        if self._again is None and not self._reading:
            self._again = self.set_timer(AGAIN_S, self._read)

    def _read(self) -> None:
        self._again = None
        if self._reading:
            return
        asked, ends, told, self._reading = self._runs, self._ends(), self._told, True

        def ready(answer: Answer) -> None:
            self._reading = False
            if self._runs != asked:
                self._read()  # others were chosen meanwhile
                return
            self._error = answer.error or ""
            if answer.error is None:
                self._have_book(answer.value, ends)
            self._nothing = self._book is None
            if self._nothing and told != self._told:
                self._read_soon()  # a run was opened while the empty store was read
            self.redraw()

        self.link.work(asks.book(self.link.settings, asked), ready)
        if self._comparison is not None:
            self._read_comparison(self._comparison.a, self._comparison.b)

    def _have_book(self, book: Book | None, ends: tuple[object, ...]) -> None:
        self._book = book
        if book is None:
            return
        self._runs = book.runs
        known = [view for view in map(self.world.board.run, book.runs) if view is not None]
        self._read_as = self._ends() if all(view.seq <= book.read_from for view in known) else ends
        # What could not be told while an attempt went on may be told now.
        self._papers = {name: paper for name, paper in self._papers.items() if not isinstance(paper, str)}

    def _read_comparison(self, a: Side, b: Side) -> None:
        def ready(answer: Answer) -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
                return
            self._comparison = answer.value
            self.redraw()

        self.link.work(asks.comparison(self.link.settings, a, b), ready)

    # -- showing

    def _sheet(self) -> Sheet | None:
        sheets = self._book.sheets if self._book is not None else ()
        return next((sheet for sheet in sheets if sheet.matrix == self._matrix), sheets[0] if sheets else None)

    def _show(self) -> None:
        sheet = self._sheet()
        if self._comparison is not None:
            self._show_comparison(self._comparison)
        elif sheet is not None and self._book is not None:
            self._show_sheet(self._book, sheet)
        else:
            self._lines((), (), "")
            self.query_one(Grid).set_columns(())
            self.query_one(Grid).set_rows((), empty=self._why_empty())
        self._share_room()
        self._show_detail()

    def _share_room(self) -> None:
        """Below the table the pane gets what the rows leave, and nothing where that is too little."""
        grid, room = self.query_one(Grid), self.query_one("#split").size.height
        beside, high = self.size.width >= BESIDE, self.has_class("-high")
        fits = len(grid.rows) + 2 <= room - PANE_LINES
        self.set_class(beside, "-beside")
        self.set_class(beside or high or fits, "-paned")
        wanted = None if beside or not (high or fits) else max(4, min(len(grid.rows) + 2, room * 6 // 10))
        current = grid.styles.inline.height
        if (int(current.value) if current is not None else None) != wanted:
            grid.styles.height = wanted

    def _show_sheet(self, book: Book, sheet: Sheet) -> None:
        self._matrix = sheet.matrix
        figures = rows_of.chosen(sheet, self._shown)
        goes_on = [run.run for run in self.world.open_runs() if run.run in book.runs]
        self._lines(
            head.runs_line(book, goes_on, self._reading),
            head.sheet_line(sheet, figures, self._shown, alone=len(book.sheets) == 1),
            ". ".join(sheet.sentences),
        )
        grid = self.query_one(Grid)
        held = self._places.get(sheet.matrix)
        grid.set_columns(rows_of.columns(sheet, figures))
        grid.set_rows(rows_of.rows(sheet, figures, self.world.board.attempt), empty=self._why_empty())
        if held is not None:
            grid.move_to(held)

    def _show_comparison(self, comparison: Comparison) -> None:
        pairs = self._pairs(comparison)
        self._lines((), head.comparison_line(comparison, len(pairs)), head.ratios_line(comparison))
        grid = self.query_one(Grid)
        held = self._places.get(_COMPARED)
        grid.set_columns(pairs_of.pair_columns(comparison, pairs))
        grid.set_rows(pairs_of.pair_rows(comparison, pairs), empty=self._why_empty())
        if held is not None:
            grid.move_to(held)

    def _pairs(self, comparison: Comparison) -> list[Pair]:
        return [pair for pair in comparison.pairs if pairs_of.pair_matches(pair, self._shown.words)]

    def _lines(self, runs: Sequence[Span], sheet: Sequence[Span], said: str) -> None:
        tabs = self.query_one(head.Tabs)
        titles = [item.title for item in self._book.sheets] if self._book is not None else []
        tabs.display = len(titles) > 1 and self._comparison is None
        if tabs.display:
            tabs.show(titles, self._place(), self.size.width)
        for name, spans in (("runs", runs), ("sheet", sheet), ("said", ((said, "dim"),) if said else ())):
            line = self.query_one(f"#{name}", SpanLine)
            line.display = bool(spans) and (name != "said" or self.has_class("-high"))
            line.set_parts([(" ", ""), *spans])

    def _place(self) -> int:
        names = [sheet.matrix for sheet in self._book.sheets] if self._book is not None else []
        return names.index(self._matrix) if self._matrix in names else 0

    def _why_empty(self) -> str:
        if self._error:
            return f"The results cannot be read: {self._error}"
        if self._reading and self._book is None:
            return "reading the results …"
        if self._shown.words:
            return f"No row matches {self._shown.words!r}.\nesc clears the filter."
        if self._book is not None:
            return "The run has no attempts."
        return f"There are no runs in {self.link.settings.store.value}.\nStart one on the Matrix screen (3)."

    def _show_detail(self) -> None:
        pane = self.query_one(Lines)
        if not pane.display:
            return
        figure, pair, sheet = self._figure(), self._pair(), self._sheet()
        about = figure.key if figure is not None else str(pair.place) if pair is not None else ""
        if figure is not None and sheet is not None:
            attempt = self._speaking(figure)
            paper = self._papers.get(attempt) if attempt else None
            why = paper if isinstance(paper, str) else "looking up what is kept of it …" if paper is None else ""
            lines = detail(figure, sheet, None if isinstance(paper, str) else paper, why)
            self._look_up()
        elif pair is not None and self._comparison is not None:
            lines = pair_detail(pair, self._comparison)
        else:
            lines = [para("no row under the cursor", "dim")] if self._book is not None else []
        pane.show(lines, top=about != self._about)
        self._about = about

    def _figure(self) -> Figure | None:
        """The figure under the cursor."""
        sheet, key = self._sheet(), self.query_one(Grid).current
        if self._comparison is not None or sheet is None:
            return None
        return next((item for item in (*sheet.figures, *sheet.missing) if item.key == key), None)

    def _pair(self) -> Pair | None:
        """The pair under the cursor."""
        key = self.query_one(Grid).current
        if self._comparison is None or key is None:
            return None
        return next((pair for pair in self._comparison.pairs if str(pair.place) == key), None)

    def _speaking(self, figure: Figure) -> str:
        """The attempt that speaks for a figure: its first with one, else the last."""
        with_figure = [item for item in figure.attempts if item.value is not None and not item.spoiled]
        return next((item.attempt for item in (*with_figure, *reversed(figure.attempts))), "")

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """The pane follows the cursor."""
        if event.key is not None and event.key == event.grid.current:
            self._places[_COMPARED if self._comparison is not None else self._matrix] = event.key
        self._show_detail()
        self.draw_lines()

    def _look_up(self) -> None:
        """What is kept of the attempt under the cursor; one at a time, so that a cursor that runs asks for few."""
        figure = self._figure()
        attempt = self._speaking(figure) if figure is not None else ""
        if not attempt or attempt in self._papers or self._looking:
            return
        self._looking = True

        def ready(answer: Answer) -> None:
            self._looking = False
            while len(self._papers) >= PAPERS:
                del self._papers[next(iter(self._papers))]
            self._papers[attempt] = answer.value if answer.error is None else answer.error
            self._show_detail()

        self.link.work(asks.paper(self.link.settings, attempt), ready)

    def note(self) -> Span:
        """That what is shown is being read again, or could not be."""
        if self._error:
            return "could not be read", "fail"
        return ("reading …", "dim") if self._reading else ("", "")
