"""Follow one part of a running attempt: its bytes to the log file, what they mean to the journal.

A log line meets no file twice: bytes are appended and synced first, then their length is committed together with the
signals read from them. After a crash the file is cut to the committed length and fed to a fresh reader.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Self, TypeVar

from console.model.attempt import LogFrame, Sample, Signal
from console.model.events import Cursor
from console.model.launch import Part
from console.model.resume import advance
from console.runs.office import Ledger
from console.runs.site import SiteError
from console.store.logfile import PartLog
from console.workloads.base import LogReader
from console.workloads.metrics_endpoint import MetricsEndpoint

R = TypeVar("R")

BAR_SPACING_NS = 1_000_000_000
SCRAPE_SPACING_S = 5.0


class Thinner:
    """Keeps progress bars from flooding the journal, and from being told twice (by the log and by attach)."""

    def __init__(self) -> None:
        self._last_at: dict[str, int] = {}
        self._furthest: dict[str, tuple[float, float]] = {}

    def keep(self, signal: Signal) -> bool:
        """False for a bar that is not further than one already told, or too soon after it."""
        if not isinstance(signal, Sample) or signal.source != "progress bar" or signal.done is None:
            return True
        known = self._furthest.get(signal.counts)
        total = signal.total or 0.0
        if known is not None and known[0] == total and signal.done <= known[1]:
            return False
        finished = signal.total is not None and signal.done >= signal.total
        if not finished and signal.at_ns - self._last_at.get(signal.counts, 0) < BAR_SPACING_NS:
            return False
        self._last_at[signal.counts] = signal.at_ns
        self._furthest[signal.counts] = (total, signal.done)
        return True


class Pursuit:
    """One part being followed. `run` ends with the stream; whether the part ended is for `inspect` to say."""

    def __init__(
        self,
        ledger: Ledger,
        part: Part,
        container_id: str,
        make_reader: Callable[[], LogReader],
        on_signal: Callable[[str, Signal], None],
        *,
        live: bool = True,
    ) -> None:
        """`live`: also take progress bars as they are drawn and scrape the part's metrics."""
        office = ledger.office
        self._ledger = ledger
        self._site = office.site
        self._log = PartLog(office.folder, ledger.attempt, part.name)
        self._cursor = office.tail.cursor(ledger.attempt, part.name)
        self._make_reader = make_reader
        self._part = part
        self._container_id = container_id
        self._on_signal = on_signal
        self._live = live
        self._thinner = Thinner()

    @classmethod
    def of(
        cls,
        ledger: Ledger,
        part: Part,
        container_id: str,
        on_signal: Callable[[str, Signal], None],
        *,
        live: bool = True,
    ) -> Self:
        """A pursuit with the reader of the attempt's workload."""
        subject = ledger.subject()
        return cls(
            ledger,
            part,
            container_id,
            lambda: subject.workload.reader(subject.cell, part.name),
            on_signal,
            live=live,
        )

    async def run(self) -> None:
        """Follow to the end of the stream. Raises SiteError when the link breaks.

        One that is cancelled ends with file and journal agreeing, so that another may carry on at once.
        """
        try:
            await self._run()
        finally:
            self._log.close()

    async def _run(self) -> None:
        reader = self._make_reader()
        await _whole(self._off_loop(self._catch_up, reader))
        extras = [asyncio.create_task(self._bars())] if self._live else []
        if self._live and self._part.scrape is not None:
            extras.append(asyncio.create_task(self._scrape()))
        try:
            async for frames in self._site.frames(self._part, self._cursor, follow=self._live):
                if frames:
                    await _whole(self._store(reader, frames))
        finally:
            for task in extras:
                task.cancel()
            await asyncio.gather(*extras, return_exceptions=True)

    def _catch_up(self, reader: LogReader) -> None:
        """Cut the log to what is committed and let a fresh reader see it; its signals are in the journal already."""
        self._log.truncate(self._cursor)
        for signal in reader.feed(list(self._log.frames())):
            self._thinner.keep(signal)
            self._note(signal)

    async def _store(self, reader: LogReader, frames: Sequence[LogFrame]) -> None:
        lengths = await self._off_loop(self._log.append, frames)
        signals = [signal for signal in reader.feed(frames) if self._thinner.keep(signal)]
        cursor = self._advance(frames, lengths)
        await self._journal(signals, cursor)
        self._cursor = cursor
        for signal in signals:
            self._note(signal)

    def _advance(self, frames: Sequence[LogFrame], lengths: tuple[int, int]) -> Cursor:
        last_at_ns, seen_at_last = advance(self._cursor, frames)
        return Cursor(
            attempt=self._ledger.attempt,
            part=self._part.name,
            container_id=self._container_id,
            last_at_ns=last_at_ns,
            seen_at_last=seen_at_last,
            log_bytes=lengths[0],
            index_bytes=lengths[1],
        )

    async def _bars(self) -> None:
        """Progress bars as they are drawn; the log hands them on only when a newline comes."""
        reader = self._make_reader()
        try:
            async for frames in self._site.bars(self._part):
                found = [
                    signal
                    for signal in reader.feed(frames)
                    if isinstance(signal, Sample) and signal.source == "progress bar" and self._thinner.keep(signal)
                ]
                if found:
                    await self._journal(found)
        except SiteError:
            return  # the log tells of a broken link; bars are a convenience

    async def _scrape(self) -> None:
        endpoint = MetricsEndpoint()
        while True:
            await asyncio.sleep(SCRAPE_SPACING_S)
            try:
                text = await self._site.metrics(self._part)
            except SiteError:
                continue  # not listening yet, or not any more
            sample = endpoint.read(time.time_ns(), text)
            if sample is not None:
                await self._journal([sample])

    async def _journal(self, signals: Iterable[Signal], cursor: Cursor | None = None) -> None:
        envelopes = [self._ledger.envelope(signal, self._part.name) for signal in signals]
        await self._ledger.office.journal.append(envelopes, cursor)

    def _note(self, signal: Signal) -> None:
        self._on_signal(self._part.name, signal)

    async def _off_loop(self, call: Callable[..., R], *args: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._ledger.office.pool, lambda: call(*args))


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Work that is not left half done: whoever is cancelled meanwhile is so after its end."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled and not task.exception():
        raise asyncio.CancelledError
    task.result()
