"""`instinct fetch`: bring images and models onto the hosts."""

import asyncio
from typing import Any

from console.cli import printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.options import cell_options, matrices_argument, request
from console.cli.printing import Column
from console.model.events import FetchProgress
from console.model.units import binary_size

STEP_PERCENT = 5


@command("fetch", example="instinct fetch vllm-0.8.5-throughput --hosts @rack2")
@matrices_argument
@cell_options
@json_option
@pass_front
def main(front: Front, /, matrices: tuple[str, ...], as_json: bool, **said: Any) -> Exit:
    """Image and model of the chosen cells onto the hosts, without claiming their GPUs.

    What is there is not fetched again, an interrupted download goes on where it stopped, and hosts that share a file
    system fetch a model once. Models are checked against their revision.
    """
    from console.desk import fetching

    done = asyncio.run(fetching.fetch(front.settings(), request(matrices, said), Progress()))
    if as_json:
        printing.json_rows("fetched", done)
    else:
        columns = [Column("host"), Column("what"), Column("name"), Column("state"), Column("detail", shrink=True)]
        printing.table(columns, [(item.host, item.what, item.name, item.state, item.detail) for item in done])
    return Exit.CELL if any(item.state == "failed" for item in done) else Exit.DONE


class Progress:
    """A line on stderr at every few per cent, so that a log of it stays short."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], int] = {}

    def __call__(self, progress: FetchProgress) -> None:
        """Say how far it is, when that is news."""
        key = (progress.host, progress.name)
        if progress.total_bytes:
            step = int(100 * progress.done_bytes / progress.total_bytes) // STEP_PERCENT
            share = f"{step * STEP_PERCENT} % of {binary_size(progress.total_bytes)}"
        else:
            step = progress.done_bytes >> 30
            share = binary_size(progress.done_bytes)
        if self._told.get(key) != step:
            self._told[key] = step
            printing.note(f"{progress.host}: {progress.what} {progress.name}: {share} {progress.status}".rstrip())
