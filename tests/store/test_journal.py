"""Appends are durable, ordered, gap-free, whole or absent."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from console.model.attempt import MetricValue, Outcome, Phase, PhaseSeen, Result, Sample, Stage
from console.model.events import AttemptEnded, Cursor, Envelope, Noticed, PartRemoved, RunClosed, StageEntered
from console.store import schema
from console.store.errors import BadName, JournalRefused, NewerJournal, StoreError
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

Maker = Callable[..., Envelope]

CURSOR = Cursor(
    attempt="a1", part="p", container_id="f00", last_at_ns=7, seen_at_last=("ab",), log_bytes=10, index_bytes=16
)


def numbers(tail: Tail) -> list[float | None]:
    return [item.event.rate for item in tail.since(0) if isinstance(item.event, Sample)]


async def test_append_returns_the_last_seq_and_readers_see_it_at_once(
    journal: Journal, tail: Tail, sample: Maker
) -> None:
    assert await journal.append([sample(1), sample(2)]) == 2
    assert await journal.append([sample(3)]) == 3
    assert [item.seq for item in tail.since(0)] == [1, 2, 3]
    assert tail.last_seq() == 3


async def test_concurrent_appends_stay_whole_and_each_learns_its_own_seq(
    journal: Journal, tail: Tail, sample: Maker
) -> None:
    async def one(number: int) -> tuple[int, int]:
        return number, await journal.append([sample(number), sample(number)])

    answers = await asyncio.gather(*(one(number) for number in range(300)))
    rates = numbers(tail)
    assert [item.seq for item in tail.since(0)] == list(range(1, 601))
    assert all(rates[seq - 2 : seq] == [number, number] for number, seq in answers)


def test_threads_append_side_by_side(journal: Journal, tail: Tail, sample: Maker) -> None:
    def many(start: int) -> None:
        for number in range(start, start + 50):
            journal.append_now([sample(number)])

    threads = [threading.Thread(target=many, args=(start,)) for start in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rates = numbers(tail)
    assert tail.last_seq() == 150
    for start in (0, 1000, 2000):
        assert [rate for rate in rates if rate is not None and start <= rate < start + 50] == list(
            range(start, start + 50)
        )


async def test_one_refused_append_of_a_group_hurts_no_other(
    folder: StateFolder, journal: Journal, tail: Tail, opened: Maker, sample: Maker
) -> None:
    journal.append_now([opened("r1")])
    other = sqlite3.connect(folder.journal, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # all three wait for this one, so that they land in one commit
    appends = [
        asyncio.ensure_future(journal.append(events))
        for events in ([sample(1)], [sample(2), opened("r1")], [sample(3), sample(4)])
    ]
    await asyncio.sleep(0)
    other.execute("COMMIT")
    other.close()
    answers = await asyncio.gather(*appends, return_exceptions=True)
    assert answers[0] == 2
    assert isinstance(answers[1], JournalRefused)
    assert answers[2] == 4
    assert numbers(tail) == [1.0, 3.0, 4.0]
    assert journal.append_now([sample(5)]) == 5


async def test_a_cancelled_caller_has_still_appended(journal: Journal, tail: Tail, sample: Maker) -> None:
    task = asyncio.ensure_future(journal.append([sample(1)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal.append_now([sample(2)]) == 2
    assert numbers(tail) == [1.0, 2.0]


def test_the_cursor_is_committed_with_its_events(journal: Journal, tail: Tail, sample: Maker) -> None:
    assert tail.cursor("a1", "p") is None
    journal.append_now([sample(1)], CURSOR)
    assert tail.cursor("a1", "p") == CURSOR
    assert tail.cursor("a1", "q") is None
    assert journal.append_now([], CURSOR) == 1


def test_an_append_that_is_refused_stores_no_cursor(journal: Journal, tail: Tail, opened: Maker) -> None:
    journal.append_now([opened()])
    with pytest.raises(JournalRefused, match="exists"):
        journal.append_now([opened()], CURSOR)
    assert tail.cursor("a1", "p") is None
    assert tail.last_seq() == 1


def test_closing_commits_what_was_appended_and_refuses_what_comes_later(folder: StateFolder, sample: Maker) -> None:
    journal = Journal(folder)
    journal.append_now([sample(1)])
    journal.close()
    journal.close()
    with pytest.raises(StoreError, match="closed"):
        journal.append_now([sample(2)])
    with Journal(folder) as again, Tail(folder) as tail:
        assert again.append_now([sample(3)]) == 2
        assert numbers(tail) == [1.0, 3.0]


@pytest.mark.parametrize(
    ("event", "where"),
    [
        (RunClosed("finished"), {"run": None}),
        (StageEntered(Stage.RUNNING), {"attempt": None}),
        (AttemptEnded(outcome=Outcome.OK), {"run": None}),
        (PartRemoved("n1"), {"part": None}),
    ],
)
def test_an_event_without_its_place_is_refused(
    journal: Journal, tail: Tail, at: Maker, event: object, where: dict[str, None]
) -> None:
    with pytest.raises(JournalRefused, match="without its run, attempt or part"):
        journal.append_now([at(event, **where)])
    assert tail.last_seq() == 0


def test_an_event_that_no_reader_could_decode_is_refused(journal: Journal, tail: Tail, at: Maker) -> None:
    result = Result(headline="latency_s", values=(MetricValue(metric="latency_s", value=float("nan")),))
    for event in (AttemptEnded(outcome=Outcome.OK, result=result), Noticed("bad \udcff text")):
        with pytest.raises(JournalRefused, match="cannot be stored"):
            journal.append_now([at(event)])
    assert tail.last_seq() == 0


@pytest.mark.parametrize("where", [{"run": "../r"}, {"attempt": "a/b"}, {"part": ".."}])
def test_ids_unfit_for_paths_are_refused(journal: Journal, sample: Maker, where: dict[str, str]) -> None:
    with pytest.raises(BadName):
        journal.append_now([sample(1, **where)])


def test_a_newer_journal_is_refused_by_writers_and_readers_and_left_alone(
    folder: StateFolder, journal: Journal, sample: Maker
) -> None:
    journal.append_now([sample(1)])
    journal.close()
    db = sqlite3.connect(folder.journal)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = folder.journal.read_bytes()
    for use in (Journal, lambda where: Tail(where).last_seq()):
        with pytest.raises(NewerJournal, match=r"schema 99.*--store DIR"):
            use(folder)
    assert folder.journal.read_bytes() == before


@pytest.mark.parametrize("reader_first", [True, False])
def test_an_older_journal_is_brought_up_to_date_with_all_it_holds(
    folder: StateFolder, journal: Journal, sample: Maker, monkeypatch: pytest.MonkeyPatch, reader_first: bool
) -> None:
    journal.append_now([sample(1)])
    journal.close()
    step = ("CREATE TABLE more (x INTEGER)", "INSERT INTO more SELECT count(*) FROM events")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    if not reader_first:
        Journal(folder).close()
    with Tail(folder) as tail:
        assert tail.last_seq() == 1
    db = sqlite3.connect(folder.journal)
    assert db.execute("SELECT x FROM more").fetchall() == [(1,)]
    assert db.execute("PRAGMA user_version").fetchone() == (schema.current_version(),)
    db.close()


def test_a_file_that_is_no_journal_is_explained_and_kept(folder: StateFolder) -> None:
    folder.journal.write_bytes(b"this is a text, and rather longer than a header of SQLite, so no database" * 20)
    before = folder.journal.read_bytes()
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Journal(folder)
    with pytest.raises(StoreError, match="cannot be read"):
        Tail(folder).runs()
    assert folder.journal.read_bytes() == before


FULL = """
import resource, sys
from pathlib import Path
from console.model.events import Envelope, Noticed
from console.store.errors import StoreError
from console.store.journal import Journal
from console.store.paths import StateFolder
journal = Journal(StateFolder.open(Path(sys.argv[1])))
event = Envelope(at_ns=1, run="r1", event=Noticed("x" * 5000))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
stored = 0
try:
    while True:
        stored = journal.append_now([event])
except StoreError as error:
    print(stored, "could not be written" in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(journal.append_now([event]))
"""


def test_a_disk_that_takes_no_more_is_reported_and_the_journal_goes_on_when_it_does(folder: StateFolder) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder.root)], capture_output=True, text=True, check=True, timeout=60
    )
    stored, reported, after = done.stdout.split()
    assert (int(stored) > 0, reported, int(after)) == (True, "True", int(stored) + 1)
    with Tail(folder) as tail:
        assert [item.seq for item in tail.since(0)] == list(range(1, int(after) + 1))


def test_phases_of_attempts_nobody_planned_change_no_table(journal: Journal, tail: Tail, at: Maker) -> None:
    journal.append_now([at(PhaseSeen(1, Phase.LOADING))])
    assert tail.attempt("a1") is None
    assert len(tail.since(0)) == 1
