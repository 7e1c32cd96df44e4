"""Host keys on record: the user's, the system's, the fleet's and our own, and what a key that is shown means.

Nothing here is ever written to but our own file, and that only on a person's word.
"""

import fcntl
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import asyncssh
import msgspec
import platformdirs

from console.fleet.link import KeyChanged, KeyUnknown, LinkError
from console.model.text import clean_line


def own_file() -> Path:
    """Our own known_hosts: keys a person trusted with `instinct hosts trust`."""
    return platformdirs.user_state_path("instinct") / "known_hosts"


class HostKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key a server showed. `pattern` is how known_hosts names the server: `host`, or `[host]:port` off port 22."""

    host: str
    pattern: str
    algorithm: str
    fingerprint: str
    line: str
    """The whole known_hosts line."""


def pattern_of(name: str, port: int) -> str:
    """How known_hosts names a server."""
    return name if port == 22 else f"[{name}]:{port}"


class KnownHosts:
    """Several known_hosts files as one record, parsed once. A line that cannot be read is left out with a note."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.notes: list[str] = []
        self.record = asyncssh.SSHKnownHosts()
        for path in paths:
            self._load(path)

    def _load(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            self.notes.append(f"{path} cannot be read: {error.strerror}")
            return
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self.record.load(line)
            except ValueError as error:
                self.notes.append(f"{path} line {number}: {clean_line(str(error))}")

    def refusal(self, host: str, key: asyncssh.SSHKey | None, name: str, addr: str, port: int, why: str) -> LinkError:
        """Why a server's key was not accepted: unknown, or changed; `why` is the protocol's own word for it."""
        keys, authorities, revoked, *_ = self.record.match(name, addr, None if port == 22 else port)
        shown = f"{key.get_algorithm()} {key.get_fingerprint()}" if key is not None else "no key"
        pattern = pattern_of(name, port)
        if (key is not None and key in revoked) or "revoked" in why.lower():
            return KeyChanged(host, f"its host key {shown} is revoked", "do not connect; ask who runs the host")
        if keys and (key is None or key not in keys):
            on_record = dict.fromkeys(f"{item.get_algorithm()} {item.get_fingerprint()}" for item in keys)
            recorded = ", ".join(list(on_record)[:3])
            where = ", ".join(str(path) for path in self.files_with(name, port))
            return KeyChanged(
                host,
                f"its host key changed: it shows {shown}, on record is {recorded}",
                f"somebody may be listening in; if the host was installed anew, remove the old key with "
                f"`ssh-keygen -R '{pattern}' -f FILE` from {where or 'the file that has it'} and trust the new one",
            )
        if authorities and key is None:
            return KeyUnknown(
                host, f"its host certificate is not accepted: {why}", "have the host's certificate renewed"
            )
        return KeyUnknown(
            host,
            f"its host key is not on record: {shown}",
            f"compare the fingerprint with the host's own, then `instinct hosts trust {host}`",
        )

    def files_with(self, name: str, port: int) -> list[Path]:
        """The files that have a key for a server."""
        return [path for path in self.paths if path.is_file() and KnownHosts([path])._has(name, port)]

    def _has(self, name: str, port: int) -> bool:
        keys, authorities, *_ = self.record.match(name, "", None if port == 22 else port)
        return bool(keys or authorities)


class KnownHostsCache:
    """Parsed records by their files; read anew when a file changed."""

    def __init__(self) -> None:
        self._parsed: dict[tuple[Path, ...], tuple[tuple[object, ...], KnownHosts]] = {}

    def get(self, paths: Sequence[Path]) -> KnownHosts:
        """The record of these files as they are now."""
        key = tuple(dict.fromkeys(paths))
        stamp = tuple(_stamp(path) for path in key)
        cached = self._parsed.get(key)
        if cached is None or cached[0] != stamp:
            cached = (stamp, KnownHosts(key))
            self._parsed[key] = cached
        return cached[1]


def _stamp(path: Path) -> object:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino


def choose(found: Sequence[HostKey], expected: Mapping[str, Collection[str]]) -> tuple[HostKey, ...]:
    """The keys whose fingerprint somebody vouched for, by host; KeyUnknown for a host that shows none of its own.

    Fingerprints are as ssh-keygen prints them (`SHA256:…`), with or without the padding.
    """
    chosen: list[HostKey] = []
    for host in dict.fromkeys(key.host for key in found):
        wanted = {item.strip().rstrip("=") for item in expected.get(host, ())}
        good = [key for key in found if key.host == host and key.fingerprint.rstrip("=") in wanted]
        if not good:
            shown = ", ".join(f"{key.algorithm} {key.fingerprint}" for key in found if key.host == host)
            reason = "none of them is the expected one" if wanted else "no fingerprint was given for it"
            raise KeyUnknown(
                host, f"it shows {shown}; {reason}", "nothing was stored; check the fingerprint at the host"
            )
        chosen.extend(good)
    return tuple(chosen)


def trust(keys: Sequence[HostKey], known: KnownHosts, path: Path | None = None) -> tuple[HostKey, ...]:
    """Append keys to our own file, all or none, and return those that were new.

    A server that is on record with other keys is KeyChanged: the old key has to be removed by hand first.
    """
    new: list[HostKey] = []
    for key in keys:
        shown = asyncssh.import_public_key(key.line.split(" ", 1)[1])
        name, port = _parts(key.pattern)
        recorded, _, revoked, *_ = known.record.match(name, "", port)
        if shown in revoked:
            raise known.refusal(key.host, shown, name, "", port or 22, "revoked")
        if any(item.algorithm == shown.algorithm and item != shown for item in recorded):
            raise known.refusal(key.host, shown, name, "", port or 22, "")
        if shown not in recorded:
            new.append(key)
    if new:
        _append(path or own_file(), [key.line for key in new])
    return tuple(new)


def _parts(pattern: str) -> tuple[str, int | None]:
    if pattern.startswith("[") and "]:" in pattern:
        name, _, port = pattern[1:].rpartition("]:")
        return name, int(port)
    return pattern, None


def _append(path: Path, lines: Sequence[str]) -> None:
    """Add lines under a lock by writing a new file and renaming it, so that nobody ever reads half a line."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (path.parent / f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old and not old.endswith("\n"):
            old += "\n"
        known = set(old.splitlines())
        added = "".join(f"{line}\n" for line in lines if line not in known)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as copy:
            copy.write(old + added)
            copy.flush()
            os.fsync(copy.fileno())
        Path(copy.name).replace(path)
