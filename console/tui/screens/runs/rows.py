"""Rows of the Runs screen: pure, from summaries of runs and, for those that go on, from the board."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from console.desk.views import RunView
from console.model.attempt import Outcome
from console.tui import marks
from console.tui.marks import Mark, Span
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.words import ago, utc

if TYPE_CHECKING:
    from console.desk.history import RunSummary

COLUMNS = (
    Column("run", "run", 13),
    Column("label", "label", 10, grow=2, rank=1),
    Column("state", "state", 10),
    Column("progress", "progress", 18),
    Column("ago", "opened", 16),
    Column("failed", "failed", 6, right=True, rank=4),
    Column("not_run", "not run", 7, right=True, rank=6),
    Column("hosts", "hosts", 14, grow=2, rank=3),
    Column("matrices", "matrices", 22, grow=4, rank=2),
    Column("when", "when (UTC)", 20, rank=5),
    Column("operator", "operator", 14, grow=1, rank=8),
    Column("why", "why it ended", 14, grow=2, rank=7),
)
PICK_COLUMNS = (
    Column("run", "run", 13),
    Column("label", "label", 14, grow=2),
    Column("about", "", 36, grow=4),
)
_BAR = 8
_UNREMARKABLE = ("finished", "stopped")
"""Why a run ended, when its state says so already."""

Live = Callable[[str], RunView | None]


class Now(NamedTuple):
    """A run as it stands this moment: its state, and how its attempts stand."""

    state: str
    total: int
    ok: int
    failed: int
    not_run: int
    active: int

    @property
    def ended(self) -> int:
        """Attempts with an outcome."""
        return self.ok + self.failed + self.not_run

    @property
    def open(self) -> int:
        """Attempts without one."""
        return self.total - self.ended


def now(run: "RunSummary", view: RunView | None) -> Now:
    """What was read of a run, overtaken by what the board has heard since of one that goes on."""
    if view is None or run.closed_at_ns is not None or not view.counts.total:
        return Now(run.state, run.attempts, run.ok, run.failed, run.not_run, 0)
    counts = view.counts
    state: str = run.state
    if view.closed_at_ns is not None:
        state = view.why if view.why in ("finished", "stopped") else "ended"
    elif state != "left":
        state = "stopping" if view.stop_asked else "paused" if view.paused else "running"
    not_run = counts.not_run + counts.stopped
    return Now(state, max(run.attempts, counts.total), counts.ok, counts.failed, not_run, counts.active)


def matches(run: "RunSummary", state: str, text: str) -> bool:
    """Every word is found in what the row says; `!word` is not; `state:left` looks at the state alone."""
    return all(_matches(run, state, word) for word in text.lower().split())


def _matches(run: "RunSummary", state: str, word: str) -> bool:
    if word.startswith("!") and len(word) > 1:
        return not _matches(run, state, word[1:])
    if word.startswith("state:"):
        return state.startswith(word[6:])
    texts = (run.run, run.label, state, run.operator, run.why, *run.matrices, *run.hosts, utc(run.opened_at_ns))
    return any(word in text.lower() for text in texts)


class RunTable:
    """Rows of many runs; what has not changed since the last drawing is not made again."""

    def __init__(self) -> None:
        self.filter = ""
        self.shown = 0
        self._made: dict[str, tuple[object, Row]] = {}

    def rows(self, runs: Iterable["RunSummary"], live: Live, now_ns: int) -> list[Row]:
        """The rows to show, in the order given."""
        made: dict[str, tuple[object, Row]] = {}
        for run in runs:
            standing = now(run, live(run.run) if run.closed_at_ns is None else None)
            if self.filter and not matches(run, standing.state, self.filter):
                continue
            since = f"{ago(run.opened_at_ns, now_ns)} ago"
            basis = (run, standing, since)
            known = self._made.get(run.run)
            made[run.run] = known if known is not None and known[0] == basis else (basis, row(run, standing, since))
        self._made = made
        self.shown = len(made)
        return [item for _, item in made.values()]


def row(run: "RunSummary", standing: Now, since: str) -> Row:
    """One run."""
    cells: Mapping[str, Cell] = {
        "run": (run.run, "simulated" if run.simulated else ""),
        "label": (run.label, "bold"),
        "state": state_mark(standing.state).span,
        "progress": progress(standing),
        "failed": (str(standing.failed or ""), "fail"),
        "not_run": (str(standing.not_run or ""), "unknown"),
        "when": (utc(run.opened_at_ns), "dim"),
        "ago": since,
        "hosts": hosts(run.hosts),
        "matrices": ", ".join(run.matrices),
        "operator": (run.operator, "dim"),
        "why": ("" if run.why in _UNREMARKABLE else run.why, "fail"),
    }
    return Row(run.run, tuple(cells[column.key] for column in COLUMNS))


def state_mark(state: str) -> Mark:
    """Mark and word of a run's state."""
    return marks.RUN.get(state, marks.RUN["ended"])


def progress(standing: Now) -> tuple[Span, ...]:
    """A bar of what has ended, good and bad together, the count, and how many failed."""
    share = standing.ended / standing.total if standing.total else None
    bad = standing.failed or standing.not_run
    bar = marks.bar(share, _BAR)
    filled = bar.rstrip("░")
    return (
        (filled, "warn" if bad else "ok"),
        (bar[len(filled) :], "dim"),
        (f" {standing.ended}/{standing.total}", "" if standing.open else "dim"),
        (f" {marks.OUTCOME[Outcome.FAILED].glyph}{standing.failed}" if standing.failed else "", "fail"),
    )


def hosts(names: Sequence[str]) -> str:
    """One host by its name, more of them counted."""
    return names[0] if len(names) == 1 else f"{len(names)} hosts" if names else ""


def pick_row(run: "RunSummary", now_ns: int) -> Row:
    """A run where one is to be chosen."""
    lab = ", simulated" if run.simulated else ""
    about = f"{state_mark(run.state).text}{lab}, {ago(run.opened_at_ns, now_ns)} ago, {', '.join(run.matrices)}"
    return Row(run.run, (run.run, run.label, (about, "dim")))


def totals(runs: Sequence["RunSummary"], live: Live) -> list[Span]:
    """How many runs there are, and how they stand."""
    states: dict[str, int] = {}
    for run in runs:
        state = now(run, live(run.run) if run.closed_at_ns is None else None).state
        states[state] = states.get(state, 0) + 1
    spans: list[Span] = [(f" {len(runs)} {'run' if len(runs) == 1 else 'runs'}", "bold")]
    for state, mark in marks.RUN.items():
        if states.get(state):
            spans.append((f"   {mark.glyph} {states[state]} {mark.word}", mark.role))
    return spans
