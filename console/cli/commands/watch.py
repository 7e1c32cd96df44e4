"""`instinct watch`: follow a run from any terminal, or play one of the past."""

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli import complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front

if TYPE_CHECKING:
    from console.desk.settings import Settings


@command("watch", example="instinct watch\ninstinct watch r01kan3\ninstinct watch last --replay 20x")
@click.argument("run", default="last", shell_complete=complete.runs)
@click.option("--replay", "speed", metavar="SPEED", help="Play a run of the past so many times faster: 20x, 0.5x.")
@json_option
@pass_front
def main(front: Front, run: str, speed: str | None, as_json: bool) -> Exit:
    """Cells, phases, progress and live tokens/s of a run, while it goes on; its result table at the end.

    Watching changes nothing: leave with Ctrl-C, the run goes on. With --replay the console opens on a run as it was:
    p pauses, < and > change the speed, [ and ] go back and forth. Without a terminal the replay is printed in lines.
    """
    from console.cli import ending, follow, live
    from console.desk import history

    settings = front.settings()
    row = history.find_run(settings, run)
    if speed is not None:
        return _replay(front, settings, row.run, speed, as_json=as_json)
    display = live.display(row.run)
    try:
        ended = asyncio.run(follow.watch(settings, row.run, display))
    finally:
        display.close()
    if not ended:
        printing.note(f"nobody conducts {row.run} any more; `instinct run --resume {row.run}` carries on")
        return Exit.CELL
    return ending.report(settings, row.run, as_json=as_json)


def _replay(front: Front, settings: "Settings", run: str, text: str, *, as_json: bool) -> Exit:
    from console.cli import ending, follow, live, screens
    from console.desk import replaying

    speed = replaying.parse_speed(text)
    if front.opens_console and not as_json:
        screens.play(front, settings, run, speed)
        return Exit.DONE
    display = live.LineDisplay(run)
    try:
        asyncio.run(follow.replay(settings, run, display, speed))
    finally:
        display.close()
    return ending.report(settings, run, as_json=as_json)
