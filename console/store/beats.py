"""Live readings of an attempt while it goes on: one plain file for each of its hosts, a JSON line for each turn.

Appended without waiting for the disk: a killed process loses nothing, a power cut the last moments. Breaks are lines
too. When the attempt has ended, the readings are sealed (`store.series`) and these files removed.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from console.model.attempt import Beat, Gap
from console.store.errors import StoreError
from console.store.ids import check_id
from console.store.paths import StateFolder, make_private

_BEFORE, _AFTER = "readings.", ".jsonl"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Beat | Gap)


class BeatFile:
    """The file of one host. One process writes at a time; any number read."""

    def __init__(self, folder: StateFolder, attempt: str, host: str) -> None:
        """Raises BadName on an attempt or host unfit for a file name. Nothing is made yet."""
        self.path = folder.attempt(attempt) / f"{_BEFORE}{check_id(host, 'host')}{_AFTER}"
        self._fd: int | None = None

    def append(self, item: Beat | Gap) -> None:
        """Write one line. Raises StoreError."""
        line = _ENCODER.encode(item) + b"\n"
        try:
            if self._fd is None:
                self._fd = self._open()
            os.write(self._fd, line)
        except OSError as error:
            raise StoreError(f"{self.path} could not be written: {error}", remedy="check free space") from error

    def read(self) -> Iterator[Beat | Gap]:
        """Every whole line, oldest first; one that cannot be read (a power cut) is left out."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                try:
                    yield _DECODER.decode(line)
                except msgspec.DecodeError:
                    continue

    def close(self) -> None:
        """Close the writer's file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        make_private(self.path.parent)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        end = os.lseek(fd, 0, os.SEEK_END)
        if end and os.pread(fd, 1, end - 1) != b"\n":
            os.write(fd, b"\n")  # half a line of a writer that went down: what follows is not joined to it
        return fd


def files(folder: StateFolder, attempt: str) -> Mapping[str, Path]:
    """The files of an attempt that are there, by host."""
    found = sorted(folder.attempt(attempt).glob(f"{_BEFORE}*{_AFTER}"))
    return {path.name[len(_BEFORE) : -len(_AFTER)]: path for path in found}


def read(folder: StateFolder, attempt: str) -> Mapping[str, tuple[Beat | Gap, ...]]:
    """What was read of each host of an attempt so far; empty when it is sealed already."""
    return {host: tuple(BeatFile(folder, attempt, host).read()) for host in files(folder, attempt)}


def discard(folder: StateFolder, attempt: str) -> None:
    """Remove the files of an attempt; they are not missed when they are gone already."""
    for path in files(folder, attempt).values():
        path.unlink(missing_ok=True)
