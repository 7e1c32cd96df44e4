"""`lab up` in a process of its own: failures that were written for it are played from its next start on."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def lab_up(folder: Path) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "console", "lab", "up", "--hosts", "1", "--dir", str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def test_failures_in_the_folder_are_kept_and_played(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "faults.toml").write_text('[[fault]]\nname = "numa-balancing"\n')
    (folder / ".instinct-lab").touch()
    with lab_up(folder) as lab:
        assert lab.stdout is not None
        assert lab.stdout.readline().strip() == str(folder / "fleet.toml")
        (host,) = (folder / "hosts").iterdir()
        assert (host / "proc/sys/kernel/numa_balancing").read_text() == "1\n"
        assert 'name = "numa-balancing"' in (folder / "faults.toml").read_text()
        lab.send_signal(signal.SIGTERM)
    assert lab.returncode == 0


def test_a_failure_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text('[[fault]]\nname = "oops"\n')
    with lab_up(tmp_path) as lab:
        _, said = lab.communicate()
    assert lab.returncode != 0
    assert "fault 1: no failure is called 'oops'" in said
    assert "Traceback" not in said


def test_a_folder_of_somebody_elses_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with lab_up(tmp_path) as lab:
        _, said = lab.communicate()
    assert lab.returncode != 0
    assert "is not empty and not a lab's" in said
    assert "Traceback" not in said
