"""One part followed: whoever is cancelled leaves nothing half done and nothing open."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.runs.conductor import conduct
from console.runs.office import Ledger
from console.runs.pursuit import Pursuit
from console.store.logfile import PartLog

PATIENCE_S = 200.0
LINES = (b"one\n", b"two\n")


class SlowDisk:
    """A log whose appends wait until they are let go."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._append = PartLog.append

    def append(self, log: PartLog, frames: Sequence[LogFrame]) -> tuple[int, int]:
        self.begun.set()
        assert self.go_on.wait(PATIENCE_S)
        return self._append(log, frames)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk()
    monkeypatch.setattr(PartLog, "append", lambda log, frames: disk.append(log, frames))
    yield disk
    disk.go_on.set()


def open_files(folder: Path) -> set[str]:
    """Names of the files below a folder that this process holds open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(str(folder)):
            found.add(Path(target).name)
    return found


async def pursuit_of(bench: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch) -> Pursuit:
    """A follower of the first part of an attempt that was run, whose stream says two lines and then nothing."""
    run = await bench.open(make_cell())
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    (row,) = bench.tail.attempts(run)
    office = bench.office(run)

    async def frames(part: Any, after: Cursor | None, *, follow: bool) -> AsyncIterator[Sequence[LogFrame]]:
        yield [LogFrame((index + 1) * 10**15, 1, line) for index, line in enumerate(LINES)]
        await asyncio.Event().wait()

    monkeypatch.setattr(office.site, "frames", frames)
    return Pursuit.of(Ledger(office, row.attempt), row.launch.parts[0], "c1", lambda part, signal: None)


@pytest.mark.parametrize("cancels", [1, 2], ids=["once", "twice"])
async def test_a_cancelled_follower_ends_with_file_and_journal_agreeing(
    bench: Any, make_cell: Any, monkeypatch: pytest.MonkeyPatch, slow_disk: SlowDisk, cancels: int
) -> None:
    slow_disk.go_on.set()
    pursuit = await pursuit_of(bench, make_cell, monkeypatch)
    slow_disk.go_on.clear()
    slow_disk.begun.clear()
    (row,) = bench.tail.attempts(bench.tail.find_run("last").run)
    part = row.launch.parts[0].name
    following = asyncio.create_task(pursuit.run())
    with ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, slow_disk.begun.wait, PATIENCE_S)
    for _ in range(cancels):
        following.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not following.done(), "what it writes is not written yet"
    slow_disk.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await following

    cursor = bench.tail.cursor(row.attempt, part)
    log = PartLog(bench.folder, row.attempt, part)
    assert (log.path.stat().st_size, log.index.stat().st_size) == (cursor.log_bytes, cursor.index_bytes)
    assert log.path.read_bytes().endswith(b"".join(LINES))


async def test_an_attempt_leaves_no_file_open(bench: Any, make_cell: Any) -> None:
    run = await bench.open(make_cell("one"), make_cell("two"))
    await asyncio.wait_for(conduct(bench.office(run)), PATIENCE_S)
    assert not [name for name in open_files(bench.folder.root) if name.endswith((".log", ".idx"))]
