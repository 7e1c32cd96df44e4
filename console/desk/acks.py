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
from console.health.kernel_log import BY_ID, MARK_LENGTH
from console.model.finding import Ack
from console.store.paths import make_private

FILE = "acknowledged.json"
_MARK = re.compile(rf"[0-9a-f]{{{MARK_LENGTH}}}")
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
    """Let a fault of a host rest: a class, or `class@address` for one device; up to now unless said otherwise.

    `#mark` behind it, as the finding shows it, is for lines without a time.
    """
    rule, bdf, mark = _parts(fault)
    if rule not in BY_ID:
        raise DeskError(f"no fault class is called {rule!r}; there are {', '.join(BY_ID)}")
    if bdf and not _BDF.fullmatch(bdf):
        raise DeskError(f"{bdf!r} is no PCI address; write it as in the finding, 0000:0f:00.0")
    if mark and not _MARK.fullmatch(mark):
        raise DeskError(f"{mark!r} is no mark of a line; write it as in the finding, {rule}#0123456789")
    ack = Ack(host=host, rule=rule, bdf=bdf, until_ns=until_ns or time.time_ns(), reason=reason, mark=mark)
    with _locked(settings.store.value):
        kept = [old for old in load(settings) if _key(old) != _key(ack)]
        _write(settings.store.value / FILE, (*kept, ack))
    return ack


def remove(settings: Settings, host: str, fault: str) -> bool:
    """Take an acknowledgement back, that of a mark by its mark; False when there was none."""
    rule, bdf, mark = _parts(fault)
    with _locked(settings.store.value):
        before = load(settings)
        kept = tuple(old for old in before if (old.host, old.rule, old.bdf, old.mark) != (host, rule, bdf, mark))
        if len(kept) < len(before):
            _write(settings.store.value / FILE, kept)
    return len(kept) < len(before)


def _parts(fault: str) -> tuple[str, str, str]:
    """Class, address and mark of `CLASS[@ADDRESS][#MARK]`."""
    named, _, mark = fault.removeprefix("kernel.log.").removeprefix("kernel.log:").partition("#")
    rule, _, bdf = named.partition("@")
    return rule, bdf.lower(), mark.lower()


def _key(ack: Ack) -> tuple[str, str, str, bool]:
    """A newer acknowledgement of the same takes its place; those by time and by mark stand beside each other."""
    return ack.host, ack.rule, ack.bdf, bool(ack.mark)


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
