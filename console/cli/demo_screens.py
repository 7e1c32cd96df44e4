"""The demo at a terminal: the lab and its run in processes of their own, the console's screens in front of them."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from console.cli import printing
from console.cli.framework import Front
from console.desk.errors import DeskError

if TYPE_CHECKING:
    from console.desk.settings import Settings

END_S = 30.0
"""How long the demo's run may take to stop when the screens are left."""


def show(front: Front, settings: "Settings", base: Path, hosts: int, speed: float) -> None:
    """Start the lab and a run of every shipped matrix on it, open the screens; all of it ends when they are left."""
    assert front.open_console is not None  # noqa: S101 - callers ask `opens_console` first
    printing.note(f"starting {hosts} simulated hosts …")
    with (base / "demo.log").open("wb") as log, _lab(base, hosts, speed, log), _run(settings, log):
        front.open_console(settings, "fleet")
        printing.note("ending the simulated hosts and what runs on them …")


@contextlib.contextmanager
def _lab(base: Path, hosts: int, speed: float, log: IO[bytes]) -> Iterator[None]:
    argv = ["lab", "up", "--hosts", str(hosts), "--speed", str(speed), "--dir", str(base / "lab")]
    with _process(argv, log, stdout=subprocess.PIPE) as lab:
        assert lab.stdout is not None  # noqa: S101 - it is a pipe
        if not lab.stdout.readline():
            raise DeskError(f"the simulated hosts did not start: {(base / 'demo.log').read_text('utf-8', 'replace')}")
        yield


@contextlib.contextmanager
def _run(settings: "Settings", log: IO[bytes]) -> Iterator[None]:
    """Plan and start the run beside the screens; stopped in the end, so that no conductor waits for lost hosts."""
    from console.desk import desk

    matrices = tuple(desk.catalog(settings, desk.fleet(settings)).matrices)
    argv = ["run", *matrices, "--place", "spread", "--label", "demo", "--if-busy", "wait", "--fetch", "--detach"]
    argv += ["--fleet", str(settings.fleet.value), "--store", str(settings.store.value)]
    with _process(argv, log, stdout=subprocess.DEVNULL):
        try:
            yield
        finally:
            asyncio.run(_stop_runs(settings))


async def _stop_runs(settings: "Settings") -> None:
    from console.desk import history, launching

    for run in history.summaries(settings):
        if run.closed_at_ns is None:
            await history.ask_stop(settings, run.run, "the demo was left")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await launching.wait_for_end(settings, run.run)


@contextlib.contextmanager
def _process(argv: Sequence[str], log: IO[bytes], stdout: int) -> "Iterator[subprocess.Popen[bytes]]":
    """One of our own commands, in a session of its own: keys of this terminal are not for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "console", *argv],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
