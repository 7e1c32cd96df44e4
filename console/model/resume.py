"""Where to go on in a container's log after a break: exactly, without losing or repeating a frame.

The daemon's times do not rise strictly: the rest of a long unfinished line (a progress bar of more than 16 KiB) carries
the time of its beginning, and stdout and stderr are stamped before they are put in order. So a cursor does not stand at
the newest frame but a little before it, at the last point that nothing still to come can precede, and remembers the
frames already stored from there on. `Cursor.last_at_ns` is that point, `Cursor.seen_at_last` holds one mark for each
remembered frame (equal frames have equal marks, as often as they were seen).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from console.model.attempt import LogFrame
from console.model.events import Cursor

LOOK_BACK_NS = 1_000_000_000
"""How far two streams of one container may be out of order."""

MARK_LIMIT = 256
"""Most frames remembered; beyond it the point moves on. The whole log is compared once more when it is collected."""


class _Mark(msgspec.Struct, frozen=True):
    digest: str
    at_ns: int
    stream: int
    unfinished: bool

    def text(self, point: int) -> str:
        return f"{self.digest}@{self.at_ns - point:x}.{self.stream}" + ("+" if self.unfinished else "")


def frame_digest(frame: LogFrame) -> str:
    """Short identity of a frame among those of the same nanosecond."""
    return hashlib.sha256(bytes([frame.stream]) + frame.data).hexdigest()[:16]


def advance(before: Cursor | None, frames: Sequence[LogFrame]) -> tuple[int, tuple[str, ...]]:
    """`last_at_ns` and `seen_at_last` of the cursor after these frames are stored; frames in the order they came."""
    old = _marks(before) if before is not None else []
    floor = before.last_at_ns if before is not None else 0
    if not frames:
        return floor, before.seen_at_last if before is not None else ()
    unfinished = {mark.stream: mark.at_ns for mark in old if mark.unfinished}
    for frame in frames:
        if frame.data.endswith(b"\n"):
            unfinished.pop(frame.stream, None)
        else:
            unfinished.setdefault(frame.stream, frame.at_ns)
    newest = max(max(frame.at_ns for frame in frames), max((mark.at_ns for mark in old), default=0))
    point = max(floor, min([newest - LOOK_BACK_NS, *unfinished.values()]))
    times = sorted((at for at in (*(m.at_ns for m in old), *(f.at_ns for f in frames)) if at >= point), reverse=True)
    if len(times) > MARK_LIMIT:
        point = max(point, times[MARK_LIMIT - 1])
    last = {frame.stream: index for index, frame in enumerate(frames)}
    kept = [
        msgspec.structs.replace(mark, unfinished=mark.unfinished and mark.stream not in last)
        for mark in old
        if mark.at_ns >= point
    ]
    kept += [
        _Mark(
            frame_digest(frame), frame.at_ns, frame.stream, last[frame.stream] == index and frame.stream in unfinished
        )
        for index, frame in enumerate(frames)
        if frame.at_ns >= point
    ]
    return point, tuple(mark.text(point) for mark in kept)


class Resume:
    """Takes the frames the daemon sends again (from `last_at_ns` on, inclusive) out of a resumed stream."""

    def __init__(self, after: Cursor | None) -> None:
        marks = _marks(after) if after is not None else []
        self._point = after.last_at_ns if after is not None else 0
        self._known = Counter((mark.at_ns, mark.digest) for mark in marks)
        self._times = Counter(mark.at_ns for mark in marks)

    @property
    def missing(self) -> int:
        """Remembered frames that did not come again: above 0 at the end, the daemon has dropped some by rotation."""
        return self._times.total()

    def fresh(self, frames: Iterable[LogFrame]) -> list[LogFrame]:
        """Those not stored yet, in order."""
        if not self._times:
            return [frame for frame in frames if frame.at_ns >= self._point] if self._point else list(frames)
        return [frame for frame in frames if frame.at_ns >= self._point and not self._again(frame)]

    def _again(self, frame: LogFrame) -> bool:
        if not self._times[frame.at_ns]:
            return False
        key = (frame.at_ns, frame_digest(frame))
        if not self._known[key]:
            return False
        self._known[key] -= 1
        self._times[frame.at_ns] -= 1
        if not self._times[frame.at_ns]:
            del self._times[frame.at_ns]
        return True


def _marks(cursor: Cursor) -> list[_Mark]:
    marks = []
    for text in cursor.seen_at_last:
        digest, _, rest = text.partition("@")
        offset, _, stream = rest.partition(".")
        marks.append(
            _Mark(
                digest, cursor.last_at_ns + int(offset or "0", 16), int(stream.rstrip("+") or "0"), text.endswith("+")
            )
        )
    return marks
