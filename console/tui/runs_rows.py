"""Rows of the Runs screen: pure, from summaries of runs and, for those that go on, from the board."""

from typing import TYPE_CHECKING

from console.tui import marks
from console.tui.widgets.grid import Column, Row
from console.tui.words import ago

if TYPE_CHECKING:
    from console.desk.history import RunSummary

COLUMNS = (
    Column("run", "run", 13),
    Column("label", "label", 12, grow=3, rank=2),
    Column("state", "state", 10),
    Column("progress", "progress", 16),
    Column("ok", "ok", 4, right=True, rank=6),
    Column("failed", "failed", 6, right=True, rank=5),
    Column("not_run", "not run", 7, right=True, rank=7),
    Column("when", "opened", 20, rank=3),
    Column("ago", "ago", 12),
    Column("hosts", "hosts", 14, grow=2, rank=4),
    Column("matrices", "matrices", 22, grow=4, rank=8),
    Column("operator", "operator", 14, grow=1, rank=9),
    Column("why", "why it ended", 16, grow=3, rank=10),
)
PICK_COLUMNS = (
    Column("run", "run", 13),
    Column("label", "label", 14, grow=2),
    Column("about", "", 36, grow=4),
)
_BAR = 8


def pick_row(run: "RunSummary", now_ns: int) -> Row:
    """A run where one is to be chosen."""
    about = f"{marks.RUN[run.state].text}, {ago(run.opened_at_ns, now_ns)} ago, {', '.join(run.matrices)}"
    return Row(run.run, (run.run, run.label, (about, "dim")))
