"""Hosts into the fleet file: one by hand, or all of an ssh configuration or an Ansible inventory."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.fleet import importing, inventory
from console.fleet.importing import Imported, ImportedHost
from console.store.paths import make_private


class Added(msgspec.Struct, frozen=True):
    """What went into the fleet file, what was in it already, and what could not be taken over and why."""

    path: Path
    added: tuple[str, ...]
    known: tuple[str, ...]
    notes: tuple[str, ...]


def add_host(settings: Settings, host: ImportedHost) -> Added:
    """Add one host. Raises DeskError when a host of that name is there, FleetError when the file would be wrong."""
    done = _add(settings, Imported((host,)))
    if done.known:
        raise DeskError(f"{done.path}: {host.name} is in it already; edit the file to change it")
    return done


def add_from_ssh_config(settings: Settings, path: Path | None) -> Added:
    """Add every host of an ssh configuration that is not in the fleet file yet."""
    return _add(settings, importing.from_ssh_config(path or Path.home() / ".ssh" / "config"))


def add_from_ansible(settings: Settings, path: Path) -> Added:
    """Add every host of an Ansible inventory that is not in the fleet file yet."""
    return _add(settings, importing.from_ansible(path))


def _add(settings: Settings, imported: Imported) -> Added:
    path = settings.fleet.value
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    present = {host.name for host in inventory.parse(text, path).hosts} if text else set()
    new = [host for host in imported.hosts if host.name not in present]
    known = tuple(host.name for host in imported.hosts if host.name in present)
    if new:
        text = _joined(text, [importing.host_table(host) for host in new])
        inventory.parse(text, path)  # what is written must be readable again
        _write(path, text)
    return Added(path, tuple(host.name for host in new), known, imported.notes)


def _joined(text: str, tables: Sequence[str]) -> str:
    head = text.rstrip("\n")
    return "\n\n".join(([head] if head else []) + list(tables)) + "\n"


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, so that nobody ever reads half of it; a link stays a link."""
    path = path.resolve()
    try:
        make_private(path.parent)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as copy:
            copy.write(text)
            copy.flush()
            os.fsync(copy.fileno())
        Path(copy.name).chmod(mode)
        Path(copy.name).replace(path)
    except OSError as error:
        raise DeskError(f"{path}: cannot be written: {error.strerror}") from None
