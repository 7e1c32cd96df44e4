"""What happens in the runs of a store, for a front that stays open: whole runs, but only those worth having.

A store may hold years of runs. Open runs are read from their beginning, closed ones when they are asked for or come
to life again; of everything else only what is new.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor

from console.desk import desk
from console.desk.feeds import ACTIVE_S, IDLE_S
from console.desk.settings import Settings
from console.model.events import Envelope, RunOpened
from console.store.tail import Tail

PAGE = 5000
_SLOWER = 1.3


class RunFeed:
    """Iterate it once for batches; `load` asks for a run of the past. Reads in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, int] = {}
        self._wanted: list[str] = []
        self._stir = asyncio.Event()

    def load(self, run: str) -> None:
        """Bring all events of a run with the next batches. Call it on the loop of the iteration."""
        if run not in self._loaded:
            self._wanted.append(run)
            self._stir.set()

    def forget(self, run: str) -> None:
        """Its events are no longer kept by the front: they come again when it is asked for or goes on."""
        self._loaded.pop(run, None)

    async def __aiter__(self) -> AsyncGenerator[Sequence[Envelope], None]:
        """Batches for ever. Raises StoreError as the tail does."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="journal") as pool:
            tail = await loop.run_in_executor(pool, desk.tail, self._settings)
            try:
                seq, opened = await loop.run_in_executor(pool, _begin, tail)
                self._wanted.extend(opened)
                pause_s = ACTIVE_S
                while True:
                    self._stir.clear()
                    while self._wanted:
                        run = self._wanted.pop(0)
                        async for page in self._whole(tail, run, pool):
                            yield page
                    page = await loop.run_in_executor(pool, tail.since, seq, None, PAGE)
                    if page:
                        seq, pause_s = page[-1].seq or seq, ACTIVE_S
                        if fresh := self._fresh(page):
                            yield fresh
                    else:
                        pause_s = min(IDLE_S, pause_s * _SLOWER)
                    if len(page) < PAGE and not self._wanted:
                        await self._rest(pause_s)
            finally:
                await loop.run_in_executor(pool, tail.close)

    def _fresh(self, page: Sequence[Envelope]) -> Sequence[Envelope]:
        """What is new of the runs that are loaded; a run not loaded yet is asked for as a whole."""
        fresh = []
        for envelope in page:
            run = envelope.run
            if run is None:
                continue
            if isinstance(envelope.event, RunOpened):
                self._loaded.setdefault(run, 0)
            upto = self._loaded.get(run)
            if upto is None:
                if run not in self._wanted:
                    self._wanted.append(run)
            elif (envelope.seq or 0) > upto:
                self._loaded[run] = envelope.seq or upto
                fresh.append(envelope)
        return fresh

    async def _whole(self, tail: Tail, run: str, pool: ThreadPoolExecutor) -> AsyncGenerator[Sequence[Envelope], None]:
        loop = asyncio.get_running_loop()
        seq = self._loaded.setdefault(run, 0)
        while page := await loop.run_in_executor(pool, tail.since, seq, run, PAGE):
            seq = self._loaded[run] = page[-1].seq or seq
            yield page
            if len(page) < PAGE:
                return

    async def _rest(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stir.wait()
        except TimeoutError:
            pass


def _begin(tail: Tail) -> tuple[int, Sequence[str]]:
    """Where the journal ends now, and the runs that are open."""
    return tail.last_seq(), [row.run for row in tail.runs() if row.closed_at_ns is None]
