"""`instinct stop`: end a run."""

import asyncio

import click

from console.cli import complete, printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, pass_front


@command("stop", example="instinct stop last\ninstinct stop r01kan3 --wait")
@click.argument("run", shell_complete=complete.runs)
@click.option("--wait", is_flag=True, help="Come back when the run has ended and its hosts are free.")
@pass_front
def main(front: Front, run: str, wait: bool) -> Exit:
    """Ask a run to stop: what runs is ended, collected and removed, what has not started stays `not run`.

    When nobody conducts the run any more, this command does it.
    """
    from console.desk import history, launching

    settings = front.settings()
    row = history.find_run(settings, run)
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
