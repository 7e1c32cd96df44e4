"""Frames of container output to lines of text.

A line ends at `\\r`, at `\\n`, or at the closing bracket of a tqdm bar: a bar counts when it is drawn, not when the
next one overwrites it, and a log line glued behind an unfinished bar stands alone. Where the bytes were cut into frames
makes no difference. Each stream (stdout, stderr) has its own state. The time stamps of `docker logs -t` in a log made
by hand are taken off, and give the line its time when its frame has none.
"""

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec

from console.model.attempt import LogFrame
from console.model.text import clean

LIMIT = 65536
"""Bytes of a line that are kept. What follows up to the next line end is dropped."""

_ENDS = re.compile(rb"[\r\n]")
_BAR_END = re.compile(rb"\d/\d[\d.]*[kMGT]? \[(?:\d{1,6}:)?\d{1,6}:\d\d<[^\[\]\r\n]*\]")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]00:00) ")


class Line(msgspec.Struct, frozen=True):
    """One line: the time of the frame that completed it (ns), its stream, and its text without escapes."""

    at_ns: int
    stream: int
    text: str


class _Stream:
    """What is unfinished on one stream."""

    __slots__ = ("at_ns", "pending", "skipping")

    def __init__(self) -> None:
        self.pending = b""
        self.skipping = False
        self.at_ns = 0


class LineSplitter:
    """Feed frames, take lines. Blank lines are left out."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._streams: dict[int, _Stream] = {}

    def feed(self, frame: LogFrame) -> Iterator[Line]:
        """Lines completed by this frame. Consume the iterator before feeding the next frame."""
        state = self._streams.setdefault(frame.stream, _Stream())
        state.at_ns = frame.at_ns
        data = state.pending + frame.data
        state.pending = b""
        start = 0
        for end in _ENDS.finditer(data):
            yield from self._texts(state, data[start : end.start()], frame.stream, ended=True)
            start = end.end()
        yield from self._texts(state, data[start:], frame.stream, ended=False)

    def flush(self) -> Iterator[Line]:
        """The unfinished last line of every stream, for when nothing more comes."""
        for number, state in self._streams.items():
            rest, state.pending = state.pending, b""
            if not state.skipping and rest:
                yield from _line(state.at_ns, number, rest)

    def _texts(self, state: _Stream, chunk: bytes, stream: int, *, ended: bool) -> Iterator[Line]:
        """Lines inside a chunk free of line ends; keeps the rest when the chunk is not `ended`."""
        if state.skipping:
            state.skipping = not ended
            return
        at = 0
        while b"<" in chunk and (bar := _BAR_END.search(chunk, at, at + self._limit)):
            yield from _line(state.at_ns, stream, chunk[at : bar.end()])
            at = bar.end()
        rest = chunk[at:] if at else chunk
        if len(rest) >= self._limit:
            state.skipping = not ended
            yield from _line(state.at_ns, stream, rest[: self._limit])
        elif ended:
            yield from _line(state.at_ns, stream, rest)
        else:
            state.pending = rest


def _line(at_ns: int, stream: int, raw: bytes) -> Iterator[Line]:
    text = raw.decode("utf-8", "replace")
    if "\x1b" in text:
        text = clean(text, LIMIT)
    if text[:1] == "2" and (stamp := _STAMP.match(text)):
        text = text[stamp.end() :]
        at_ns = at_ns or _nanoseconds(stamp[1], stamp[2] or "")
    text = text.rstrip()
    if text:
        yield Line(at_ns, stream, text)


def _nanoseconds(whole: str, fraction: str) -> int:
    """RFC 3339 parts to nanoseconds since 1970; 0 for a date that does not exist."""
    try:
        seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    except (ValueError, OverflowError):
        return 0
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))
