"""One conductor per run, whatever happens to it."""

import os
import subprocess
import sys

import pytest

from console.store.errors import StoreError
from console.store.paths import StateFolder

HOLD = """
import sys
from pathlib import Path
from console.store.paths import StateFolder
lock = StateFolder.open(Path(sys.argv[1])).run_lock("r1")
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def hold(folder: StateFolder) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_only_one_process_holds_a_run_and_its_death_frees_it(folder: StateFolder) -> None:
    mine = folder.run_lock("r1")
    with hold(folder) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not mine.acquire()
        holder = mine.holder()
        assert holder is not None
        assert holder.pid == other.pid
        other.kill()
        other.wait()
    assert mine.holder() is None
    assert mine.acquire()


def test_a_held_run_refuses_another_process_until_it_is_released(folder: StateFolder) -> None:
    with folder.run_lock("r1") as mine:
        assert mine.acquire()
        assert mine.acquire()
        with hold(folder) as other:
            assert other.communicate("")[0] == "False\n"
    with hold(folder) as other:
        assert other.communicate("")[0] == "True\n"


def test_the_holder_is_named_also_within_one_process(folder: StateFolder) -> None:
    with folder.run_lock("r1") as mine:
        assert mine.acquire()
        for lock in (mine, folder.run_lock("r1")):
            holder = lock.holder()
            assert holder is not None
            assert holder.pid == os.getpid()
    assert folder.run_lock("r1").holder() is None


def test_a_run_nobody_ever_held_has_no_holder(folder: StateFolder) -> None:
    assert folder.run_lock("r9").holder() is None


def test_asking_who_holds_a_run_never_makes_it_look_held(folder: StateFolder) -> None:
    asked: list[object] = []
    lock = folder.run_lock("r1")
    other = folder.run_lock("r1")
    assert lock.acquire()
    lock.release()
    for _ in range(50):
        asked.append(other.holder())
        assert lock.acquire()
        lock.release()
    assert asked == [None] * 50


def test_runs_are_locked_one_by_one(folder: StateFolder) -> None:
    assert folder.run_lock("r1").acquire()
    assert folder.run_lock("r2").acquire()


def test_a_lock_that_cannot_be_made_is_explained(folder: StateFolder) -> None:
    (folder.root / "locks" / "r1.lock").mkdir()
    with pytest.raises(StoreError, match="cannot be taken"):
        folder.run_lock("r1").acquire()
