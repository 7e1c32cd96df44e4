"""`instinct demo`: every shipped matrix on the embedded lab."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from console.cli import printing
from console.cli.exits import Exit
from console.cli.framework import Front, command, json_option, pass_front

if TYPE_CHECKING:
    from console.desk.settings import Settings

HOSTS = 12
SPEED = 1000.0
SPEED_ON_SCREEN = 120.0
"""Slow enough to see what goes on."""


@command("demo", example="instinct demo\ninstinct demo --headless -o demo.md")
@click.option("--headless", is_flag=True, help="Live table and result tables instead of the console's screens.")
@click.option("--hosts", type=click.IntRange(1, 64), default=HOSTS, show_default=True, help="How many hosts it plays.")
@click.option("--speed", type=click.FloatRange(1, 100_000), help="Times faster; 1000, or 120 on screens.")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Keep the lab's files here.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the results; the ending chooses the format: .parquet .csv .xlsx .json .ndjson .md",
)
@json_option
@pass_front
def main(
    front: Front,
    headless: bool,
    hosts: int,
    speed: float | None,
    folder: Path | None,
    outputs: tuple[Path, ...],
    as_json: bool,
) -> Exit:
    """Run every shipped matrix on simulated hosts, in the very way `run` does on real ones; no hardware is needed.

    At a terminal the console opens on them; headless, or without a terminal, a live table and the result tables.
    Every figure is marked simulated and held against the lab's own fictional references. Lab and store are temporary
    unless --dir or --store says where they stay.
    """
    from console.cli import demo_screens, ending, follow
    from console.desk import history, tables

    for output in outputs:
        tables.check_ending(output)
    with follow.tidied_up(), contextlib.ExitStack() as stack:
        base = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="instinct-demo-")))
        if front.opens_console and not (headless or outputs or as_json):
            demo_screens.show(front, demo_settings(front, base), base, hosts, speed or SPEED_ON_SCREEN)
            return Exit.DONE
        run = asyncio.run(_run(front, base, hosts, speed or SPEED))
        if run is None:
            return Exit.INTERRUPTED
        settings = demo_settings(front, base)
        code = ending.report(settings, run, outputs, as_json=as_json)
        return Exit.INTERRUPTED if history.find_run(settings, run).why == "stopped" else code


def demo_settings(front: Front, base: Path) -> "Settings":
    """The settings in force, with the lab's fleet file and, unless one was named, a store of the demo's own."""
    from console.desk.settings import Value

    settings = front.settings()
    store = settings.store
    if store.origin != "option":
        store = Value(base / "store", "default")
    return msgspec.structs.replace(
        settings, fleet=Value(base / "lab" / "fleet.toml", "default"), store=store, profiles=Value((), "default")
    )


async def _run(front: Front, base: Path, hosts: int, speed: float) -> str | None:
    from console.cli import follow, live
    from console.cli.commands.run import open_new
    from console.desk import desk, surveying
    from console.lab.up import Lab
    from console.runs.request import Request

    lab = Lab(base / "lab", hosts=hosts, speed=speed)
    printing.note(f"starting {hosts} simulated hosts …")
    with follow.tidied_up_waiting():
        await lab.start()
    try:
        settings = demo_settings(front, base)
        fleet = desk.fleet(settings)
        catalog = desk.catalog(settings, fleet)
        asked = Request(matrices=tuple(catalog.matrices), place="spread", label="demo", if_busy="wait", fetch=True)
        async with surveying.open_site(fleet) as site:
            with follow.tidied_up_waiting():
                run = await open_new(settings, asked, site)
            display = live.display(run)
            try:
                return run if await follow.conduct(settings, run, display, site) else None
            finally:
                display.close()
    finally:
        await lab.stop()
