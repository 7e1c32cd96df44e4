"""What lies behind one attempt's figure: its commands, its findings, and every file kept of it."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from console.desk import desk
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.fleet.engine.body import shell_line
from console.model.finding import Effect, State
from console.model.text import Clean, clean, redact

FILE_BYTES = 4_194_304


class Command(msgspec.Struct, frozen=True):
    """What started one container of an attempt, as a person could start it by hand."""

    part: str
    host: str
    line: Clean


class Kept(msgspec.Struct, frozen=True):
    """A file of an attempt. `kind` says what it is, as far as its name tells."""

    name: str
    kind: Literal["log", "facts", "inspect", "vitals", "result", "file"]
    size: int


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """Everything kept of one attempt. `found` are preflight's words about its hosts."""

    attempt: str
    folder: Path
    commands: tuple[Command, ...]
    found: tuple[Clean, ...]
    files: tuple[Kept, ...]


def of_attempt(settings: Settings, attempt: str) -> Paper:
    """What there is of an attempt. Raises DeskError when the store does not know it, StoreError."""
    folder = desk.folder(settings)
    with desk.tail(settings) as tail:
        row = tail.attempt(attempt)
    if row is None:
        raise DeskError(f"there is no attempt {attempt} in {settings.store.value}")
    told = [item for item in row.findings if item.state is not State.PASS or item.effect is not Effect.NOTE]
    return Paper(
        attempt=attempt,
        folder=folder.attempt(attempt),
        commands=tuple(
            Command(part.name, part.host, _safe(shell_line(part, entry=False)))
            for part in (row.launch.parts if row.launch else ())
        ),
        found=tuple(_safe(f"{item.state.value}  {item.check}  {item.sentence()}") for item in told),
        files=_files(folder.attempt(attempt)),
    )


def text(settings: Settings, attempt: str, name: str) -> tuple[Clean, ...]:
    """A file of an attempt as lines that may be shown, JSON laid out; logs have `desk.logs`. Raises DeskError."""
    path = desk.folder(settings).attempt(attempt) / name
    if name not in {item.name for item in _files(path.parent)}:
        raise DeskError(f"{attempt} has no file {name}")
    if path.stat().st_size > FILE_BYTES:
        raise DeskError(f"{path} is too long to be shown here")
    raw = path.read_bytes()
    if name.endswith(".json"):
        with contextlib.suppress(msgspec.DecodeError):  # a program's own file, shown as it is
            raw = msgspec.json.format(raw, indent=2)
    return tuple(_lines(raw))


def _lines(raw: bytes) -> Sequence[Clean]:
    return [Clean(line) for line in redact(clean(raw)).expandtabs(8).split("\n")]


def _safe(text: str) -> Clean:
    return Clean(redact(clean(text)))


def _files(folder: Path) -> tuple[Kept, ...]:
    if not folder.is_dir():
        return ()
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix not in (".idx", ".tmp")]
    return tuple(Kept(path.name, _kind(path.name), path.stat().st_size) for path in found)


def _kind(name: str) -> Literal["log", "facts", "inspect", "vitals", "result", "file"]:
    if name.endswith(".log"):
        return "log"
    if name.startswith("facts."):
        return "facts"
    if name.startswith("vitals."):
        return "vitals"
    if name.endswith(".inspect.json"):
        return "inspect"
    return "result" if "result" in name else "file"
