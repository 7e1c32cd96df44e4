"""The tables of a fleet file as they are written, and their checked form."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from console.catalog.errors import suggestion
from console.catalog.locate import KeyPath
from console.catalog.strict import Bad, Source
from console.fleet.host import SCRATCH, Host, Suppression
from console.health.fact_paths import known_paths
from console.model.profile import Expectation

Sudo = Literal["never", "docker", "probe"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"[A-Za-z0-9_:\[][A-Za-z0-9_.:%\[\]-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,62}\$?")
_JUMP = re.compile(r"[A-Za-z0-9_.@:%\[\]\\+-]+(,[A-Za-z0-9_.@:%\[\]\\+-]+)*")
_PATH = re.compile(r"/[^\x00-\x1f\x7f]*")


class HostTable(msgspec.Struct, frozen=True, kw_only=True):
    """One `[hosts.…]` table, or `[defaults]`; None: not given."""

    address: str | None = None
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity: str | None = None
    groups: tuple[str, ...] = ()
    server: str | None = None
    model_cache: str | None = None
    scratch: str | None = None
    sudo: Any = None
    root: str | None = None
    docker_socket: str | None = None
    expect: dict[str, Any] = {}
    suppress: tuple[Suppression, ...] = ()


class LabTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[lab]`: written by the embedded lab only. Paths are relative to the fleet file."""

    simulated: bool = False
    speed: float = 1.0
    profiles: Any = ()
    known_hosts: Any = ()
    identity: str | None = None


class FleetTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; inner tables are converted one by one."""

    defaults: dict[str, Any] = {}
    hosts: dict[str, Any] = {}
    ssh: dict[str, Any] = {}
    lab: dict[str, Any] | None = None


def texts(source: Source, raw: Any, path: KeyPath) -> tuple[str, ...]:
    """One text, or a list of them."""
    value = source.value(list(raw) if isinstance(raw, tuple | list) else [raw], tuple[str, ...], path)
    return () if isinstance(value, Bad) else tuple(value)


def to_host(
    name: str, table: HostTable, defaults: HostTable, near: Callable[[str], Path], path: KeyPath, source: Source
) -> Host | None:
    """One host from its table over the defaults; None when something about it is wrong."""
    if not _NAME.fullmatch(name):
        source.problem(path, f"{name!r} is no host name: letters, digits, '.', '_' and '-', at most 63")
        return None
    before = len(source.problems)
    text = _Texts(name, table, defaults, path, source)
    port = table.port if table.port is not None else defaults.port
    if port is not None and not 1 <= port <= 65535:
        source.problem((*path, "port"), f"{port} is not between 1 and 65535")
    identity = text.of("identity", None, "")
    own = _expectations(table.expect, (*path, "expect"), source)
    host = Host(
        name=name,
        address=text.of("address", _ADDRESS, "a host name, an address, an alias of the ssh configuration, or local")
        or name,
        user=text.of("user", _USER, "a user name"),
        port=port,
        jump=text.of("jump", _JUMP, "written as [user@]host[:port], commas between several"),
        identity=near(identity) if identity else None,
        groups=tuple(dict.fromkeys((*defaults.groups, *table.groups))),
        server=text.of("server", None, ""),
        model_cache=text.of("model_cache", _PATH, "an absolute path"),
        scratch=text.of("scratch", _PATH, "an absolute path") or SCRATCH,
        sudo=_sudo(source, table.sudo, (*path, "sudo"))
        if table.sudo is not None
        else _sudo(source, defaults.sudo, ("defaults", "sudo")),
        root=text.of("root", _PATH, "an absolute path"),
        docker_socket=text.of("docker_socket", _PATH, "an absolute path"),
        expect=tuple({**_expectations(defaults.expect, ("defaults", "expect"), source), **own}.values()),
        suppress=(*defaults.suppress, *table.suppress),
    )
    return host if len(source.problems) == before else None


class _Texts:
    """Reads the text values of one host: its own before the default, `{name}` filled in, held against a pattern."""

    def __init__(self, name: str, table: HostTable, defaults: HostTable, path: KeyPath, source: Source) -> None:
        self._name, self._table, self._defaults, self._path, self._source = name, table, defaults, path, source

    def of(self, key: str, pattern: re.Pattern[str] | None, form: str) -> str | None:
        """The value of a key, or None when neither table has it."""
        value, path = getattr(self._table, key), self._path
        if value is None:
            value, path = getattr(self._defaults, key), ("defaults",)
        if value is None:
            return None
        text = str(value).replace("{name}", self._name)
        if pattern is not None and not pattern.fullmatch(text):
            hint = "; only {name} is filled in" if "{" in text else ""
            self._source.problem((*path, key), f"{text!r} is not {form}{hint}")
        return text


def _sudo(source: Source, raw: Any, path: KeyPath) -> tuple[str, ...]:
    if raw is None:
        return ()
    values = source.value(raw if isinstance(raw, list) else [raw], tuple[Sudo, ...], path)
    return () if isinstance(values, Bad) else tuple(dict.fromkeys(item for item in values if item != "never"))


def _expectations(raw: Mapping[str, Any], path: KeyPath, source: Source) -> dict[str, Expectation]:
    """`fact = value`, `fact = [values]` or `fact = {low, high, level, source}`, keyed by fact.

    A fact may be named without its area where that is clear: `bios_version` is `system.bios_version`, which TOML reads
    as a table `system` unless it is quoted; both are taken.
    """
    found: dict[str, Expectation] = {}
    for written, value in _flat(raw):
        fact = _fact(written)
        if fact is None:
            source.problem((*path, written), f"no fact of a host is called that{suggestion(written, known_paths())}")
            continue
        table: dict[str, Any] = {"fact": fact}
        if isinstance(value, dict):
            table |= value
        else:
            table["accept"] = value if isinstance(value, list) else [value]
        item = source.record(table, Expectation, (*path, written))
        if item is not None:
            found[fact] = item
    return found


def _flat(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    areas = {path.partition(".")[0] for path in known_paths()} | {"cmdline"}
    for key, value in raw.items():
        if key in areas and isinstance(value, dict):
            yield from ((f"{key}.{name}", each) for name, each in value.items())
        else:
            yield key, value


def _fact(written: str) -> str | None:
    known = known_paths()
    if written in known or written.startswith("cmdline."):
        return written
    meant = [path for path in known if path.partition(".")[2] == written]
    return meant[0] if len(meant) == 1 else None
