"""Which attempts of a matrix there are now, and what can be done about them. Pure, from the board."""

from collections.abc import Mapping, Sequence

import msgspec

from console.desk.board import Board
from console.desk.sheet_views import Figure, Tried
from console.desk.views import AttemptView, RunView
from console.model.attempt import Outcome
from console.tui.screens.matrix.plan import base_id


class Again(msgspec.Struct, frozen=True):
    """An attempt that may be tried again: of which run, and how it ended."""

    run: str
    attempt: str
    cell: str
    where: str
    ended: str


def runs_of(board: Board, matrix: str) -> Sequence[RunView]:
    """Runs of a matrix on the board: open ones first, then the newest."""
    runs = [run for run in board.runs() if matrix in run.matrices]
    return sorted(runs, key=lambda run: (run.closed_at_ns is not None, -run.opened_at_ns))


def run_of(board: Board, matrix: str) -> RunView | None:
    """The run that pause and stop are about: the newest open one, else the newest."""
    return next(iter(runs_of(board, matrix)), None)


def work(board: Board, matrix: str) -> Mapping[str, Sequence[AttemptView]]:
    """Attempts by cell, of every open run of a matrix; of the newest run when none is open. Last tries alone."""
    runs = runs_of(board, matrix)
    shown = [run for run in runs if run.closed_at_ns is None] or list(runs[:1])
    found: dict[str, list[AttemptView]] = {}
    for run in shown:
        for view in board.attempts(run.run):
            if view.matrix == matrix and not view.superseded:
                found.setdefault(base_id(view.cell_id), []).append(view)
    return found


def ended(board: Board, matrix: str) -> int:
    """How many attempts of a matrix have ended: when it grows, there are new figures to read."""
    return sum(run.counts.ended + (run.closed_at_ns is not None) for run in runs_of(board, matrix))


def stoppable(views: Sequence[AttemptView]) -> list[AttemptView]:
    """Those that go on, or wait, and that nobody has asked to stop yet."""
    return [view for view in views if view.outcome is None and not view.stop_asked]


def again(board: Board, views: Sequence[AttemptView], past: Sequence[Figure]) -> list[Again]:
    """What of a cell may be tried again: the last try of each place that came to no figure that counts."""
    found = []
    for view in views:
        run = board.run(view.run)
        stopping = run is not None and run.stop_asked and run.closed_at_ns is None
        bad = view.outcome is not None and (view.outcome is not Outcome.OK or view.spoiled)
        if bad and not stopping:
            word = "spoiled" if view.outcome is Outcome.OK else str(view.outcome)
            found.append(Again(view.run, view.attempt, view.cell_id, ", ".join(view.hosts), word))
    known = {view.attempt for view in views}
    for figure in past:
        if board.run(figure.run) is not None or any(tried.attempt in known for tried in figure.attempts):
            continue
        for tried in _last(figure.attempts):
            word = "spoiled" if tried.spoiled else tried.state
            if word in ("spoiled", *(item.value for item in Outcome if item is not Outcome.OK)):
                found.append(Again(figure.run, tried.attempt, figure.cell, ", ".join(figure.hosts), word))
    return found


def _last(tries: Sequence[Tried]) -> Sequence[Tried]:
    last: dict[int, Tried] = {}
    for tried in tries:
        if tried.repeat not in last or tried.attempt_try > last[tried.repeat].attempt_try:
            last[tried.repeat] = tried
    return list(last.values())


def by_run(items: Sequence[Again]) -> Mapping[str, Sequence[str]]:
    """Attempts to try again, by their run."""
    found: dict[str, list[str]] = {}
    for item in items:
        found.setdefault(item.run, []).append(item.attempt)
    return found
