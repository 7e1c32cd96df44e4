"""What is acknowledged survives the death of its writer, and what is left always opens."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.model.attempt import Sample
from console.model.events import Envelope
from console.store.journal import Journal
from console.store.logfile import PartLog
from console.store.paths import StateFolder
from console.store.tail import Tail

# Recovers the way a conductor does, then logs and journals numbered frames for ever, saying each that is committed.
WRITER = """
import sys
from pathlib import Path
from console.model.attempt import LogFrame, Sample
from console.model.events import Cursor, Envelope
from console.store.journal import Journal
from console.store.logfile import PartLog
from console.store.paths import StateFolder
from console.store.tail import Tail

folder = StateFolder.open(Path(sys.argv[1]))
journal, log = Journal(folder), PartLog(folder, "a1", "server")
cursor = Tail(folder).cursor("a1", "server")
log.truncate(cursor)
number = cursor.last_at_ns if cursor else 0
while True:
    number += 1
    log_bytes, index_bytes = log.append([LogFrame(number, 1, b"%d " % number * (number % 50) + b"\\n")])
    cursor = Cursor(attempt="a1", part="server", container_id="f", last_at_ns=number, seen_at_last=(),
                    log_bytes=log_bytes, index_bytes=index_bytes)
    event = Sample(at_ns=number, source="stat line", rate=float(number))
    journal.append_now([Envelope(at_ns=number, run="r1", attempt="a1", part="server", event=event)], cursor)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def run_and_kill(folder: StateFolder, acknowledgements: int, then_s: float) -> int:
    """Let a writer work, kill it at some moment after so many acknowledgements; returns the last one it gave."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder.root)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledgements)]
        time.sleep(then_s)
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().splitlines(keepends=True)
    return int([line for line in lines if line.endswith("\n")][-1])


def test_kill_9_at_random_moments_loses_nothing_acknowledged(folder: StateFolder) -> None:
    chance = random.Random(20250521)
    for _ in range(8):
        acknowledged = run_and_kill(folder, chance.randint(1, 60), chance.random() * 0.004)
        with Tail(folder) as tail, PartLog(folder, "a1", "server") as log:
            cursor = tail.cursor("a1", "server")
            assert cursor is not None
            events = tail.since(0)
            assert [item.seq for item in events] == list(range(1, len(events) + 1))
            assert [item.event.rate for item in events if isinstance(item.event, Sample)] == [
                float(number) for number in range(1, len(events) + 1)
            ]
            assert len(events) >= acknowledged
            assert cursor.last_at_ns == len(events)
            log.truncate(cursor)
            frames = list(log.frames())
            assert [frame.at_ns for frame in frames] == list(range(1, len(events) + 1))
            assert all(frame.data == b"%d " % frame.at_ns * (frame.at_ns % 50) + b"\n" for frame in frames)
            assert log.path.stat().st_size == cursor.log_bytes


@pytest.fixture(scope="module")
def open_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with forty commits that nobody closed: some in the database, some in its write-ahead log."""
    folder = StateFolder.open(tmp_path_factory.mktemp("open") / "state")
    copy = folder.root.parent / "copy"
    copy.mkdir()
    with Journal(folder) as journal:
        for number in range(1, 41):
            event = Sample(at_ns=number, source="stat line", rate=float(number))
            journal.append_now([Envelope(at_ns=number, run="r1", attempt="a1", event=event)])
        for suffix in ("", "-wal"):
            shutil.copy(f"{folder.journal}{suffix}", copy)
    return copy


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1), noise=st.binary(max_size=64))
def test_a_journal_cut_at_any_byte_opens_and_holds_a_beginning_of_what_was_written(
    open_journal: Path, share: float, noise: bytes
) -> None:
    with tempfile.TemporaryDirectory() as place:
        for file in open_journal.iterdir():
            shutil.copy(file, place)
        log = Path(place, "journal.sqlite-wal")
        os.truncate(log, int(log.stat().st_size * share))
        with log.open("ab") as end:
            end.write(noise)
        folder = StateFolder.open(Path(place))
        with Journal(folder) as journal, Tail(folder) as tail:
            kept = len(tail.since(0))
            event = Sample(at_ns=1, source="stat line", rate=0.0)
            assert journal.append_now([Envelope(at_ns=1, event=event)]) == kept + 1
            assert [item.seq for item in tail.since(0)] == list(range(1, kept + 2))
        if share == 1:
            assert kept == 40


APPENDER = """
import asyncio, sys
from pathlib import Path
from console.model.attempt import Sample
from console.model.events import Envelope
from console.store.journal import Journal
from console.store.paths import StateFolder

async def main(run):
    journal = Journal(StateFolder.open(Path(sys.argv[1])))
    def event(number):
        sample = Sample(at_ns=number, source="stat line", rate=float(number))
        return Envelope(at_ns=number, run=run, attempt=f"a{run}", event=sample)
    for number in range(0, 300, 3):
        print(await journal.append([event(number), event(number + 1), event(number + 2)]), flush=True)
    journal.close()

asyncio.run(main(sys.argv[2]))
"""


def test_processes_append_side_by_side_without_gaps_or_mixed_batches(folder: StateFolder, tail: Tail) -> None:
    """No journal exists at first, so that they also race to make it while a reader looks on."""
    names = ("r1", "r2", "r3")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(folder.root), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for name in names
    ]
    seen: list[Envelope] = []
    while any(writer.poll() is None for writer in writers):
        seen.extend(tail.since(seen[-1].seq or 0 if seen else 0, limit=50))
    answers = [writer.communicate() for writer in writers]
    assert [error for _, error in answers] == [b"", b"", b""]
    while page := tail.since(seen[-1].seq or 0 if seen else 0, limit=50):
        seen.extend(page)
    assert [item.seq for item in seen] == list(range(1, 901))
    for name, (output, _) in zip(names, answers, strict=True):
        own = [item for item in seen if item.run == name]
        assert [item.event.rate for item in own if isinstance(item.event, Sample)] == list(range(300))
        assert [item.seq for item in own[2::3]] == [int(line) for line in output.split()]
    assert all(len({item.run for item in seen[start : start + 3]}) == 1 for start in range(0, 900, 3))
