"""A container's file system: its own files, bind mounts of the host's root folder, tmpfs that archives cannot see."""

import base64
import io
import json
import posixpath
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from console.lab.clock import rfc3339


class ReadOnlyError(OSError):
    """A write to a read-only mount or outside of what a container may write."""


@dataclass(frozen=True)
class MountPoint:
    """A bind mount: a folder of the host (inside its root folder) at a path of the container."""

    source: str
    target: str
    read_only: bool


class Files:
    """Files of one container. Paths are the container's; relative ones start at its working directory."""

    def __init__(self, root: Path, mounts: tuple[MountPoint, ...], tmpfs: tuple[str, ...], workdir: str) -> None:
        self._root = root
        self._mounts = tuple(sorted(mounts, key=lambda mount: -len(mount.target)))
        self._tmpfs = tmpfs
        self._workdir = workdir or "/"
        self._own: dict[str, bytes] = {}

    @property
    def mounts(self) -> tuple[MountPoint, ...]:
        """The bind mounts, those with the longest paths first."""
        return self._mounts

    def absolute(self, path: str) -> str:
        """The normal form of a path."""
        return posixpath.normpath(posixpath.join(self._workdir, path))

    def on_host(self, path: str) -> tuple[Path, bool] | None:
        """Where a path of a bind mount is in the host's root folder, and whether it is read-only."""
        path = self.absolute(path)
        for mount in self._mounts:
            if path == mount.target or path.startswith(mount.target.rstrip("/") + "/"):
                inner = path[len(mount.target) :].lstrip("/")
                return self._root / mount.source.lstrip("/") / inner, mount.read_only
        return None

    def save(self, path: str, data: bytes) -> None:
        """Write a file. ReadOnlyError on a read-only mount."""
        found = self.on_host(path)
        if found is None:
            self._own[self.absolute(path)] = data
            return
        place, read_only = found
        if read_only:
            raise ReadOnlyError(30, "Read-only file system", path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None; sees tmpfs, as the program does."""
        found = self.on_host(path)
        if found is not None:
            return found[0].read_bytes() if found[0].is_file() else None
        return self._own.get(self.absolute(path))

    def archive(self, path: str) -> tuple[bytes, str] | None:
        """A tar of a file or folder and its stat header, as `GET archive` gives them; None when not there."""
        path = self.absolute(path)
        if any(path == place or path.startswith(place.rstrip("/") + "/") for place in self._tmpfs):
            return None
        members = self._members(path)
        if not members:
            return None
        now = time.time()
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(data), int(now), 0o644
                info.uname = info.gname = "root"
                tar.addfile(info, io.BytesIO(data))
        whole = {
            "name": posixpath.basename(path),
            "size": len(members[0][1]),
            "mode": 0o644,
            "mtime": rfc3339(int(now * 1e9)),
            "linkTarget": "",
        }
        return out.getvalue(), base64.b64encode(json.dumps(whole, separators=(",", ":")).encode()).decode()

    def _members(self, path: str) -> list[tuple[str, bytes]]:
        name = posixpath.basename(path)
        found = self.on_host(path)
        if found is not None:
            place = found[0]
            if place.is_file():
                return [(name, place.read_bytes())]
            files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else []
            return [(f"{name}/{one.relative_to(place).as_posix()}", one.read_bytes()) for one in files]
        if path in self._own:
            return [(name, self._own[path])]
        inside = path.rstrip("/") + "/"
        return [
            (f"{name}/{at[len(inside) :]}", data) for at, data in sorted(self._own.items()) if at.startswith(inside)
        ]

    def unpack(self, path: str, data: bytes) -> None:
        """`PUT archive`: put the files of a tar into a folder. tarfile.TarError on a bad one."""
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                source = tar.extractfile(member)
                if source is not None:
                    self.save(posixpath.join(path, posixpath.normpath("/" + member.name).lstrip("/")), source.read())
