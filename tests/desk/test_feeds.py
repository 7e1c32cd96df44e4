"""Feeds yield every event once, in order, and end; sleep and clock are given, so that no test waits."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from console.desk import feeds
from console.desk.feeds import ACTIVE_S, IDLE_S, follow, replay
from console.model.events import ConductorStarted, Envelope, Event, Noticed, RunClosed, RunOpened
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.tail import Tail

SECOND = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder.open(tmp_path / "state")


@pytest.fixture
def journal(folder: StateFolder) -> Iterator[Journal]:
    with Journal(folder) as journal:
        journal.append_now([said(OPENED)])
        yield journal


@pytest.fixture
def tail(folder: StateFolder) -> Iterator[Tail]:
    with Tail(folder) as tail:
        yield tail


OPENED = RunOpened(label="", matrices=(), hosts=(), operator="", version="", attempts=0, simulated=False)


def said(event: Event | str, at_s: float = 0, run: str = "r1") -> Envelope:
    event = Noticed(event) if isinstance(event, str) else event
    return Envelope(at_ns=int(at_s * SECOND), run=run, event=event)


def texts(batch: Sequence[Envelope]) -> list[str]:
    return [item.event.text for item in batch if isinstance(item.event, Noticed)]


class Sleeper:
    """A sleep that returns at once, keeps what it was asked for, and lets the story go on."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.asked: list[float] = []
        self._acts = list(acts)
        self.clock_s = 100.0

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.clock_s += seconds
        if self._acts:
            self._acts.pop(0)()
        await asyncio.sleep(0)

    def clock(self) -> float:
        return self.clock_s


async def test_following_yields_what_is_there_and_what_comes_and_ends_with_the_run(
    journal: Journal, tail: Tail
) -> None:
    journal.append_now([said("one"), said("other run", run="r2")])
    sleep = Sleeper(
        lambda: journal.append_now([said("two")]),
        lambda: None,
        lambda: journal.append_now([said("three"), said(RunClosed("finished"))]),
    )
    batches = [texts(batch) async for batch in follow(tail, "r1", sleep=sleep)]
    assert batches == [["one"], ["two"], ["three"]]


async def test_following_starts_behind_what_is_known(journal: Journal, tail: Tail) -> None:
    last = journal.append_now([said("one"), said("two")])
    journal.append_now([said("three"), said(RunClosed("finished"))])
    assert [texts(batch) async for batch in follow(tail, "r1", last, sleep=Sleeper())] == [["three"]]
    assert [batch async for batch in follow(tail, "r1", last + 2, sleep=Sleeper())] == []


async def test_pages_are_read_without_a_pause_between(
    journal: Journal, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_PAGE", 10)
    journal.append_now([said(str(number)) for number in range(95)])
    journal.append_now([said(RunClosed("finished"))])
    sleep = Sleeper()
    batches = [batch async for batch in follow(tail, "r1", sleep=sleep)]
    assert [len(batch) for batch in batches] == [10] * 9 + [7]
    assert [text for batch in batches for text in texts(batch)] == [str(number) for number in range(95)]
    assert sleep.asked == []


async def test_looking_gets_rarer_while_nothing_happens_and_frequent_again(journal: Journal, tail: Tail) -> None:
    acts: list[Callable[[], object]] = [lambda: None] * 9
    sleep = Sleeper(
        *acts, lambda: journal.append_now([said("news")]), lambda: journal.append_now([said(RunClosed("x"))])
    )
    async for _ in follow(tail, "r1", sleep=sleep):
        pass
    quiet = sleep.asked[:10]
    assert quiet[0] == ACTIVE_S
    assert quiet == sorted(quiet)
    assert quiet[-1] == IDLE_S
    assert sleep.asked[10] == ACTIVE_S


async def test_a_run_that_was_resumed_is_followed_on(journal: Journal, tail: Tail) -> None:
    journal.append_now([said(RunClosed("stopped")), said(ConductorStarted(1, "lap"))])
    sleep = Sleeper(lambda: journal.append_now([said("again"), said(RunClosed("finished"))]))
    assert [texts(batch) async for batch in follow(tail, "r1", sleep=sleep)] == [[], ["again"]]


async def test_without_a_run_all_are_followed_until_the_listener_leaves(journal: Journal, tail: Tail) -> None:
    journal.append_now([said("one"), said(RunClosed("finished")), said("two", run="r2")])
    heard: list[str] = []
    feed = follow(tail, sleep=Sleeper(lambda: journal.append_now([said("three", run="r3")])))
    async for batch in feed:
        heard += texts(batch)
        if "three" in heard:
            break
    assert heard == ["one", "two", "three"]


async def test_a_run_not_opened_yet_is_waited_for(folder: StateFolder, tail: Tail) -> None:
    def begin() -> None:
        with Journal(folder) as late:
            late.append_now([said(OPENED), said("hello"), said(RunClosed("finished"))])

    sleep = Sleeper(lambda: None, begin)
    assert [texts(batch) async for batch in follow(tail, "r1", sleep=sleep)] == [["hello"]]


async def test_the_journal_is_never_read_in_the_loops_own_thread(journal: Journal, tail: Tail) -> None:
    class Watching:
        def __init__(self) -> None:
            self.threads: set[str] = set()

        def since(self, seq: int, run: str | None = None, limit: int = 5000) -> Sequence[Envelope]:
            self.threads.add(threading.current_thread().name)
            return tail.since(seq, run, limit)

        run = staticmethod(tail.run)

    journal.append_now([said(RunClosed("finished"))])
    source = Watching()
    assert [batch async for batch in follow(source, "r1", sleep=Sleeper())]
    assert [batch async for batch in replay(source, "r1", sleep=Sleeper())]
    assert threading.current_thread().name not in source.threads
    assert len(source.threads) == 2


async def test_a_replay_keeps_the_spacing_divided_by_its_speed(journal: Journal, tail: Tail) -> None:
    journal.append_now([said("a", 0), said("b", 0), said("c", 10), said("d", 10), said("e", 30)])
    sleep = Sleeper()
    batches = [texts(batch) async for batch in replay(tail, "r1", 10.0, sleep=sleep, clock=sleep.clock)]
    assert batches == [["a", "b"], ["c", "d"], ["e"]]
    assert sleep.asked == pytest.approx([1.0, 2.0])


async def test_a_replay_that_is_late_catches_up(journal: Journal, tail: Tail) -> None:
    journal.append_now([said("a", 0), said("b", 10), said("c", 11), said("d", 30)])
    sleep = Sleeper()
    heard = []
    async for batch in replay(tail, "r1", 1.0, sleep=sleep, clock=sleep.clock):
        heard.append(texts(batch))
        if len(heard) == 1:
            sleep.clock_s += 10.5  # drawing the first took as long as ten seconds of the run
    assert heard == [["a"], ["b"], ["c"], ["d"]]
    assert sleep.clock_s == pytest.approx(130.0)


async def test_a_clock_that_stepped_back_stands_still_in_a_replay(journal: Journal, tail: Tail) -> None:
    journal.append_now([said("a", 100), said("b", 40), said("c", 101)])
    sleep = Sleeper()
    batches = [texts(batch) async for batch in replay(tail, "r1", from_seq=1, sleep=sleep, clock=sleep.clock)]
    assert batches == [["a", "b"], ["c"]]
    assert sleep.asked == pytest.approx([1.0])


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
async def test_a_replay_needs_a_speed(tail: Tail, speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        await anext(aiter(replay(tail, "r1", speed)))
