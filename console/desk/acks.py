"""Acknowledged kernel-log faults, kept in the state folder: what has been dealt with rests until it happens again."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.health.kernel_log import BY_ID
from console.model.finding import Ack
from console.store.paths import make_private

FILE = "acknowledged.json"
_BDF = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def load(settings: Settings) -> tuple[Ack, ...]:
    """Every acknowledgement; none where the state folder cannot be read (a monitor has no home). DeskError: broken."""
    path = settings.store.value / FILE
    try:
        raw = path.read_bytes()
    except OSError:
        return ()
    try:
        return msgspec.json.decode(raw, type=tuple[Ack, ...])
    except msgspec.DecodeError as error:
        raise DeskError(f"{path}: not a file of acknowledgements: {error}; remove it to start afresh") from None


def add(settings: Settings, host: str, fault: str, reason: str, until_ns: int | None = None) -> Ack:
    """Let a fault of a host rest: a class, or `class@address` for one device; up to now unless said otherwise."""
    rule, _, bdf = fault.removeprefix("kernel.log.").removeprefix("kernel.log:").partition("@")
    if rule not in BY_ID:
        raise DeskError(f"no fault class is called {rule!r}; there are {', '.join(BY_ID)}")
    if bdf and not _BDF.fullmatch(bdf.lower()):
        raise DeskError(f"{bdf!r} is no PCI address; write it as in the finding, 0000:0f:00.0")
    ack = Ack(host=host, rule=rule, bdf=bdf.lower(), until_ns=until_ns or time.time_ns(), reason=reason)
    with _locked(settings.store.value):
        kept = [old for old in load(settings) if (old.host, old.rule, old.bdf) != (ack.host, ack.rule, ack.bdf)]
        _write(settings.store.value / FILE, (*kept, ack))
    return ack


def remove(settings: Settings, host: str, fault: str) -> bool:
    """Take an acknowledgement back; False when there was none."""
    rule, _, bdf = fault.removeprefix("kernel.log.").partition("@")
    with _locked(settings.store.value):
        before = load(settings)
        kept = tuple(old for old in before if (old.host, old.rule, old.bdf) != (host, rule, bdf.lower()))
        if len(kept) < len(before):
            _write(settings.store.value / FILE, kept)
    return len(kept) < len(before)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        make_private(folder)
        with (folder / f".{FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise DeskError(f"{folder}: cannot be written: {error.strerror or error}") from None


def _write(path: Path, acks: tuple[Ack, ...]) -> None:
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as copy:
        copy.write(msgspec.json.format(msgspec.json.encode(acks), indent=1) + b"\n")
        copy.flush()
        os.fsync(copy.fileno())
    Path(copy.name).replace(path)
