"""Readers see what is committed, from any thread, also where nothing can be written."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.model.attempt import Sample
from console.model.events import ConductorStarted, Envelope, Event, Noticed, RunClosed, StopAsked
from console.store.errors import StoreError, UnknownRun
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

Maker = Callable[..., Envelope]


def test_a_journal_that_does_not_exist_yet_is_empty(folder: StateFolder, tail: Tail, sample: Maker) -> None:
    assert (tail.last_seq(), list(tail.since(0)), list(tail.runs()), list(tail.attempts("r1"))) == (0, [], [], [])
    assert (tail.run("r1"), tail.attempt("a1"), list(tail.parts("a1")), tail.cursor("a1", "p")) == (
        None,
        None,
        [],
        None,
    )
    folder.journal.touch()
    assert tail.last_seq() == 0
    folder.journal.unlink()
    with Journal(folder) as journal:
        journal.append_now([sample(1)])
        assert tail.last_seq() == 1


def test_pages_follow_each_other_without_overlap(journal: Journal, tail: Tail, sample: Maker) -> None:
    journal.append_now([sample(number, run=f"r{number % 3}") for number in range(100)])
    for run, total in ((None, 100), ("r1", 33), ("r9", 0)):
        seen: list[Envelope] = []
        pages = 0
        while page := tail.since(seen[-1].seq or 0 if seen else 0, run, limit=10):
            assert len(page) <= 10
            seen.extend(page)
            pages += 1
        assert pages == -(-total // 10)
        assert len(seen) == total
        assert [item.seq for item in seen] == sorted({item.seq or 0 for item in seen})
        assert all(run is None or item.run == run for item in seen)


def test_an_envelope_comes_back_as_it_was_but_for_its_seq(journal: Journal, tail: Tail) -> None:
    event = Noticed("text with \x1b[31m and \u202e stays as it was", level="warning")
    journal.append_now([Envelope(at_ns=2**62, event=event, run="r1", attempt="a1", part="p", seq=77)])
    assert list(tail.since(0)) == [Envelope(at_ns=2**62, event=event, run="r1", attempt="a1", part="p", seq=1)]


def test_one_kind_of_event_of_one_attempt_can_be_asked_for(
    journal: Journal, tail: Tail, sample: Maker, at: Maker
) -> None:
    journal.append_now([sample(1), at(Noticed("hi")), sample(2, attempt="a2"), sample(3), sample(4)])
    assert [item.seq for item in tail.of_attempt("a1", Sample)] == [1, 4, 5]
    assert [item.seq for item in tail.of_attempt("a1", Sample, seq=1, limit=1)] == [4]


def test_attempts_come_in_the_order_of_the_plan(journal: Journal, tail: Tail, planned: Maker) -> None:
    journal.append_now([planned("a3", position=2), planned("a1", position=0), planned("a2", position=2)])
    assert [row.attempt for row in tail.attempts("r1")] == ["a1", "a3", "a2"]


def test_threads_may_share_a_tail(journal: Journal, tail: Tail, sample: Maker) -> None:
    journal.append_now([sample(number) for number in range(500)])
    found: list[int] = []

    def read() -> None:
        found.extend(len(tail.since(0)) for _ in range(10))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [500] * 40


@pytest.fixture
def three_runs(journal: Journal, opened: Maker) -> Journal:
    journal.append_now(
        [opened("r01aa", "nightly"), opened("r01ab", ""), opened("r02", "nightly"), opened("r03", "r01")]
    )
    return journal


@pytest.mark.parametrize(("text", "run"), [("last", "r03"), ("r01aa", "r01aa"), ("r01ab", "r01ab"), ("r02", "r02")])
def test_a_run_is_found_by_last_and_by_id(three_runs: Journal, tail: Tail, text: str, run: str) -> None:
    assert tail.find_run(text).run == run


def test_a_label_goes_before_the_beginning_of_ids(three_runs: Journal, tail: Tail) -> None:
    assert tail.find_run("r01").run == "r03"
    assert tail.find_run("r01a" + "b").run == "r01ab"


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("nightly", ("r02 (nightly)", "r01aa (nightly)")),
        ("r01a", ("r01ab", "r01aa (nightly)")),
        ("nothing", ("r03 (r01)", "r02 (nightly)", "r01ab", "r01aa (nightly)")),
        ("", ("r03 (r01)", "r02 (nightly)", "r01ab", "r01aa (nightly)")),
    ],
)
def test_a_name_of_no_or_several_runs_names_the_candidates(
    three_runs: Journal, tail: Tail, text: str, candidates: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownRun) as caught:
        tail.find_run(text)
    assert caught.value.candidates == candidates
    assert all(candidate in str(caught.value) for candidate in candidates)


def test_without_runs_there_is_no_last_one(tail: Tail) -> None:
    with pytest.raises(UnknownRun, match="there are no runs"):
        tail.find_run("last")


def test_a_conductor_on_a_closed_run_opens_it_again_and_settles_the_old_wish_to_stop(
    journal: Journal, tail: Tail, opened: Maker
) -> None:
    stop = StopAsked("me", "enough")
    events: list[Event] = [
        StopAsked("me", "enough"),
        ConductorStarted(7, "lap"),
        RunClosed("stopped"),
        ConductorStarted(8, "lap"),
    ]
    journal.append_now([opened("r1")])
    seen = []
    for event in events:
        journal.append_now([Envelope(at_ns=5, run="r1", event=event)])
        row = tail.run("r1")
        assert row is not None
        seen.append((row.stop_asked, row.conductor_pid, row.closed_at_ns, row.why))
    assert seen == [(stop, None, None, ""), (stop, 7, None, ""), (stop, 7, 5, "stopped"), (None, 8, None, "")]


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that this process may read and not write; root gives up its powers for the time of the test."""
    root = os.geteuid() == 0
    place = Path(tempfile.mkdtemp())
    yield place
    if root:
        os.setresuid(0, 0, 0)
    place.chmod(0o700)
    shutil.rmtree(place)


def freeze(source: StateFolder, place: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        target = place / f"journal.sqlite{suffix}"
        shutil.copy(f"{source.journal}{suffix}", target)
        target.chmod(0o444)
    place.chmod(0o555)
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 0)


def test_a_closed_journal_is_read_on_read_only_media(folder: StateFolder, read_only: Path, sample: Maker) -> None:
    with Journal(folder) as journal:
        journal.append_now([sample(1), sample(2)])
    freeze(folder, read_only, "")
    with Tail(StateFolder.open(read_only)) as tail:
        assert [item.seq for item in tail.since(0)] == [1, 2]
    assert [path.name for path in read_only.iterdir()] == ["journal.sqlite"]


def test_an_open_journal_on_read_only_media_is_refused_rather_than_read_in_part(
    folder: StateFolder, read_only: Path, journal: Journal, sample: Maker
) -> None:
    journal.append_now([sample(1)])
    freeze(folder, read_only, "", "-wal")
    with pytest.raises(StoreError, match="copy the folder elsewhere"):
        Tail(StateFolder.open(read_only)).last_seq()
