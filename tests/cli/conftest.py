"""The command line, run in this process or in one of its own, away from the user's own files."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from console.cli.main import run

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
        assert process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def fast_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two simulated hosts on which a benchmark takes a moment."""
    yield from _lab(tmp_path_factory.mktemp("fast"), 2000)


@pytest.fixture(scope="module")
def slow_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two simulated hosts on which a benchmark takes long enough to be interrupted."""
    yield from _lab(tmp_path_factory.mktemp("slow"), 30)
