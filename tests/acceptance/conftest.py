"""The real command against the embedded lab: the lab in a thread of the test's process, commands in it or beside it."""

import asyncio
import contextlib
import fcntl
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from console.cli.main import run as run_cli
from console.lab.clock import Clock, HostClock
from console.lab.faults import Fault
from console.lab.up import Lab

T = TypeVar("T")

ONE_CELL = ("vllm-0.8.5-throughput", "--only", "model~70B and output_len==4096")
"""One row of the published page; on the fast labs it takes a moment."""
ANOTHER_IMAGE = "rocm6.3.1_vllm_0.8.5_20250513"
"""An image of the catalog that no host of the lab has."""
PATIENCE_S = 240.0
SLOW = 12.0
"""At this speed a row comes into sight within a moment, and takes long enough to be met while it goes on."""
STILL = 1e-6
"""At this speed nothing ends by itself."""


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed on stdout, which is JSON and nothing else."""
        return json.loads(self.out)


class Played:
    """A lab that is up, a home of its own for commands, and the controls of the lab."""

    def __init__(self, base: Path, lab: Lab, loop: asyncio.AbstractEventLoop) -> None:
        self.base = base
        self.lab = lab
        self.home = base / "home"
        self._loop = loop
        self._slowed, self._fast = lab.clock, lab.clock.speed

    @property
    def fleet(self) -> Path:
        """The fleet file that the lab wrote."""
        return self.lab.fleet_file

    @property
    def hosts(self) -> list[str]:
        """Names of its hosts."""
        return list(self.lab.machines)

    @contextmanager
    def slowly(self, host: str | None = None) -> Iterator[None]:
        """Programs (of one host) take their time as long as the block lasts, and hurry to their ends afterwards."""
        clock = self.lab.clock
        if host is not None:
            clock = Clock(self._fast)
            self.lab.machines[host].clock = HostClock(clock)
        clock.speed, self._slowed = SLOW, clock
        try:
            yield
        finally:
            clock.speed = self._fast
            if host is not None:
                self.lab.machines[host].clock = HostClock(self.lab.clock)

    def stand_still(self) -> None:
        """No program goes on from here to the end of `slowly`."""
        self._slowed.speed = STILL

    def go_on(self) -> None:
        """Programs go at the lab's own speed although the block is `slowly`."""
        self._slowed.speed = self._fast

    def meet(self, process: "subprocess.Popen[str]", pattern: str) -> str:
        """As `read_until`, and what is going on then goes on to the end of `slowly`."""
        said = read_until(process, pattern)
        self.stand_still()
        return said

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the lab's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    @contextmanager
    def faults(self, *names: Fault | str) -> Iterator[None]:
        """These failures of programs and pulls for as long as the block lasts."""
        given = tuple(item if isinstance(item, Fault) else Fault(item) for item in names)
        self.call(self._set(given))
        try:
            yield
        finally:
            self.call(self._set(()))

    async def _set(self, faults: Sequence[Fault]) -> None:
        self.lab.set_faults(faults)

    def containers(self) -> dict[str, list[str]]:
        """Names of the containers that are on the hosts now, whatever their state; hosts without any are left out."""

        async def look() -> dict[str, list[str]]:
            return {
                name: [item.name for item in machine.engine.containers.values()]
                for name, machine in self.lab.machines.items()
                if machine.engine.containers
            }

        return self.call(look())

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a command: nothing of the user's own, this lab's fleet file, a store of its own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("INSTINCT_", "HF_", "XDG_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "NO_COLOR": "1",
            "INSTINCT_FLEET": str(self.fleet),
            "INSTINCT_STORE": str(self.home / "store"),
            "INSTINCT_OPERATOR": "tester",
            **more,
        }

    def run(self, *argv: str | Path, **env: str) -> Ran:
        """A command in this process, to its end."""
        out, err = io.StringIO(), io.StringIO()
        with _environment(self.environment(**env)), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_cli([str(word) for word in argv])
        return Ran(code, out.getvalue(), err.getvalue())

    def start(self, *argv: str | Path, **env: str) -> "subprocess.Popen[str]":
        """A command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "console", *map(str, argv)],
            env=self.environment(**env),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def on_terminal(self, *argv: str | Path, **env: str) -> "tuple[subprocess.Popen[bytes], int]":
        """A command that leads the session of a terminal of its own, and our end of that terminal."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "console", *map(str, argv)],
            env=self.environment(TERM="xterm", **env),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        return process, ours

    def rows(self, run: str = "last", **env: str) -> list[dict[str, Any]]:
        """The rows of a run, as other programs read them."""
        table: list[dict[str, Any]] = self.run("results", run, "--json", **env).json["rows"]
        return table


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def play(hosts: int, speed: float, faults: Sequence[Fault] = (), **more: Any) -> Iterator[Played]:
    """A lab of so many hosts at a speed, with failures it has from the start; its files in memory where possible.

    `more` is what else the lab may be told.
    """
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="instinct-acceptance-", dir=memory if usable else None) as folder:
        base = Path(folder)
        lab = Lab(base / "lab", hosts=hosts, speed=speed, faults=faults, **more)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="lab", daemon=True)
        thread.start()
        played = Played(base, lab, loop)
        played.home.mkdir()
        try:
            played.call(lab.start())
            yield played
        finally:
            played.call(lab.stop())
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE_S)
            loop.close()


def read_until(process: "subprocess.Popen[str]", pattern: str) -> str:
    """Read what a command says on stderr until a line has this in it; returns all that was read."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(f"{pattern!r} was never said:\n{said}")


def shown_until(terminal: int, pattern: str) -> str:
    """Read a terminal until what is shown has this in it; returns all of it."""
    shown = ""
    until = time.monotonic() + PATIENCE_S
    while not re.search(pattern, shown):
        assert time.monotonic() < until, shown
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def end(process: "subprocess.Popen[str]") -> Ran:
    """Wait for a command and take the rest of what it printed."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ran(process.returncode, out, err)


def eventually(check: Callable[[], T]) -> T:
    """Look again until it is true; the look in vain is shown when patience ends."""
    until = time.monotonic() + PATIENCE_S
    while not (seen := check()):
        assert time.monotonic() < until, seen
        time.sleep(0.05)
    return seen


def run_id(said: str) -> str:
    """The id of the run that a command opened, as it says on stderr."""
    found = re.search(r"^(r[a-z0-9]+): \d+ attempt", said, re.MULTILINE)
    assert found, said
    return found[1]


class Kit:
    """The helpers of this folder, for tests that take the fixture `kit`."""

    one_cell = ONE_CELL
    another_image = ANOTHER_IMAGE
    patience_s = PATIENCE_S
    read_until = staticmethod(read_until)
    shown_until = staticmethod(shown_until)
    end = staticmethod(end)
    eventually = staticmethod(eventually)
    run_id = staticmethod(run_id)
    play = staticmethod(play)

    @staticmethod
    def nothing_up(base: Path) -> Played:
        """A home for commands, and no lab."""
        loop = asyncio.new_event_loop()
        loop.close()
        return Played(base, Lab(base / "lab", hosts=1), loop)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


LabOf = Callable[..., Played]


@pytest.fixture(scope="module")
def lab_of() -> Iterator[LabOf]:
    """Start labs that live as long as the module: `lab_of(hosts, speed, faults)`, and what else a lab may be told."""
    with ExitStack() as stack:

        def start(hosts: int, speed: float, faults: Sequence[Fault] = (), **more: Any) -> Played:
            started: AbstractContextManager[Played] = play(hosts, speed, faults, **more)
            return stack.enter_context(started)

        yield start
