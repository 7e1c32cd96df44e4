"""`instinct status --watch`: the live fleet as a table that stays in place on a terminal, else table after table."""

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.cli import asking, printing, status_text
from console.cli.exits import Exit
from console.cli.status_text import Shown

if TYPE_CHECKING:
    from rich.live import Live

    from console.desk.fleet_board import FleetBoard, FleetTotals
    from console.desk.settings import Settings

REDRAW_S = 0.5
"""How often a terminal is drawn at most while hosts are still being asked; later once for every reading."""
_EDGE = 3
"""Lines of a terminal that hosts do not get: totals, headings, the cursor's."""


def watch(
    settings: "Settings", selection: str | None, every_s: float, rounds: int | None, *, wide: bool, by_gpu: bool
) -> Exit:
    """Until Ctrl-C, or for so many tables. Raises FleetError and DeskError, never for a host that does not answer."""
    return asyncio.run(_watch(settings, selection, every_s, rounds, wide=wide, by_gpu=by_gpu))


async def _watch(
    settings: "Settings", selection: str | None, every_s: float, rounds: int | None, *, wide: bool, by_gpu: bool
) -> Exit:
    from console.desk import desk, status_live
    from console.desk.fleet_board import FleetBoard
    from console.desk.fleet_feed import FleetFeed

    fleet = desk.fleet(settings)
    hosts = desk.hosts(fleet, selection)
    board = FleetBoard(hosts, history_s=1)
    feed = FleetFeed(settings, fleet, hosts, period_s=every_s, ask=asking.asker())
    heard = asyncio.create_task(_hear(feed, board))
    sheet = Sheet(wide=wide, by_gpu=by_gpu)
    try:
        while rounds is None or sheet.drawn < rounds:
            complete = status_live.settled(board)
            if complete or sheet.in_place:
                sheet.draw(board, time.time_ns())
            await asyncio.wait({heard}, timeout=every_s if complete else min(every_s, REDRAW_S))
            if heard.done():
                await heard
    finally:
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
        sheet.close()
    missing = [view for view in board.hosts() if view.state == "no answer"]
    for view in missing:
        printing.error(f"{view.name}: {view.why}")
    return Exit.CONNECT if missing else Exit.DONE


async def _hear(feed: Any, board: "FleetBoard") -> None:
    async with contextlib.aclosing(aiter(feed)) as batches:
        async for batch in batches:
            board.apply(batch)


class Sheet:
    """Where the table goes. `drawn` counts the tables."""

    def __init__(self, *, wide: bool, by_gpu: bool) -> None:
        self.drawn = 0
        self.in_place = sys.stdout.isatty()
        self._wide, self._by_gpu = wide, by_gpu
        self._kept: tuple[Shown, ...] = ()
        self._width: int | None = None
        self._live: Live | None = None

    def draw(self, board: "FleetBoard", now_ns: int) -> None:
        """A table of the fleet as it is now."""
        from console.desk import status_live

        self.drawn += 1
        rows: Sequence[Any] = status_live.gpus(board) if self._by_gpu else status_live.rows(board, now_ns)
        columns = status_text.GPU_COLUMNS if self._by_gpu else status_text.watched(rows)
        if not self.in_place:
            lines = self._lines(columns, rows, None)
            printing.data("\n".join([*lines, ""] if self.drawn > 1 else lines))
            return
        width, height = shutil.get_terminal_size()
        lines = self._lines(columns, rows, width)
        room = max(1, height - _EDGE)
        if len(lines) - 1 > room:
            hidden = len(lines) - room
            lines = [*lines[:room], f"… and {hidden} more; name hosts to see fewer"]
        self._show([totals_line(board.totals()), *lines])

    def close(self) -> None:
        """Leave the last table where it is."""
        if self._live is not None:
            with printing.heard_by_nobody():
                self._live.stop()

    def _lines(self, columns: Sequence[Shown], rows: Sequence[Any], width: int | None) -> list[str]:
        """Columns that had room keep their place while they fit: figures that change do not make the table jump."""
        width = None if self._wide else width
        steady = self._kept and self._width == width and set(self._kept) <= set(columns)
        if not steady or not status_text.fits(self._kept, rows, width):
            self._kept, self._width = status_text.fitting(columns, rows, width), width
        kept = self._kept
        cells = [[item.cell(row) for item in kept] for row in rows]
        return printing.table_lines([item.column for item in kept], cells, width)

    def _show(self, lines: Sequence[str]) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            console = Console(highlight=False)
            self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        text = Text("\n".join(lines), no_wrap=True, overflow="crop")
        text.stylize("bold", 0, len(lines[0]))
        self._live.update(text, refresh=True)


def totals_line(totals: "FleetTotals") -> str:
    """The fleet in one line."""
    parts = [f"{totals.hosts} host{'s' * (totals.hosts != 1)}", f"{totals.up} up"]
    parts += [
        f"{number} {word}"
        for number, word in (
            (totals.asking, "asked"),
            (totals.missing, "without an answer"),
            (totals.stale, "without readings"),
            (totals.failing, "failing"),
            (totals.warned, "with warnings"),
        )
        if number
    ]
    parts.append(f"{totals.busy_gpus} of {totals.gpus} GPUs busy")
    if totals.power_w is not None:
        parts.append(f"{totals.power_w / 1000:.1f} kW")
    if totals.simulated:
        parts.append("simulated")
    return ", ".join(parts)
