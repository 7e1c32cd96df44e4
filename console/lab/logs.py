"""What a container printed: entries cut as the json-file driver cuts them, and live bytes for those attached."""

import asyncio
import struct
from bisect import bisect_left
from collections.abc import AsyncIterator
from typing import NamedTuple

from console.lab.clock import Clock, rfc3339

STDOUT, STDERR = 1, 2
ENTRY_LIMIT = 16384
"""The driver cuts an entry at a newline or here."""


class Entry(NamedTuple):
    """One log entry: real UTC nanoseconds, stream, bytes."""

    at_ns: int
    stream: int
    data: bytes


def frame(stream: int, data: bytes) -> bytes:
    """A piece of Docker's multiplexed stream."""
    return struct.pack(">BxxxI", stream, len(data)) + data


class Log:
    """The log of one container. Entries are append-only; `changed` wakes followers."""

    def __init__(self, clock: Clock) -> None:
        self.entries: list[Entry] = []
        self.closed = True
        self._clock = clock
        self._partial = {STDOUT: b"", STDERR: b""}
        self._cut = {STDOUT: False, STDERR: False}
        self._changed = asyncio.Event()
        self._attached: set[asyncio.Queue[Entry | None]] = set()

    def open(self) -> None:
        """The container starts: followers wait for more."""
        self.closed = False

    def write(self, stream: int, data: bytes) -> None:
        """Bytes the program printed just now."""
        for queue in self._attached:
            queue.put_nowait(Entry(0, stream, data))
        rest = self._partial[stream] + data
        while (end := rest.find(b"\n")) >= 0 or len(rest) >= ENTRY_LIMIT:
            size = ENTRY_LIMIT if end < 0 or end >= ENTRY_LIMIT else end + 1
            self._append(stream, rest[:size])
            self._cut[stream] = not rest[:size].endswith(b"\n")
            rest = rest[size:]
        self._partial[stream] = rest

    def close(self) -> None:
        """The container ended: what is left without a newline becomes a last entry, followers and attached end."""
        for stream, rest in self._partial.items():
            if rest:
                self._append(stream, rest if self._cut[stream] else rest + b"\n")
            self._partial[stream] = b""
            self._cut[stream] = False
        self.closed = True
        self._wake()
        for queue in self._attached:
            queue.put_nowait(None)

    def _append(self, stream: int, data: bytes) -> None:
        self.entries.append(Entry(self._clock.stamp(), stream, data))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def attach(self) -> "asyncio.Queue[Entry | None]":
        """A queue of what is printed from now on; None ends it. Give it back with `detach`."""
        queue: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._attached.add(queue)
        return queue

    def detach(self, queue: "asyncio.Queue[Entry | None]") -> None:
        """Stop feeding a queue."""
        self._attached.discard(queue)

    def past(self) -> bytes:
        """Everything printed so far, framed, for `attach` with `logs`."""
        whole = b"".join(frame(entry.stream, entry.data) for entry in self.entries)
        return whole + b"".join(frame(stream, rest) for stream, rest in self._partial.items() if rest)

    async def read(
        self,
        *,
        streams: frozenset[int],
        follow: bool,
        timestamps: bool,
        since: int | None = None,
        until: int | None = None,
        tail: int | None = None,
    ) -> AsyncIterator[bytes]:
        """Framed entries in batches. `since` is inclusive; `tail` counts before `since` is looked at."""
        at = 0
        if tail is not None:
            chosen = [index for index, entry in enumerate(self.entries) if entry.stream in streams]
            at = len(self.entries) if tail == 0 else chosen[-tail] if tail < len(chosen) else 0
        if since is not None:
            at = max(at, bisect_left(self.entries, since, key=lambda entry: entry.at_ns))
        follow = follow and not self.closed
        while True:
            changed = self._changed
            batch, at = self.entries[at : at + 500], min(at + 500, len(self.entries))
            if batch:
                wanted = [
                    entry for entry in batch if entry.stream in streams and (until is None or entry.at_ns <= until)
                ]
                yield b"".join(_rendered(entry, timestamps) for entry in wanted)
                if until is not None and batch[-1].at_ns > until:
                    return
                continue
            if not follow or self.closed:
                return
            await changed.wait()


def _rendered(entry: Entry, timestamps: bool) -> bytes:
    data = rfc3339(entry.at_ns).encode() + b" " + entry.data if timestamps else entry.data
    return frame(entry.stream, data)
