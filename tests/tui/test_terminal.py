"""The console as a process in a real pseudo-terminal: it opens, it ends, and it does not outlive its terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.tui.terminal import Lasting

ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[P_^X].*?\x1b\\|\x1b.", re.S)
LIMIT_S = 90
_NOT_OURS = ("INSTINCT_", "NO_COLOR", "COLUMNS", "LINES")


class Opened:
    """The command in a terminal of 100x30; all it printed is in `seen`."""

    def __init__(self, argv: list[str], home: Path) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        env |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home), "TERM": "xterm-256color"}
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console", *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = b""

    def until(self, shown: str) -> None:
        """Wait until a text was painted."""
        end = time.monotonic() + LIMIT_S
        while shown not in " ".join(ESCAPES.sub(b"", self.seen).decode(errors="replace").split()):
            if time.monotonic() > end or not self._read():
                raise AssertionError(f"{shown!r} was never painted: {self.seen[-2000:]!r}")

    def _read(self) -> bool:
        if not select.select([self.master], [], [], 5)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:  # the other side has closed
            return False
        self.seen += data
        return bool(data)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """Its exit code; what it still prints is read meanwhile."""
        end = time.monotonic() + LIMIT_S
        while self.process.poll() is None and time.monotonic() < end:
            if self.master >= 0 and select.select([self.master], [], [], 0.1)[0]:
                self._read()
            else:
                time.sleep(0.05)
        code = self.process.poll()
        assert code is not None, "it does not end"
        while self.master >= 0 and select.select([self.master], [], [], 0)[0] and self._read():
            pass  # its last words lie in the terminal yet
        return code

    def hang_up(self) -> None:
        """The terminal goes away."""
        os.close(self.master)
        self.master = -1


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    made: list[Opened] = []

    def make(*argv: str) -> Opened:
        made.append(Opened(list(argv), tmp_path))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        if one.master >= 0:
            os.close(one.master)


def test_it_opens_says_why_there_are_no_hosts_and_leaves_the_terminal_as_it_was(opened: Callable[..., Opened]) -> None:
    console = opened()
    console.until("no such fleet file")
    console.press("q")

    assert console.ended() == 0
    assert console.seen.count(b"\x1b[?1049h") == console.seen.count(b"\x1b[?1049l") == 1
    assert b"Traceback" not in console.seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(opened: Callable[..., Opened], number: signal.Signals) -> None:
    console = opened()
    console.until("quit")
    console.process.send_signal(number)

    assert console.ended() == 0
    assert b"\x1b[?1049l" in console.seen


def test_it_ends_when_its_terminal_goes_away(opened: Callable[..., Opened]) -> None:
    console = opened()
    console.until("quit")
    console.hang_up()

    console.ended()


def test_a_signal_to_go_on_begins_nothing_anew_unless_it_was_laid_down(opened: Callable[..., Opened]) -> None:
    console = opened()
    console.until("quit")
    console.process.send_signal(signal.SIGCONT)
    console.press("2")
    console.until("no such fleet file")
    console.press("q")

    assert console.ended() == 0
    assert console.seen.count(b"\x1b[?1049h") == 1


def test_what_is_written_to_a_terminal_that_is_gone_goes_nowhere() -> None:
    master, slave = pty.openpty()
    file = Lasting(os.fdopen(slave, "w"))
    file.write("seen")
    file.flush()
    os.close(master)
    for _ in range(3):
        file.write("x" * 10_000)
        file.flush()

    assert file.fileno() == slave


def test_ascii_sends_nothing_else(opened: Callable[..., Opened]) -> None:
    console = opened("--ascii")
    console.until("quit")
    console.press("q")
    console.ended()

    assert ESCAPES.sub(b"", console.seen).isascii()


def test_without_a_terminal_there_is_help_instead(tmp_path: Path) -> None:
    env = {**os.environ, "HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "console"]
    done = subprocess.run(argv, env=env, text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)

    assert done.returncode == 0
    assert "Usage: instinct" in done.stdout
