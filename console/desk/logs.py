"""The stored logs of an attempt, page by page: of any size, never read whole, growing while they are read.

A line ends with a newline. What a carriage return overwrote is left out, as on a terminal. Every call opens the file
anew, so that a log may be cut and read again by its conductor meanwhile; offsets are bytes of the file.
"""

import os
import re
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from sys import byteorder

import msgspec

from console.desk import desk
from console.desk.settings import Settings
from console.model.text import Clean, clean, redact
from console.store.logfile import PartLog

PAGE_BYTES = 131_072
LINE_BYTES = 65_536
"""Of a longer line only the end is shown: nobody reads the beginning of a progress bar without line ends."""
SHOWN = 4000
"""Characters of a line that are shown."""
_RECORD = 16
_BLOCK_RECORDS = 4096
_SEARCH_BYTES = 262_144
_COUNT_BYTES = 8_388_608
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_STRANGE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2[\x80\x81]|\xd8\x9c|\xef")


class LogPart(msgspec.Struct, frozen=True):
    """One log of an attempt: its part (`main`, `rank0`, `server`), the host it ran on (empty when unknown), bytes."""

    part: str
    host: str
    size: int


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line at bytes `start` to `end`, its line end included. `at_ns` is the daemon's time, None when not recorded.

    `whole` is False while it is still being written.
    """

    start: int
    end: int
    text: Clean
    at_ns: int | None = None
    whole: bool = True


class Page(msgspec.Struct, frozen=True):
    """Lines that follow one another, and the size of the log when they were read.

    `start` and `end` are the bytes they cover; with the size they tell whether there is more before and behind.
    """

    lines: tuple[Line, ...]
    start: int
    end: int
    size: int


def parts(settings: Settings, attempt: str) -> tuple[LogPart, ...]:
    """The logs of an attempt that are there, by part. Raises StoreError."""
    folder = desk.folder(settings)
    with desk.tail(settings) as tail:
        hosts = {row.part: row.host for row in tail.parts(attempt)}
    found = {path.stem: path.stat().st_size for path in sorted(folder.attempt(attempt).glob("*.log"))}
    return tuple(
        LogPart(part, hosts.get(part, ""), found.get(part, 0)) for part in sorted({*hosts, *found}, key=_natural)
    )


def open_log(settings: Settings, attempt: str, part: str) -> "LogFile":
    """A reader of one log; it need not be there yet. Raises StoreError, BadName."""
    log = PartLog(desk.folder(settings), attempt, part)
    return LogFile(log.path, log.index)


class LogFile:
    """Reads pages of one log and its frames' times. Blocking; may be used from several threads."""

    def __init__(self, path: Path, index: Path) -> None:
        """Touches nothing yet. A log that does not exist reads as an empty one."""
        self.path = path
        self._times = _Times(index)
        self._seen = 0

    def size(self, until_ns: int | None = None) -> int:
        """Bytes there are; with a time, those of frames that had come by then."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return 0
        if size < self._seen:
            self._times.forget()  # cut by a conductor that came back
        self._seen = size
        return size if until_ns is None else min(size, self._times.upto(until_ns))

    def tail(self, limit: int = PAGE_BYTES, until_ns: int | None = None) -> Page:
        """The last lines, in at most `limit` bytes."""
        size = self.size(until_ns)
        return self.before(size, limit, size)

    def before(self, offset: int, limit: int = PAGE_BYTES, size: int | None = None) -> Page:
        """The lines before an offset where a line begins (or the log ends), in at most `limit` bytes, at least one."""
        size = self.size() if size is None else size
        return self._page(*self._bytes_before(min(offset, size), limit), size)

    def after(self, offset: int, limit: int = PAGE_BYTES, size: int | None = None) -> Page:
        """The lines from an offset where a line begins, in at most `limit` bytes; the last may be unfinished."""
        size = self.size() if size is None else size
        return self._page(offset, self._bytes_after(offset, limit, size), size)

    def around(self, offset: int, limit: int = PAGE_BYTES, size: int | None = None) -> Page:
        """The lines on both sides of an offset where a line begins."""
        size = self.size() if size is None else size
        start, data = self._bytes_before(min(offset, size), limit // 2)
        return self._page(start, data + self._bytes_after(offset, limit // 2, size), size)

    def at(self, share: float, limit: int = PAGE_BYTES) -> Page:
        """The lines around a share of the log, 0 to 1."""
        size = self.size()
        return self.after(self.line_start(int(size * min(1.0, max(0.0, share)))), limit, size)

    def line_start(self, offset: int) -> int:
        """Where the line with this byte begins; a line longer than LINE_BYTES is cut there."""
        begin = max(0, offset - LINE_BYTES)
        cut = self._read(begin, offset).rfind(b"\n")
        return begin + cut + 1 if cut >= 0 or begin == 0 else offset

    def newlines(self, start: int, until_ns: int | None = None) -> int:
        """How many lines ended behind an offset; of very many, those in the first 8 MiB."""
        return self._read(start, min(self.size(until_ns), start + _COUNT_BYTES)).count(b"\n")

    def find(
        self,
        pattern: re.Pattern[str],
        offset: int,
        *,
        backwards: bool = False,
        dropped: Callable[[], bool] = lambda: False,
        until_ns: int | None = None,
    ) -> int | None:
        """Where the next line with a match begins: the first at or behind `offset`, or the last before it.

        None when there is none, or as soon as `dropped` says that nobody wants to know any more.
        """
        size = self.size(until_ns)
        offset = min(offset, size)
        while not dropped():
            start = offset
            if backwards:
                start, data = self._bytes_before(offset, _SEARCH_BYTES)
            else:
                data = self._bytes_after(offset, _SEARCH_BYTES, size)
            if data and (_unsure(data) or pattern.search(_roughly(data))):
                lines = self._page(start, data, size).lines
                ordered = reversed(lines) if backwards else lines
                found = next((line.start for line in ordered if pattern.search(line.text)), None)
                if found is not None:
                    return found
            offset = start if backwards else start + len(data)
            if not data or offset <= 0 or (not backwards and offset >= size):
                return None
        return None

    def _bytes_before(self, offset: int, limit: int) -> tuple[int, bytes]:
        start = max(0, offset - limit)
        data = self._read(start, offset)
        if start > 0:
            cut = data.find(b"\n") + 1
            # a line longer than the page is shown from wherever the page begins
            if 0 < cut < len(data):
                return start + cut, data[cut:]
        return start, data

    def _bytes_after(self, offset: int, limit: int, size: int) -> bytes:
        end = min(size, offset + limit)
        data = self._read(offset, end)
        if end < size:
            cut = data.rfind(b"\n") + 1
            return data[:cut] if cut else data
        return data

    def _read(self, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        except FileNotFoundError:
            return b""

    def _page(self, start: int, data: bytes, size: int) -> Page:
        if not data:
            return Page((), start, start, size)
        raw = data.split(b"\n")
        whole = raw[-1] == b""
        if whole:
            raw.pop()
        texts = _texts(raw)
        bounds = [start]
        for line in raw:
            bounds.append(bounds[-1] + len(line) + 1)
        bounds[-1] = start + len(data)
        times = self._times.of(bounds[:-1])
        last = len(raw) - 1
        lines = tuple(
            Line(bounds[place], bounds[place + 1], text, at_ns, whole or place < last)
            for place, (text, at_ns) in enumerate(zip(texts, times, strict=True))
        )
        return Page(lines, start, bounds[-1], size)


def _texts(raw: Sequence[bytes]) -> Sequence[Clean]:
    """Clean text of lines, all at once: a call for each would cost more than the cleaning."""
    if any(b"\r" in line for line in raw):
        raw = [line.rstrip(b"\r").rsplit(b"\r", 1)[-1] for line in raw]
    raw = [line if len(line) <= LINE_BYTES else "… ".encode() + line[-LINE_BYTES:] for line in raw]
    return [Clean(text) for text in redact(clean(b"\n".join(raw), SHOWN)).split("\n")]


def _roughly(data: bytes) -> str:
    """Quickly made text in which every line that is shown is found, and perhaps more."""
    if b"\x1b" in data:
        data = _COLOURS.sub(b"", data)
    return data.decode("utf-8", "replace").replace("\r", "\n")


def _unsure(data: bytes) -> bool:
    """True when cleaning would take away more than colours and carriage returns: only clean text can be searched."""
    return _STRANGE.search(_COLOURS.sub(b"", data) if b"\x1b" in data else data) is not None


def _natural(name: str) -> tuple[object, ...]:
    return tuple((int(piece) if piece.isdecimal() else -1, piece) for piece in re.split(r"(\d+)", name))


class _Times:
    """When the bytes of a log came, from its frame index; remembers a place in every few thousand frames."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._offsets = array("q", [0])
        """Log offset at which each whole block of the index begins."""
        self._firsts = array("q")
        """Time of the first frame of each whole block."""

    def of(self, offsets: Sequence[int]) -> Sequence[int | None]:
        """The time of the frame with each of these bytes, ascending; None where none is recorded."""
        if not offsets:
            return ()
        with self._lock:
            found: list[int | None] = []
            times, ends = self._frames(self._block_of(offsets[0]))
            for offset in offsets:
                if ends and offset >= ends[-1] and len(times) == _BLOCK_RECORDS:
                    times, ends = self._frames(self._block_of(offset))
                place = bisect_right(ends, offset)
                found.append(times[place] if place < len(times) else None)
            return found

    def forget(self) -> None:
        """The index is not what it was."""
        with self._lock:
            self._offsets, self._firsts = array("q", [0]), array("q")

    def upto(self, until_ns: int) -> int:
        """How many bytes of the log had come by then; all when nothing is recorded."""
        with self._lock:
            self._extend(None)
            if not self._path.is_file():
                return 1 << 62
            block = max(0, bisect_right(self._firsts, until_ns) - 1)
            while True:
                times, ends = self._frames(block)
                place = next((number for number, at_ns in enumerate(times) if at_ns > until_ns), len(times))
                if place < len(times) or len(times) < _BLOCK_RECORDS:
                    return ends[place - 1] if place else self._offsets[block]
                block += 1

    def _block_of(self, offset: int) -> int:
        self._extend(offset)
        return bisect_right(self._offsets, offset) - 1

    def _extend(self, offset: int | None) -> None:
        """Walk over whole blocks of the index, to the one with this byte or to the end."""
        while offset is None or self._offsets[-1] <= offset:
            words = self._words(len(self._offsets) - 1)
            if len(words) < _BLOCK_RECORDS * 4:
                return
            self._firsts.append(words[0] | words[1] << 32)
            self._offsets.append(self._offsets[-1] + sum(words[3::4]))

    def _frames(self, block: int) -> "tuple[array[int], array[int]]":
        """Times of a block's frames, and the log offset behind each."""
        words = self._words(block)
        times = array("q")
        times.frombytes(words.tobytes())
        ends, offset = array("q"), self._offsets[block] if block < len(self._offsets) else 0
        for length in words[3::4]:
            offset += length
            ends.append(offset)
        return times[0::2], ends

    def _words(self, block: int) -> "array[int]":
        """A block of the index as 32-bit words: time (two), stream, length."""
        words = array("I")
        size = _BLOCK_RECORDS * _RECORD
        try:
            with self._path.open("rb") as file:
                file.seek(block * size, os.SEEK_SET)
                data = file.read(size)
        except FileNotFoundError:
            return words
        words.frombytes(data[: len(data) - len(data) % _RECORD])
        if byteorder == "big":
            words.byteswap()
        return words
