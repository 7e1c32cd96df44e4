"""What a redraw of line plots costs in a real pseudo-terminal, ours beside textual-plot: CPU, bytes, import.

    python tests/benchmarks/plots.py [--plots 2] [--ticks 40] [--points 600] [--size 120x40]

Both draw the same curves, with a window that moves on by one point at each tick. Costs of an app that only repaints one
line are taken off. The peer's Python import (numpy included) is timed in a process of its own.
"""

import argparse
import json
import math
import os
import pty
import random
import struct
import subprocess
import sys
import tempfile
import time
from fcntl import ioctl
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

KINDS = ("nothing", "ours", "textual-plot")


def child(kind: str, plots: int, ticks: int, points: int, report: Path) -> None:
    """The application, in the pseudo-terminal."""
    import resource

    from textual.app import App, ComposeResult
    from textual.widget import Widget
    from textual.widgets import Static

    random.seed(7)
    figures = [
        [1000 + 200 * math.sin(n / 40 + k) + random.random() * 60 for n in range(points + ticks)] for k in (0, 1)
    ]

    class Bench(App[None]):
        CSS = "Plot, PlotWidget { height: 1fr; } Static { height: 1; }"

        def compose(self) -> ComposeResult:
            yield Static("0", id="tick")
            for _ in range(plots if kind != "nothing" else 0):
                yield make()

        def on_mount(self) -> None:
            self.tick = 0
            self.set_timer(1.0, self.begin)

        def begin(self) -> None:
            self.before = resource.getrusage(resource.RUSAGE_SELF)
            Path(f"{report}.begin").touch()
            self.set_interval(0.25, self.step)

        def step(self) -> None:
            self.tick += 1
            if self.tick > ticks:
                now = resource.getrusage(resource.RUSAGE_SELF)
                spent = now.ru_utime + now.ru_stime - self.before.ru_utime - self.before.ru_stime
                report.write_text(json.dumps({"cpu_ms": spent * 1000 / ticks, "rss_mib": now.ru_maxrss / 1024}))
                self.exit()
                return
            self.query_one("#tick", Static).update(str(self.tick))
            for widget in self.query(".plot"):
                show(widget, self.tick)

    if kind == "textual-plot":
        numpy, peer = import_module("numpy"), import_module("textual_plot")  # not among the dependencies
        x = numpy.arange(points, dtype=float) - points

        def make() -> Widget:
            widget: Widget = peer.PlotWidget(classes="plot")
            return widget

        def show(widget: Any, tick: int) -> None:
            widget.clear()
            for curve, colour in zip(figures, ("blue", "red"), strict=True):
                y, mode = numpy.array(curve[tick : tick + points]), peer.HiResMode.BRAILLE
                widget.plot(x, y, line_style=colour, hires_mode=mode)

    else:
        from console.tui.widgets.plots import Plot

        times = [float(n - points) for n in range(points)]

        def make() -> Widget:
            return Plot(classes="plot")

        def show(widget: Any, tick: int) -> None:
            series = {name: curve[tick : tick + points] for name, curve in zip("ab", figures, strict=True)}
            widget.set_series(times, series, unit="tokens/s")

    Bench().run()


def measure(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Run the application in a pseudo-terminal and count what comes out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, __file__, "--child", kind, "--report", str(report)]
        command += ["--plots", str(options.plots), "--ticks", str(options.ticks), "--points", str(options.points)]
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", TEXTUAL_ANIMATIONS="none")
            os.execv(command[0], command)  # noqa: S606 - our own file
        width, height = map(int, options.size.split("x"))
        ioctl(fd, TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        count, begun = 0, Path(f"{report}.begin")
        while True:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            if begun.exists():
                count += len(data)
        os.waitpid(pid, 0)
        return {**json.loads(report.read_text()), "kb": count / options.ticks / 1000}


def import_ms(module: str) -> float:
    """Best of five, an interpreter with Textual's own part taken off."""

    def best(code: str) -> float:
        spent = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            spent.append(time.perf_counter() - begin)
        return min(spent) * 1000

    both = "import textual.app, textual.widgets"
    return max(0.0, best(f"{both}, {module}") - best(both))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plots", type=int, default=2)
    parser.add_argument("--ticks", type=int, default=40)
    parser.add_argument("--points", type=int, default=600)
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--child", choices=KINDS)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.plots, options.ticks, options.points, options.report)
        return
    imports = {"ours": "console.tui.widgets.plots", "textual-plot": "textual_plot"}
    base = measure("nothing", options)
    print(f"{options.plots} plots of 2 x {options.points} points in {options.size}, costs of one redraw of all")
    for kind in KINDS[1:]:
        if find_spec(imports[kind]) is None:
            print(f"{kind:<14} absent: `pip install textual-plot` into this environment brings it")
            continue
        cost = measure(kind, options)
        print(
            f"{kind:<14} {cost['cpu_ms'] - base['cpu_ms']:6.1f} ms CPU {cost['kb'] - base['kb']:6.1f} KB"
            f" {cost['rss_mib'] - base['rss_mib']:6.1f} MiB {import_ms(imports[kind]):6.0f} ms import"
        )


if __name__ == "__main__":
    main()
