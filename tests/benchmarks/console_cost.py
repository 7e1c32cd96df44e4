"""What the console costs in a real pseudo-terminal: first paint, idle and busy CPU, output, keys, memory over days.

    python tests/benchmarks/console_cost.py [--peers FOLDER] [--seconds 20] [--only start,steady,memory]

The busy part draws a made-up fleet (`console_feed.py`). `--peers` names a virtual environment with posting and
harlequin, made when it is not there; htop and btop are taken from PATH. What is absent says so.
"""

import argparse
import fcntl
import gc
import os
import pty
import re
import resource
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
Env = dict[str, str] | None
TICK = os.sysconf("SC_CLK_TCK")
ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_].*?\x1b\\|\x1b.", re.S)


class Terminal:
    """A program in a pseudo-terminal of a size; reads what it paints."""

    def __init__(self, argv: Sequence[str], size: tuple[int, int] = (120, 40), env: Env = None) -> None:
        self.begin = time.perf_counter()
        self.bytes = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})})
            os.execvp(argv[0], list(argv))  # noqa: S606 - the program to measure
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def read(self, seconds: float, until: Callable[[bytes], bool] | None = None) -> tuple[bytes, float | None]:
        """What comes within so many seconds; with `until`, no longer than it takes, and when that was."""
        end = time.perf_counter() + seconds
        seen = b""
        while (left := end - time.perf_counter()) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                break
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:  # it has ended
                break
            self.bytes += len(data)
            seen += data
            if until is not None and until(ESCAPES.sub(b"", seen)):
                return seen, time.perf_counter()
        return seen, None

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._fd, keys.encode())

    def cpu_s(self) -> float:
        """User and system time of the program so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss_mib(self) -> float:
        """Resident memory."""
        return rss_mib(self.pid)

    def close(self) -> None:
        """End the program, which is ours."""
        os.kill(self.pid, signal.SIGTERM)
        for _ in range(100):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                break
            self.read(0.05)
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


def rss_mib(pid: int | str = "self") -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def first_paint(argv: Sequence[str], marks: Sequence[bytes], env: Env = None) -> list[float]:
    """Milliseconds from the start of the process until each mark was painted; best of five."""
    best = [float("inf")] * len(marks)
    for _ in range(5):
        terminal = Terminal(argv, env=env)
        try:
            for place, mark in enumerate(marks):
                _, at = terminal.read(20, lambda seen, mark=mark: mark in seen)  # type: ignore[misc]
                best[place] = min(best[place], (at - terminal.begin) * 1000 if at else float("inf"))
        finally:
            terminal.close()
    return best


def start(peers: Path | None) -> None:
    """First paint and time to usable, beside other Textual programs; idle cost beside htop and btop."""
    print("\nfirst paint (ms from exec, best of 5; 120x40)")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        hosts = "".join(f'[hosts.node{n:02d}]\naddress = "127.0.0.1"\nport = 1\n' for n in range(1, 65))
        (home / "fleet.toml").write_text(hosts)
        env = {"HOME": folder, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        argv = [sys.executable, "-m", "console", "--fleet", str(home / "fleet.toml")]
        row("  instinct, 64 hosts: tabs | rows of hosts", first_paint(argv, [b"Fleet", b"node10"], env))
        if peers is not None:
            _install(peers)
            for name, mark in (("posting", b"Collection"), ("harlequin", b"Data Catalog")):
                program = peers / "bin" / name
                shown = first_paint([str(program)], [mark], env) if program.exists() else None
                row(f"  {name}", shown)
    print("\nidle for 20 s (CPU ms per second, output bytes per second, RSS MiB)")
    with tempfile.TemporaryDirectory() as folder:
        env = {"HOME": folder, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        steady("instinct, no hosts", [sys.executable, "-m", "console"], 20, env=env)
        for name in ("htop", "btop"):
            if shutil.which(name):
                steady(f"{name} (as it comes)", [name], 20, env=env)
            else:
                print(f"  {name}: absent")


def _install(peers: Path) -> None:
    if not (peers / "bin" / "posting").exists():
        subprocess.run([sys.executable, "-m", "venv", str(peers)], check=True)
        subprocess.run([str(peers / "bin" / "pip"), "install", "-q", "posting", "harlequin"], check=False)


def row(name: str, figures: Sequence[float] | None) -> None:
    """One line."""
    said = [f"{figure:.0f}" if figure < float("inf") else "not seen" for figure in figures or ()]
    print(f"{name}: {' | '.join(said) or 'absent'}", flush=True)


def steady(
    name: str,
    argv: Sequence[str],
    seconds: float,
    *,
    size: tuple[int, int] = (120, 40),
    env: Env = None,
    key: tuple[str, bytes, str] | None = None,
    before: str = "",
) -> None:
    """CPU, output and memory while nothing is typed; then, with `key`, how long a key takes to be seen.

    `key` is what is typed, what is painted then, and how to get back.
    """
    terminal = Terminal(argv, size, env)
    try:
        terminal.read(8)
        if before:
            terminal.press(before)
            terminal.read(3)
        cpu, sent, begin = terminal.cpu_s(), terminal.bytes, time.perf_counter()
        terminal.read(seconds)
        took = time.perf_counter() - begin
        figures = f"{(terminal.cpu_s() - cpu) / took * 1000:.1f} ms/s, {(terminal.bytes - sent) / took / 1000:.1f} KB/s"
        figures += f", {terminal.rss_mib():.0f} MiB"
        delays = [_delay(terminal, key) for _ in range(15)] if key is not None else []
        if delays:
            figures += f"; key to paint median {statistics.median(delays):.0f} ms, worst {max(delays):.0f} ms"
        print(f"  {name}: {figures}", flush=True)
    finally:
        terminal.close()


def _delay(terminal: Terminal, key: tuple[str, bytes, str]) -> float:
    typed, mark, back = key
    terminal.read(0.37)
    begin = time.perf_counter()
    terminal.press(typed)
    _, at = terminal.read(10, lambda seen: mark in seen)
    terminal.press(back)
    return ((at or float("inf")) - begin) * 1000


def busy(seconds: float) -> None:
    """The steady views with a made-up fleet."""
    print("\nbusy views: readings of 8 GPUs a host at 1 Hz, 8 running attempts (CPU, output, memory)")
    feed = [sys.executable, str(HERE / "console_feed.py")]
    env = {"PYTHONPATH": str(HERE.parents[1])}
    key = ("?", b"On this screen", "\x1b")
    for hosts in (64, 256):
        for size in ((80, 24), (120, 40), (200, 60)):
            name = f"fleet, {hosts} hosts, {size[0]}x{size[1]}"
            steady(name, [*feed, "--hosts", str(hosts)], seconds, size=size, env=env, key=key)
    for size in ((120, 40), (200, 60)):
        argv = [*feed, "--hosts", "64", "--log-lines", "5000"]
        steady(f"live, 5,000 log lines/s, {size[0]}x{size[1]}", argv, seconds, size=size, env=env, key=key, before="4")
        steady(f"host, {size[0]}x{size[1]}", [*feed, "--hosts", "64"], seconds, size=size, env=env, key=key, before="2")


def memory() -> None:
    """A simulated day of 16 hosts through board and screens, as fast as it goes: objects and memory by the hour."""
    import asyncio

    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    from console_feed import Made, MadeLink  # type: ignore[import-not-found]  # a script beside this one

    from console.tui.app import Console
    from console.tui.link import Batch
    from console.tui.world import World

    async def day(made: Made) -> None:
        app = Console(World(made.fleet), MadeLink(made, 0), watch_terminal=False)
        async with app.run_test(size=(120, 40)) as pilot:
            app.link.close()
            app.world.apply(Batch(made.attempts, made.looks()))
            begin_ns = time.time_ns()
            for hour in range(25):
                gc.collect()
                rss = rss_mib()
                if hour in (0, 1, 2, 6, 12, 18, 24):
                    print(f"  after {hour:2d} h: {len(gc.get_objects()):,} objects, {rss:.0f} MiB", flush=True)
                for second in range(3600):
                    at = begin_ns + (hour * 3600 + second) * 1_000_000_000
                    app.world.apply(Batch(made.samples(at), made.beats(at)))
                    if second % 60 == 0:
                        app.redraw()
                    if second % 300 == 0:
                        await pilot.press(str(1 + second // 300 % 6))
                        await pilot.pause()

    print("\na simulated day: 16 hosts of 8 GPUs at 1 Hz, 8 attempts, a change of screen every 5 minutes")
    with tempfile.TemporaryDirectory(prefix="instinct-bench-") as folder:
        asyncio.run(day(Made(16, 8, Path(folder))))
    print(f"  highest {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", default="start,steady,memory")
    given = parser.parse_args()
    parts = given.only.split(",")
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if "start" in parts:
        start(given.peers)
    if "steady" in parts:
        busy(given.seconds)
    if "memory" in parts:
        memory()


if __name__ == "__main__":
    main()
