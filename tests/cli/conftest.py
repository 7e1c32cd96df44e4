"""The command line, run in this process or in one of its own, away from the user's own files."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from console.cli.main import run
from console.lab.clock import Clock
from console.lab.up import Lab as PlayedLab

INSTINCT = (sys.executable, "-m", "console")


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: configuration, state and cache folders of its own, no INSTINCT_ or HF_ variable, no colour."""
    for name in list(os.environ):
        if name.startswith(("INSTINCT_", "HF_")):
            monkeypatch.delenv(name)
    for name, value in _variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def _variables(home: Path) -> Mapping[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "NO_COLOR": "1",
    }


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str]) -> RunCli:
    """Run a command in this process."""

    def call(*argv: str | Path) -> Ran:
        code = run([str(word) for word in argv])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def fleet_file(home: Path) -> Path:
    """Three hosts, described only: nothing listens there."""
    path = home / "config" / "instinct" / "fleet.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        '[defaults]\nserver = "mi300x-2x9654"\nmodel_cache = "/data/hf"\n'
        '[hosts."node[01-02]"]\naddress = "127.0.0.1"\nport = 1\ngroups = ["rack2"]\n'
        '[hosts.gpu9]\naddress = "127.0.0.1"\nport = 1\nuser = "ops"\n',
        encoding="utf-8",
    )
    return path


class Lab(NamedTuple):
    """The embedded lab in a process of its own, and a home for the commands that use it."""

    fleet: Path
    home: Path
    clock: Clock = Clock(1.0)

    def stand_still(self) -> None:
        """What runs on its hosts goes on only after `go_on`, however long a command takes to begin."""
        self.clock.speed = 1e-6

    def go_on(self, speed: float) -> None:
        """It goes on, at another speed."""
        self.clock.speed = speed

    def env(self) -> dict[str, str]:
        """The environment of a command on the lab."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INSTINCT_", "HF_"))}
        return {
            **kept,
            **_variables(self.home),
            "INSTINCT_FLEET": str(self.fleet),
            "INSTINCT_STORE": str(self.home / "store"),
            "INSTINCT_OPERATOR": "tester",
        }

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            [*INSTINCT, *argv],
            env=self.env(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *argv: str) -> Ran:
        """Run a command to its end."""
        process = self.start(*argv)
        out, err = process.communicate(timeout=100)
        return Ran(process.returncode, out, err)


def _lab(folder: Path, speed: int) -> Iterator[Lab]:
    argv: Sequence[str] = [*INSTINCT, "lab", "up", "--hosts", "2", "--speed", str(speed), "--dir", str(folder / "lab")]
    process = subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        fleet = Path(process.stdout.readline().strip())
        assert fleet.is_file(), process.communicate(timeout=10)[1]
        yield Lab(fleet, folder / "home")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=90) == 0


@pytest.fixture(scope="module")
def fast_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two simulated hosts on which a benchmark takes a moment."""
    yield from _lab(tmp_path_factory.mktemp("fast"), 2000)


@pytest.fixture(scope="module")
def _lab_in_a_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder, loop = tmp_path_factory.mktemp("slow"), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    played = PlayedLab(folder / "lab", hosts=2)
    asyncio.run_coroutine_threadsafe(played.start(), loop).result(90)
    try:
        yield Lab(played.fleet_file, folder / "home", played.clock)
    finally:
        asyncio.run_coroutine_threadsafe(played.stop(), loop).result(90)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def slow_lab(_lab_in_a_thread: Lab) -> Lab:
    """Two simulated hosts on which a benchmark takes long enough to be interrupted, and can be made to stand still."""
    _lab_in_a_thread.clock.speed = 30.0
    return _lab_in_a_thread
