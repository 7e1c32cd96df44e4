"""The feed of a store for a front that stays open: open runs whole, closed ones on request, then what is new."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from console.desk.run_feed import RunFeed
from console.desk.settings import Options, Settings, load
from console.model.events import ConductorStarted, Envelope, Event, Noticed, RunClosed, RunOpened
from console.store.journal import Journal
from console.store.paths import StateFolder

PATIENCE_S = 90.0


def opened(label: str) -> RunOpened:
    return RunOpened(
        label=label, matrices=("m",), hosts=("h",), operator="ann", version="1", attempts=0, simulated=False
    )


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(StateFolder.open(tmp_path / "store"))
    yield journal
    journal.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(Options(store=tmp_path / "store", fleet=tmp_path / "fleet.toml"), {})


async def say(journal: Journal, run: str, *events: Event) -> None:
    await journal.append([Envelope(at_ns=index, run=run, event=event) for index, event in enumerate(events)])


async def gather(feed: RunFeed, wanted: int) -> Sequence[Envelope]:
    """The first so many envelopes."""
    seen: list[Envelope] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(aiter(feed)) as batches:
        async for batch in batches:
            seen += batch
            if len(seen) >= wanted:
                return seen
    raise AssertionError("the feed ended")


async def test_open_runs_come_from_their_beginning_and_closed_ones_do_not(journal: Journal, settings: Settings) -> None:
    await say(journal, "r1", opened("old"), RunClosed("finished"))
    await say(journal, "r2", opened("now"), Noticed("one"))

    seen = await gather(RunFeed(settings), 2)

    assert [(item.run, type(item.event)) for item in seen] == [("r2", RunOpened), ("r2", Noticed)]


async def test_a_closed_run_comes_when_it_is_asked_for_and_once(journal: Journal, settings: Settings) -> None:
    await say(journal, "r1", opened("old"), RunClosed("finished"))
    await say(journal, "r2", opened("now"))
    feed = RunFeed(settings)
    feed.load("r1")
    feed.load("r1")

    seen = await gather(feed, 3)

    assert sorted((item.run or "", item.seq) for item in seen) == [("r1", 1), ("r1", 2), ("r2", 3)]


async def test_a_closed_run_that_goes_on_comes_whole(journal: Journal, settings: Settings) -> None:
    await say(journal, "r1", opened("old"), RunClosed("finished"))
    await say(journal, "r2", opened("now"))
    seen: list[Envelope] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(aiter(RunFeed(settings))) as batches:
        async for batch in batches:
            seen += batch
            if len(seen) == 1:
                await say(journal, "r1", ConductorStarted(1, "here"))
            if len(seen) == 4:
                break

    assert [item.run for item in seen] == ["r2", "r1", "r1", "r1"]
    assert [item.seq for item in seen[1:]] == [1, 2, 4]


async def test_a_run_opened_later_comes_from_its_beginning(journal: Journal, settings: Settings) -> None:
    await say(journal, "r1", opened("one"))
    seen: list[Envelope] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(aiter(RunFeed(settings))) as batches:
        async for batch in batches:
            seen += batch
            if len(seen) == 1:
                await say(journal, "r2", opened("two"), Noticed("x"))
            if len(seen) >= 3:
                break

    assert [(item.run, item.seq) for item in seen] == [("r1", 1), ("r2", 2), ("r2", 3)]


async def test_what_was_forgotten_comes_again(journal: Journal, settings: Settings) -> None:
    await say(journal, "r1", opened("one"))
    feed = RunFeed(settings)
    seen: list[Envelope] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(aiter(feed)) as batches:
        async for batch in batches:
            seen += batch
            if len(seen) == 1:
                feed.forget("r1")
                feed.load("r1")
            if len(seen) == 2:
                break

    assert [item.seq for item in seen] == [1, 1]


async def test_an_empty_store_gives_nothing_until_there_is_something(settings: Settings, tmp_path: Path) -> None:
    feed = RunFeed(settings)

    async def later() -> None:
        await asyncio.sleep(0.05)
        journal = Journal(StateFolder.open(tmp_path / "store"))
        await say(journal, "r1", opened("first"))
        journal.close()

    telling = asyncio.create_task(later())
    seen = await gather(feed, 1)
    await telling

    assert [item.event.label for item in seen if isinstance(item.event, RunOpened)] == ["first"]
    assert msgspec.json.encode(seen[0].event)
