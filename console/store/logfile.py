"""The log of one part: its bytes verbatim, and an index of the frames they came in.

`<part>.log` holds the payload only, so that any tool reads it; `<part>.idx` holds for each frame the daemon's time
(int64), the stream and the length (uint32 each), little endian. Both only grow; the journal's cursor says how much
of them is committed.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from console.model.attempt import LogFrame
from console.model.events import Cursor
from console.store.errors import LogDamaged, NotWritten
from console.store.ids import check_id
from console.store.paths import StateFolder, make_private, private_file

_RECORD = struct.Struct("<qII")
_BLOCK = 65_536


class PartLog:
    """Appends for one writer, reading for anyone. Blocking; the writer keeps two files open until `close`."""

    def __init__(self, folder: StateFolder, attempt: str, part: str) -> None:
        """Touches nothing yet. Raises BadName on ids unfit for paths."""
        base = folder.attempt(attempt)
        self.path = base / f"{check_id(part, 'part')}.log"
        self.index = base / f"{part}.idx"
        self._log: int | None = None
        self._idx: int | None = None

    def append(self, frames: Sequence[LogFrame]) -> tuple[int, int]:
        """Write the frames behind what is there and sync; returns the lengths of log and index in bytes.

        The caller commits these lengths with the signals read from the frames. Raises NotWritten, after which the
        files may hold more than was committed: `truncate` before going on.
        """
        try:
            log, idx = self._open()
            if frames:
                _write(log, b"".join(frame.data for frame in frames))
                _write(idx, b"".join(_RECORD.pack(frame.at_ns, frame.stream, len(frame.data)) for frame in frames))
                os.fsync(log)
                os.fsync(idx)
            return os.fstat(log).st_size, os.fstat(idx).st_size
        except OSError as error:
            raise NotWritten(
                f"the log {self.path} could not be written: {error}", remedy="free space, --resume"
            ) from error

    def truncate(self, cursor: Cursor | None) -> None:
        """Cut off what was written and never committed; None cuts everything.

        Raises LogDamaged when there is less than was committed; nothing is cut then.
        """
        log_bytes, index_bytes = (cursor.log_bytes, cursor.index_bytes) if cursor else (0, 0)
        log, idx = self._open()
        have = os.fstat(log).st_size, os.fstat(idx).st_size
        if have[0] < log_bytes or have[1] < index_bytes:
            raise LogDamaged(
                f"{self.path} has {have[0]} of {log_bytes} committed bytes, its index {have[1]} of {index_bytes}",
                remedy="the log must be read again from the start",
            )
        os.ftruncate(log, log_bytes)
        os.ftruncate(idx, index_bytes)
        os.fsync(log)
        os.fsync(idx)

    def frames(self, until: Cursor | None = None) -> Iterator[LogFrame]:
        """The frames in order, to the cursor when given, else to the last whole one. No files, no frames."""
        left = until.index_bytes // _RECORD.size if until else None
        try:
            log, idx = self.path.open("rb"), self.index.open("rb")
        except FileNotFoundError:
            return
        with log, idx:
            while (left is None or left > 0) and len(record := idx.read(_RECORD.size)) == _RECORD.size:
                at_ns, stream, length = _RECORD.unpack(record)
                data = log.read(length)
                if len(data) < length:
                    return
                left = None if left is None else left - 1
                yield LogFrame(at_ns, stream, data)

    def last_lines(self, count: int, limit: int = 4_194_304) -> list[bytes]:
        """The last lines, oldest first, without line ends; looks at no more than the last `limit` bytes.

        A line that began before those bytes comes without its beginning.
        """
        if count <= 0:
            return []
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            end = start = file.seek(0, os.SEEK_END)
            tail = b""
            while start > 0 and end - start < limit and tail.count(b"\n") <= count:
                step = min(_BLOCK, start, limit - (end - start))
                start -= step
                file.seek(start)
                tail = file.read(step) + tail
        lines = tail.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        return lines[-count:]

    def sha256(self) -> str:
        """SHA-256 (hex) of the log's bytes; of nothing when there is no log."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return hashlib.sha256().hexdigest()

    def close(self) -> None:
        """Close the writer's files."""
        for fd in (self._log, self._idx):
            if fd is not None:
                os.close(fd)
        self._log = self._idx = None

    def __enter__(self) -> "PartLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[int, int]:
        if self._log is None or self._idx is None:
            make_private(self.path.parent)
            self._log, self._idx = _open_append(self.path), _open_append(self.index)
        return self._log, self._idx


def _open_append(path: Path) -> int:
    private_file(path)
    return os.open(path, os.O_RDWR | os.O_APPEND)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
