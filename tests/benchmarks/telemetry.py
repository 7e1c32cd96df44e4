"""What live readings cost: the loop on a host of 8 GPUs, idle and busy, and a client that follows 64 hosts.

    python tests/benchmarks/telemetry.py [--seconds 30]

The loop reads the files of a lab host, whose figures change every second while it is busy; its CPU is that of the
shell and of all it starts. The 64 hosts are loopback addresses of this machine behind real sshd (see fleet_status.py).
"""

import argparse
import asyncio
import contextlib
import os
import resource
import select
import subprocess
import tempfile
import time
from pathlib import Path

import fleet_status  # type: ignore[import-not-found]  # the script beside this one
import msgspec

from console.desk.fleet_board import FleetBoard, Pulse
from console.desk.fleet_feed import FleetFeed
from console.desk.settings import Options, load
from console.fleet.host import Host
from console.fleet.inventory import load as load_fleet
from console.fleet.telemetry import Decoder, script
from console.lab.up import Lab

SETTLE_S = 5.0


class Loop(msgspec.Struct, frozen=True):
    """A loop on a host: beats, bytes, and CPU seconds on either side."""

    seconds: float
    beats: int
    size: int
    host_cpu_s: float
    decode_cpu_s: float

    def line(self, what: str) -> str:
        """For people."""
        host, decode = self.host_cpu_s / self.beats * 1e3, self.decode_cpu_s / self.beats * 1e3
        share = self.host_cpu_s / self.seconds
        return (
            f"{what}: {self.size / self.seconds:.0f} B/s, {host:.1f} ms of CPU a beat on the host ({share:.2%} of a "
            f"core), {decode:.2f} ms to read it"
        )


def run_loop(root: Path, seconds: float) -> Loop:
    """The loop over the files under `root`, for so long."""
    shell = subprocess.Popen(["/bin/sh", "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(script(Host(name="host", address="local", root=str(root))))
    shell.stdin.flush()
    decoder, rest, size, beats, spent, begun = Decoder(), b"", 0, 0, 0.0, time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        if not select.select([shell.stdout], [], [], seconds - passed)[0]:
            continue
        data = os.read(shell.stdout.fileno(), 1 << 16)
        size += len(data)
        before = time.thread_time()
        *lines, rest = (rest + data).split(b"\n")
        beats += sum(decoder.feed(line) is not None for line in lines)
        spent += time.thread_time() - before
    shell.stdin.close()
    _, _, used = os.wait4(shell.pid, 0)
    return Loop(passed, max(1, beats), size, used.ru_utime + used.ru_stime, spent)


async def loops(seconds: float) -> None:
    """Idle and busy."""
    with tempfile.TemporaryDirectory() as folder:
        async with Lab(Path(folder) / "lab", hosts=1) as lab:
            (machine,) = lab.machines.values()
            print((await asyncio.to_thread(run_loop, machine.root, seconds)).line("loop, 8 idle GPUs"))
            machine.sensors.load(8)
            print((await asyncio.to_thread(run_loop, machine.root, seconds)).line("loop, 8 busy GPUs"))


async def follow(fleet_file: Path, store: Path, seconds: float) -> None:
    """A client that follows all hosts and folds what it hears."""
    fleet = load_fleet(fleet_file)
    board = FleetBoard(fleet.hosts)
    feed = FleetFeed(load(Options(fleet=fleet_file, store=store)), fleet, fleet.hosts)
    begun, complete, marked = time.monotonic(), 0.0, (0.0, 0.0)
    pulses = 0
    async with contextlib.aclosing(aiter(feed)) as batches:
        async for batch in batches:
            board.apply(batch)
            board.hosts()
            now = time.monotonic()
            if not complete and all(view.health is not None for view in board.hosts()):
                complete = now
                print(
                    f"{len(fleet.hosts)} hosts seen and judged: {now - begun:.1f} s, {time.process_time():.2f} s of CPU"
                )
            elif complete and marked == (0.0, 0.0) and now > complete + SETTLE_S:
                marked, pulses = (now, time.process_time()), 0
            pulses += sum(isinstance(event, Pulse) for event in batch)
            if marked[0] and now > marked[0] + seconds:
                break
    wall, cpu = time.monotonic() - marked[0], time.process_time() - marked[1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"following them: {pulses / wall:.0f} beats/s, {cpu / wall:.1%} of a core, {memory:.0f} MiB at most")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each is measured")
    seconds = parser.parse_args().seconds
    asyncio.run(loops(seconds))
    with fleet_status.hosts(gpus=True) as site:
        asyncio.run(follow(site.fleet, site.folder / "store", seconds))


if __name__ == "__main__":
    main()
