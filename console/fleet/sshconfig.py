"""What OpenSSH's configuration says of one host, read as OpenSSH reads it where asyncssh is stricter.

A line that cannot be read is an error only for the hosts it applies to; the message has file and line.
"""

import contextlib
import getpass
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import asyncssh
import msgspec
from asyncssh.config import ConfigParseError, SSHClientConfig

from console.fleet.host import Fleet
from console.fleet.link import ConfigError

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
USER_KNOWN_HOSTS = (Path("~/.ssh/known_hosts"), Path("~/.ssh/known_hosts2"))

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(r"(?:\d+[smhdw]?)+", re.IGNORECASE)
_HOSTNAME = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something to connect to: a host of the fleet, or one hop on the way; `name` is for messages."""

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity: Path | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration makes of a target. `notes` are for people: what was skipped, and why."""

    target: Target
    host: str
    port: int
    user: str
    jumps: tuple[str, ...]
    proxy_command: bool
    key_name: str
    """The name host keys are looked up under: HostKeyAlias, or the host name."""
    known_hosts: tuple[Path, ...]
    connect_timeout_s: float | None
    config: Any
    """asyncssh's own form of the configuration."""
    client_keys: tuple[str, ...] | None
    """Key files to offer; None: the default ones."""
    ciphers_chosen: bool
    compression_chosen: bool
    notes: tuple[str, ...] = ()


class _Config(SSHClientConfig):
    """asyncssh's reader, with time formats (`1m30s`), and with bad lines confined to the hosts they are about."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.notes: list[str] = []
        self._shown: dict[Path, Path] = {}

    def _error(self, reason: str) -> NoReturn:
        path = self._shown.get(self._path, self._path)
        raise ConfigParseError(f"{path} line {self._line_no}: {reason}")

    def parse(self, path: Path) -> None:
        """Parse a file; lines that cannot be split into words become errors of their own block only."""
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        bad = [number for number, line in enumerate(lines) if not _splits(line)]
        if not bad:
            super().parse(path)
            return
        for number in bad:
            lines[number] = "ConnectTimeout unbalanced-quotes"
        with tempfile.NamedTemporaryFile("w", suffix=".ssh_config", encoding="utf-8") as copy:
            copy.write("\n".join(lines) + "\n")
            copy.flush()
            self._shown[Path(copy.name)] = path
            super().parse(Path(copy.name))

    def _set_seconds(self, option: str, args: list[str]) -> None:
        text = args.pop(0)
        if text == "unbalanced-quotes":
            self._error("a quotation mark is not closed")
        if text.lower() == "none":
            return
        if not _TIME.fullmatch(text):
            self._error(f"Invalid {option} value: {text}")
        seconds = sum(int(n) * _UNITS[unit.lower()] for n, unit in re.findall(r"(\d+)([smhdwSMHDW]?)", text))
        self._options.setdefault(option, seconds)

    def _match_or_skip(self, option: str, args: list[str]) -> None:
        try:
            self._match(option, args)
        except ConfigParseError as error:
            self.notes.append(f"{error}: the block is skipped")
            self._matching = False
            args.clear()

    _handlers: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # a class variable there too, only not declared as one
        **SSHClientConfig._handlers,
        "connecttimeout": ("ConnectTimeout", _set_seconds),
        "serveraliveinterval": ("ServerAliveInterval", _set_seconds),
        "match": ("Match", _match_or_skip),
    }


def config_files(fleet: Fleet) -> list[Path]:
    """The ssh configurations that apply: the fleet file's own choice, or the user's and the system's."""
    if fleet.ssh_config is not None:
        return [fleet.ssh_config]
    if fleet.isolated:
        return []
    candidates = [Path("~/.ssh/config").expanduser(), SYSTEM_CONFIG]
    return [path for path in candidates if path.is_file() and os.access(path, os.R_OK)]


def resolve(fleet: Fleet, target: Target) -> Settings:
    """Read the configuration for a target. Blocks (files, `Match exec`): call it from a thread.

    Raises ConfigError with file and line for a line that applies to the target and cannot be read.
    """
    config = _load(fleet, target)
    host = str(config.get("Hostname") or target.address)
    if not _HOSTNAME.fullmatch(host.strip("[]")):
        raise ConfigError(
            target.name, f"{host!r} is no host name or address", "look at Hostname in the ssh configuration"
        )
    notes = list(config.notes)
    jump = target.jump if target.jump is not None else config.get("ProxyJump")
    timeout = config.get("ConnectTimeout")
    return Settings(
        target=target,
        host=host.strip("[]"),
        port=target.port or int(str(config.get("Port") or 22)),
        user=target.user or str(config.get("User") or getpass.getuser()),
        jumps=tuple(hop.strip() for hop in str(jump).split(",") if hop.strip()) if jump and jump != "none" else (),
        proxy_command=bool(config.get("ProxyCommand")) and not jump,
        key_name=str(config.get("HostKeyAlias") or host.strip("[]")),
        known_hosts=_known_hosts(fleet, config, notes),
        connect_timeout_s=float(str(timeout)) if timeout else None,
        config=config,
        client_keys=_client_keys(fleet, target, config, notes),
        ciphers_chosen=config.get("Ciphers") is not None,
        compression_chosen=config.get("Compression") is not None,
        notes=tuple(notes),
    )


def _load(fleet: Fleet, target: Target) -> _Config:
    paths = config_files(fleet)
    user: Any = target.user or ()
    port: Any = target.port or ()
    arguments = (getpass.getuser(), user, target.address, port)
    try:
        config = _Config.load(None, [*paths], False, False, False, *arguments)
        if config.has_match_final():
            config = _Config.load(config, [*paths], True, False, True, *arguments)
    except (ValueError, asyncssh.Error) as error:
        remedy = "correct that line; other hosts are not affected"
        raise ConfigError(target.name, f"ssh configuration: {error}", remedy) from None
    except OSError as error:
        raise ConfigError(target.name, f"ssh configuration cannot be read: {error}", "check its permissions") from None
    assert isinstance(config, _Config)  # noqa: S101 - load() is typed for its base class
    return config


def _known_hosts(fleet: Fleet, config: SSHClientConfig, notes: list[str]) -> tuple[Path, ...]:
    """Every file a host key may stand in, whether or not it exists; our own file is added by who connects."""
    if fleet.isolated:
        return fleet.known_hosts
    user: Any = config.get("UserKnownHostsFile")
    system: Any = config.get("GlobalKnownHostsFile")
    if user is not None and (not user or "/dev/null" in user):
        notes.append("the ssh configuration sets no UserKnownHostsFile for it, so keys OpenSSH saw are not on record")
    chosen = [*map(Path, user if user is not None else USER_KNOWN_HOSTS)]
    chosen += map(Path, system if system is not None else SYSTEM_KNOWN_HOSTS)
    return (*fleet.known_hosts, *(path.expanduser() for path in chosen if str(path) != "/dev/null"))


def _client_keys(fleet: Fleet, target: Target, config: SSHClientConfig, notes: list[str]) -> tuple[str, ...] | None:
    """Key files to offer. A missing one is skipped with a note, as OpenSSH does, unless the fleet file names it."""
    if target.identity is not None:
        if not target.identity.is_file():
            raise ConfigError(target.name, f"identity {target.identity} is not there", "correct it in the fleet file")
        return (str(target.identity),)
    if fleet.isolated:
        return ()
    files: Any = config.get("IdentityFile")
    if not files:
        return None
    only = bool(config.get("IdentitiesOnly"))
    found: list[str] = []
    for name in files:
        path = Path(name).expanduser()
        public = path.with_name(path.name + ".pub")
        why = _unusable(path)
        if not why:
            found.append(str(path))
        elif only and public.is_file():
            found.append(str(public))  # names the key of the agent that may be used
        else:
            notes.append(f"IdentityFile {path} {why}: skipped")
    return tuple(found)


def _unusable(path: Path) -> str:
    """Why a private key file cannot be offered; nothing when it can."""
    try:
        asyncssh.read_private_key(path)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        locked = isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower()
        return "is encrypted (add it to the agent with ssh-add)" if locked else "is no private key"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _splits(line: str) -> bool:
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return True
    with contextlib.suppress(ValueError):
        shlex.split(stripped)
        return True
    return False
