"""One conductor per run: a file lock that dies with its process."""

import fcntl
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from console.store.errors import StoreError

_ATTEMPTS = 20
_PAUSE_S = 0.02


class Holder(msgspec.Struct, frozen=True):
    """The process that holds a run; `since_ns` is that machine's clock."""

    pid: int
    machine: str
    since_ns: int


class RunLock:
    """The exclusive right to conduct a run. The kernel frees it when the process ends, however it ends."""

    def __init__(self, path: Path, pause: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._pause = pause
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False when another process (or another RunLock here) holds it. Raises StoreError."""
        if self._fd is not None:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"the lock {self._path} cannot be taken: {error}", remedy="check owner of it") from error
        for _ in range(_ATTEMPTS):
            # Somebody who asks for the holder takes the lock for an instant; that is not a holder.
            if _lock(fd, fcntl.LOCK_EX):
                os.ftruncate(fd, 0)
                os.pwrite(fd, msgspec.json.encode(Holder(os.getpid(), platform.node(), time.time_ns())), 0)
                self._fd = fd
                return True
            self._pause(_PAUSE_S)
        os.close(fd)
        return False

    def holder(self) -> Holder | None:
        """Who holds the lock now, or None when nobody does."""
        try:
            fd = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            if self._fd is None and _lock(fd, fcntl.LOCK_SH):
                return None
            try:
                return msgspec.json.decode(os.pread(fd, 4096, 0), type=Holder)
            except msgspec.DecodeError:
                return Holder(0, "", 0)  # held, by one that has not written its name yet
        finally:
            os.close(fd)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
