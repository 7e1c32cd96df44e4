"""Where to go on in a container's log after a break: exactly, without losing or repeating a frame.

The daemon's times rise within stdout and within stderr, but not across the two: the rest of a long unfinished line (a
progress bar of more than 16 KiB) carries the time of its beginning while the other stream goes on, and lines are
stamped before they are put in order. So each stream is remembered by itself: the time of its last stored frame, how
many frames carry that time, and the digest of the last. `Cursor.seen_at_last` holds one such mark for each stream;
`Cursor.last_at_ns` is the time to ask the daemon from (inclusive), early enough for everything still to come.

A host whose clock is set back meanwhile may repeat lines, but loses none; the whole log is compared at collection.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from console.model.attempt import LogFrame
from console.model.events import Cursor

LOOK_BACK_NS = 1_000_000_000
"""How far a line may be stamped before it is put in order with the other stream's."""


class _Mark(msgspec.Struct, frozen=True):
    """The last stored frame of a stream: `count` frames of it carry `at_ns`; `open` when its line has not ended."""

    stream: int
    at_ns: int
    count: int
    digest: str
    open: bool

    def text(self) -> str:
        return f"{self.stream}:{self.at_ns}:{self.count}:{self.digest}" + (":open" if self.open else "")


def advance(before: Cursor | None, frames: Sequence[LogFrame]) -> tuple[int, tuple[str, ...]]:
    """`last_at_ns` and `seen_at_last` of the cursor after these frames are stored; frames in the order they came."""
    if not frames:
        return (before.last_at_ns, before.seen_at_last) if before is not None else (0, ())
    marks = _marks(before)
    counts = {mark.stream: (mark.at_ns, mark.count) for mark in marks.values()}
    last: dict[int, LogFrame] = {}
    for frame in frames:
        at_ns, count = counts.get(frame.stream, (-1, 0))
        counts[frame.stream] = (frame.at_ns, count + 1 if at_ns == frame.at_ns else 1)
        last[frame.stream] = frame
    for stream, frame in last.items():
        at_ns, count = counts[stream]
        marks[stream] = _Mark(stream, at_ns, count, _digest(frame), not frame.data.endswith(b"\n"))
    point = min([frames[-1].at_ns - LOOK_BACK_NS, *(mark.at_ns for mark in marks.values() if mark.open)])
    return max(0, point), tuple(marks[stream].text() for stream in sorted(marks))


class Resume:
    """Takes the frames the daemon sends again (from `last_at_ns` on, inclusive) out of a resumed stream."""

    def __init__(self, after: Cursor | None) -> None:
        self._point = after.last_at_ns if after is not None else 0
        # a stream whose last frame lies before the point is not sent again: all of it that comes is new
        self._sought = {stream: mark for stream, mark in _marks(after).items() if mark.at_ns >= self._point}
        self._met = dict.fromkeys(self._sought, 0)
        self._missing = 0

    @property
    def missing(self) -> int:
        """Streams whose last stored frame did not come again; at the first new frame: lines were rotated away."""
        return self._missing + len(self._sought)

    def fresh(self, frames: Iterable[LogFrame]) -> list[LogFrame]:
        """Those not stored yet, in order."""
        return [frame for frame in frames if frame.at_ns >= self._point and self._is_new(frame)]

    def _is_new(self, frame: LogFrame) -> bool:
        mark = self._sought.get(frame.stream)
        if mark is None:
            return True
        if frame.at_ns < mark.at_ns:
            return False
        if frame.at_ns > mark.at_ns:
            del self._sought[frame.stream]
            self._missing += 1
            return True
        self._met[frame.stream] += 1
        if self._met[frame.stream] == mark.count:
            del self._sought[frame.stream]
            if _digest(frame) != mark.digest:
                self._missing += 1
                return True
        return False


def _digest(frame: LogFrame) -> str:
    return hashlib.sha256(frame.data).hexdigest()[:16]


def _marks(cursor: Cursor | None) -> dict[int, _Mark]:
    marks = {}
    for text in cursor.seen_at_last if cursor is not None else ():
        stream, at_ns, count, digest, *rest = text.split(":")
        marks[int(stream)] = _Mark(int(stream), int(at_ns), int(count), digest, bool(rest))
    return marks
