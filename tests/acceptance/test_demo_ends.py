"""However the demo ends, it ends soon, and nothing of it stays behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Kit, Played

SLOWLY = ("demo", "--headless", "--hosts", "3", "--speed", "20")
MOMENTS = {"while the lab starts": "starting 3 simulated hosts", "while rows run": ": (loading|measuring)"}


@pytest.fixture
def demo(kit: "Kit", tmp_path: Path) -> "Played":
    """No lab is up: the demo brings its own. Temporary files go to a folder that can be looked at."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    return kit.nothing_up(tmp_path)


def start(demo: "Played") -> "subprocess.Popen[str]":
    return demo.start(*SLOWLY, TMPDIR=str(demo.base / "tmp"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_demo_that_is_told_to_end_leaves_nothing(demo: "Played", kit: "Kit", moment: str) -> None:
    process = start(demo)
    kit.read_until(process, MOMENTS[moment])
    process.terminate()
    ended = kit.end(process)

    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    assert list((demo.base / "tmp").iterdir()) == []


def test_an_interrupted_demo_shows_what_it_has_and_leaves_nothing(demo: "Played", kit: "Kit") -> None:
    process = start(demo)
    kit.read_until(process, ": (loading|measuring)")
    process.send_signal(signal.SIGINT)
    ended = kit.end(process)

    assert ended.code == 130, ended.err
    assert "(simulated by the embedded lab" in ended.out
    assert list((demo.base / "tmp").iterdir()) == []


def test_a_demo_whose_terminal_closes_leaves_nothing(demo: "Played", kit: "Kit") -> None:
    process, terminal = demo.on_terminal(*SLOWLY, TMPDIR=str(demo.base / "tmp"))
    kit.shown_until(terminal, "loading|measuring")
    os.close(terminal)

    assert process.wait(kit.patience_s) == 130
    assert list((demo.base / "tmp").iterdir()) == []


def test_a_lab_that_is_told_to_end_leaves_nothing(demo: "Played", kit: "Kit") -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "lab", "up", "--hosts", "1"],
        env=demo.environment(TMPDIR=str(demo.base / "tmp")),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    kit.read_until(process, "in another terminal")
    process.terminate()
    ended = kit.end(process)

    assert ended.code == 0
    assert ended.out == "" or Path(ended.out.strip()).name == "fleet.toml"
    assert list((demo.base / "tmp").iterdir()) == []
