"""`instinct lab`: the embedded lab alone."""

import asyncio
import contextlib
import signal
import tempfile
from pathlib import Path

import click

from console.cli import printing
from console.cli.exits import Exit
from console.cli.framework import command, group


@group("lab", example="instinct lab up --hosts 4")
def main() -> None:
    """Simulated hosts on loopback, to try the console without hardware. Every figure of theirs is marked simulated."""


@command("up", example="instinct lab up\ninstinct lab up --hosts 16 --dir ./lab --speed 60")
@click.option("--hosts", type=click.IntRange(1, 256), default=8, show_default=True, help="How many hosts it plays.")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where its files go.")
@click.option("--speed", type=click.FloatRange(0.1, 100_000), default=60.0, show_default=True, help="Times faster.")
def up(hosts: int, folder: Path | None, speed: float) -> Exit:
    """Run the lab in the foreground and print the path of a fleet file for it; Ctrl-C ends it.

    Without --dir its files lie in a temporary folder and go with it. Failures to play are written in its faults.toml,
    which says how; those of hosts are played from the next start with the same --dir on.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="instinct-lab-")))
        asyncio.run(_serve(folder, hosts, speed))
    return Exit.DONE


async def _serve(folder: Path, hosts: int, speed: float) -> None:
    from console.lab.faults import Faults, FaultsError
    from console.lab.up import Lab, LabError

    try:
        kept = Faults(folder / "faults.toml").current()
    except FaultsError as error:
        raise click.ClickException(str(error)) from None
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    lab = Lab(folder, hosts=hosts, speed=speed, faults=kept)
    try:
        fleet = await lab.start()
    except LabError as error:
        raise click.ClickException(str(error)) from None
    try:
        printing.data(str(fleet))
        printing.note(f"simulated: {hosts} hosts on loopback; in another terminal: instinct --fleet {fleet} status")
        await ended.wait()
    finally:
        await lab.stop()


main.add_command(up)
