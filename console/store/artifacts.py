"""Small files of an attempt: result files, inspect, facts. Whole or absent, never half."""

import hashlib
import os
import secrets
from pathlib import Path

from console.store.errors import ArtifactDamaged, BadName, NotWritten
from console.store.ids import check_id
from console.store.paths import StateFolder, make_private, sync_folder


def path(folder: StateFolder, attempt: str, name: str) -> Path:
    """Where an artifact lies. `name` is relative, with `/` between its parts.

    Raises BadName on a name that leaves the attempt's folder or belongs to a log.
    """
    pieces = name.split("/")
    for piece in pieces:
        check_id(piece, "file name")
    if len(pieces) == 1 and name.endswith((".log", ".idx")):
        raise BadName(f"{name!r} is a name of a part's log", remedy="choose another")
    return folder.attempt(attempt).joinpath(*pieces)


def write(folder: StateFolder, attempt: str, name: str, data: bytes) -> str:
    """Store the bytes under the name, in place of older ones; returns their SHA-256 (hex). Raises NotWritten."""
    replace(path(folder, attempt, name), data)
    return hashlib.sha256(data).hexdigest()


def read(folder: StateFolder, attempt: str, name: str, sha256: str | None = None) -> bytes:
    """The stored bytes. Raises ArtifactDamaged when they are absent, or not those with the given SHA-256."""
    file = path(folder, attempt, name)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ArtifactDamaged(f"{file} cannot be read: {error}") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactDamaged(f"{file} was changed after it was stored", remedy=f"its SHA-256 should be {sha256}")
    return data


def replace(file: Path, data: bytes) -> None:
    """Put the bytes at the path in one step (0600), durable when it returns. Raises NotWritten."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        make_private(file.parent)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)
    except OSError as error:
        raise NotWritten(f"{file} could not be written: {error}", remedy="check free space and owner") from error
