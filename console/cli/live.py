"""A run while it goes on, from snapshots of the board: a table that stays in place on a terminal, else lines."""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from console.cli import printing
from console.cli.live_rows import (
    HEADINGS,
    Gpus,
    Layout,
    attempt_line,
    details_of,
    news_of,
    status_line,
    with_details,
    worth_showing,
)
from console.model.attempt import Stage

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from console.desk.board import Board
    from console.model.profile import GpuSpec

REDRAW_S = 0.25
"""At most four times a second."""


class Display(Protocol):
    """Shows a run. Everything goes to stderr."""

    def changed(self, board: "Board", attempts: Iterable[str]) -> None:
        """These attempts' views changed, or the run's."""

    def tick(self, board: "Board", now_ns: int) -> None:
        """Time passed."""

    def note(self, text: str) -> None:
        """A message to the person."""

    def close(self) -> None:
        """Nothing more comes."""


def no_gpus() -> "Mapping[str, GpuSpec]":
    """Without specifications no MFU is shown."""
    return {}


def display(run: str, gpus: Gpus = no_gpus) -> Display:
    """A table when stderr is a terminal that can move its cursor, else lines. With specifications it shows MFU."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return TableDisplay(run, gpus=gpus)
    return LineDisplay(run, gpus)


class LineDisplay:
    """One line for every change of stage, phase or outcome, and every tenth of the work; times are the journal's."""

    def __init__(self, run: str, gpus: Gpus = no_gpus) -> None:
        self._run = run
        self._gpus = gpus
        self._told: dict[str, object] = {}

    def changed(self, board: "Board", attempts: Iterable[str]) -> None:
        """Print what is news."""
        wanted = set(attempts)
        for view in board.attempts(self._run):
            name = view.attempt
            if name not in wanted or (view.stage is Stage.PLANNED and view.outcome is None):
                continue
            key, line = news_of(view, self._gpus)
            if self._told.get(name) != key:
                self._told[name] = key
                printing.note(line)
        run = board.run(self._run)
        if run is not None and run.notice is not None and self._told.get("") != run.notice:
            self._told[""] = run.notice
            printing.note(f"{run.notice.level}: {run.notice.text}")

    def tick(self, board: "Board", now_ns: int) -> None:
        """Lines do not move with time."""

    def note(self, text: str) -> None:
        """A message to the person."""
        printing.note(text)

    def close(self) -> None:
        """Nothing is left open."""


class TableDisplay:
    """A table redrawn in place, and only when something in it changed or a second passed."""

    def __init__(self, run: str, console: "Console | None" = None, gpus: Gpus = no_gpus) -> None:
        from rich.console import Console
        from rich.live import Live

        self._run = run
        self._gpus = gpus
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._dirty = True
        self._drawn_s = -1
        self._live.start()

    def changed(self, board: "Board", attempts: Iterable[str]) -> None:
        """Remember that there is something to draw; `tick` draws."""
        self._dirty = True

    def tick(self, board: "Board", now_ns: int) -> None:
        """Draw when there is news, or when a second has passed over the clocks shown."""
        second = now_ns // 1_000_000_000
        if not self._dirty and second == self._drawn_s:
            return
        self._dirty, self._drawn_s = False, second
        table = render(board, self._run, now_ns, self._console.width, self._console.height, self._gpus)
        with printing.heard_by_nobody():
            self._live.update(table, refresh=True)

    def note(self, text: str) -> None:
        """A message above the table."""
        from rich.text import Text

        from console.model.text import clean, redact

        with printing.heard_by_nobody():
            self._console.print(Text(clean(redact(text))))

    def close(self) -> None:
        """Take the table away; what remains of it is one line."""
        with printing.heard_by_nobody():
            self._live.stop()


def render(board: "Board", run: str, now_ns: int, width: int, height: int, gpus: Gpus = no_gpus) -> "RenderableType":
    """The table of a run as it stands at `now_ns`, in `width` columns and at most `height` lines."""
    from rich.console import Group
    from rich.text import Text

    views = [view for view in board.attempts(run) if not view.superseded]
    layout = Layout.fitting(width)
    shown, hidden = worth_showing(views, max(1, height - 4))
    lines = [Text(status_line(board, run, now_ns), style="bold", no_wrap=True, overflow="ellipsis")]
    lines.append(Text(layout.line(HEADINGS), style="dim", no_wrap=True))
    for view in shown:
        text, style = attempt_line(view, now_ns, layout)
        text = with_details(text, details_of(view, gpus), width)
        lines.append(Text(text, style=style, no_wrap=True, overflow="ellipsis"))
    if hidden:
        lines.append(Text(f"… and {hidden} more", style="dim", no_wrap=True))
    return Group(*lines)
