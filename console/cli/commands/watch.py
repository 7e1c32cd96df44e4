"""`instinct watch`: follow a run from any terminal."""

import asyncio

import click

from console.cli import complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, pass_front


@command("watch", example="instinct watch\ninstinct watch r01kan3")
@click.argument("run", default="last", shell_complete=complete.runs)
@pass_front
def main(front: Front, run: str) -> Exit:
    """Cells, phases, progress and live tokens/s of a run, while it goes on; its result table at the end.

    Watching changes nothing: leave with Ctrl-C, the run goes on.
    """
    from console.cli import ending, follow, live
    from console.desk import desk, history

    settings = front.settings()
    row = history.find_run(settings, run)
    display = live.display(row.run, desk.fleet_catalog(settings).gpus)
    try:
        ended = asyncio.run(follow.watch(settings, row.run, display))
    finally:
        display.close()
    if not ended:
        printing.note(f"nobody conducts {row.run} any more; `instinct run --resume {row.run}` carries on")
        return Exit.CELL
    return ending.report(settings, row.run)
