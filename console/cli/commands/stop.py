"""`instinct stop`: end a run, or one attempt of it."""

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli import complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, pass_front

if TYPE_CHECKING:
    from console.desk.settings import Settings


@command("stop", example="instinct stop last\ninstinct stop r01kan3 --wait\ninstinct stop nightly --attempt a2x")
@click.argument("run", shell_complete=complete.runs)
@click.option("--attempt", metavar="A", help="Only this attempt: its id, the beginning of it, or its cell.")
@click.option("--wait", is_flag=True, help="Come back when the run has ended and its hosts are free.")
@pass_front
def main(front: Front, run: str, attempt: str | None, wait: bool) -> Exit:
    """Ask a run to stop: what runs is ended, collected and removed, what has not started stays `not run`.

    When nobody conducts the run any more, this command does it. With --attempt the others go on.
    """
    from console.desk import history, launching

    settings = front.settings()
    row = history.find_run(settings, run)
    if attempt is not None:
        return _one(settings, row.run, attempt, wait=wait)
    if not asyncio.run(history.ask_stop(settings, row.run, "instinct stop")):
        printing.note(f"{row.run} has ended already")
        return Exit.DONE
    if history.is_conducted(settings, row.run):
        printing.note(f"{row.run} is asked to stop")
        if wait:
            asyncio.run(launching.wait_for_end(settings, row.run))
        return Exit.DONE
    printing.note(f"{row.run} has no conductor; stopping it from here")
    asyncio.run(launching.conduct(settings, row.run))
    return Exit.DONE


def _one(settings: "Settings", run: str, text: str, *, wait: bool) -> Exit:
    from console.desk import steering

    if wait:
        raise click.UsageError("--wait is for a whole run; `instinct watch` shows when the attempt has ended")
    found = steering.find_attempt(settings, run, text)
    asked = asyncio.run(steering.stop_attempt(settings, run, found.attempt, "instinct stop"))
    name = f"{found.attempt} ({found.cell_id})"
    if not asked.done:
        printing.note(f"{name} has ended already")
    elif asked.conducted:
        printing.note(f"{name} is asked to stop")
    else:
        printing.note(f"{name} is to stop; nobody conducts {run}: `instinct run --resume {run}` carries it on and acts")
    return Exit.DONE
