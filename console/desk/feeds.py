"""Where a board's events come from: the journal as it grows, or a past run at a chosen speed."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Protocol

from console.model.events import Envelope
from console.store.records import RunRow

Sleep = Callable[[float], Awaitable[object]]

ACTIVE_S = 0.25
IDLE_S = 1.0
_SLOWER = 1.3
"""The pause grows by this with every look that found nothing, from ACTIVE_S to IDLE_S."""

_PAGE = 5000


class Source(Protocol):
    """The part of a journal's tail that a feed needs."""

    def since(self, seq: int, run: str | None = None, limit: int = 5000) -> Sequence[Envelope]:
        """Events after `seq`, in order."""

    def run(self, run_id: str) -> RunRow | None:
        """One run by its exact id."""


async def follow(
    tail: Source, run: str | None = None, from_seq: int = 0, *, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[Sequence[Envelope]]:
    """Batches of events after `from_seq` as they are committed; of one run when given.

    Ends when that run is closed and all of it was yielded; without a run it goes on for ever. The journal is read in
    a thread of its own, so that no loop waits for a disk. Raises StoreError as the tail does.
    """
    loop = asyncio.get_running_loop()
    pause_s = ACTIVE_S
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
        while True:
            closed, page = await loop.run_in_executor(pool, _look, tail, run, from_seq)
            if page:
                from_seq = page[-1].seq or from_seq
                pause_s = ACTIVE_S
                yield page
                if len(page) == _PAGE:
                    continue
            elif closed:
                return
            else:
                pause_s = min(IDLE_S, pause_s * _SLOWER)
            if not (page and closed):
                await sleep(pause_s)


def _look(tail: Source, run: str | None, seq: int) -> tuple[bool, Sequence[Envelope]]:
    # First whether it is closed, then the events: in the other order the last ones could be missed.
    row = tail.run(run) if run is not None else None
    closed = row is not None and row.closed_at_ns is not None
    return closed, tail.since(seq, run, _PAGE)


async def replay(
    tail: Source,
    run: str,
    speed: float = 1.0,
    *,
    from_seq: int = 0,
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Sequence[Envelope]]:
    """What is in the journal of a run, in its original spacing divided by `speed`; events due together come together.

    Lateness is made up for, not carried on. A clock that stepped back while the run was recorded counts as standing
    still. Ends with the last event there is. Raises ValueError unless `speed` is above zero.
    """
    if not speed > 0:
        raise ValueError(f"a replay cannot go at speed {speed}")
    begin_s = clock()
    first_ns: int | None = None
    latest_ns = 0
    due: list[Envelope] = []
    async with aclosing(_pages(tail, run, from_seq)) as pages:
        async for page in pages:
            for envelope in page:
                first_ns = envelope.at_ns if first_ns is None else first_ns
                latest_ns = max(latest_ns, envelope.at_ns)
                at_s = begin_s + (latest_ns - first_ns) / 1e9 / speed
                if due and at_s > clock():
                    yield due
                    due = []
                if (wait_s := at_s - clock()) > 0:  # asked again: whoever took what was due took time for it
                    await sleep(wait_s)
                due.append(envelope)
    if due:
        yield due


async def _pages(tail: Source, run: str, seq: int) -> AsyncGenerator[Sequence[Envelope], None]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="replay") as pool:
        while page := await loop.run_in_executor(pool, tail.since, seq, run, _PAGE):
            seq = page[-1].seq or seq
            yield page
