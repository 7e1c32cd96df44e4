"""The tables of a fleet file as they are written, and their checked form."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from console.fleet.host import SCRATCH, Host, Suppression
from console.model.profile import Expectation

T = TypeVar("T")

Scalar = str | int | float | bool
Sudo = Literal["never", "docker", "probe"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,62}\$?")
_JUMP = re.compile(r"[A-Za-z0-9_.@:%\[\]\\+-]+(,[A-Za-z0-9_.@:%\[\]\\+-]+)*")
_PATH = re.compile(r"/[^\x00-\x1f\x7f]*")


class HostTable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One `[hosts.…]` table, or `[defaults]`."""

    address: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    port: int | UnsetType = UNSET
    jump: str | UnsetType = UNSET
    identity: str | UnsetType = UNSET
    groups: list[str] = []
    server: str | UnsetType = UNSET
    model_cache: str | UnsetType = UNSET
    scratch: str | UnsetType = UNSET
    sudo: Sudo | list[Sudo] | UnsetType = UNSET
    root: str | UnsetType = UNSET
    docker_socket: str | UnsetType = UNSET
    expect: dict[str, Any] = {}
    suppress: list[dict[str, Any]] = []


class LabTable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`[lab]`: written by the embedded lab only. Paths are relative to the fleet file."""

    simulated: bool = False
    profiles: str | list[str] = []
    known_hosts: str | list[str] = []
    identity: str | None = None

    @property
    def folders(self) -> list[str]:
        """Extra catalog folders."""
        return [self.profiles] if isinstance(self.profiles, str) else self.profiles

    @property
    def key_files(self) -> list[str]:
        """Host keys of the lab."""
        return [self.known_hosts] if isinstance(self.known_hosts, str) else self.known_hosts


class FleetTable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The whole file; inner tables stay raw and are converted one by one, so that messages name them."""

    defaults: dict[str, Any] = {}
    hosts: dict[str, Any] = {}
    ssh: dict[str, Any] = {}
    lab: dict[str, Any] | None = None


class Problems:
    """Everything wrong with a file, one line each."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, where: str, message: str) -> None:
        """Note a problem of the table or key `where`."""
        self._lines.append(f"{self._file}: [{where}] {message}" if where else f"{self._file}: {message}")

    def text(self) -> str:
        """All of them."""
        return "\n".join(dict.fromkeys(self._lines))

    def convert(self, raw: Any, to: type[T], where: str) -> T | None:
        """A table as a record; None, and a line per problem, when it is not one."""
        if not isinstance(raw, dict):
            self.add(where, f"is a table, not {type(raw).__name__}")
            return None
        known = [field.encode_name for field in msgspec.structs.fields(to)]  # type: ignore[arg-type]  # always a Struct here
        unknown = [key for key in raw if key not in known]
        for key in unknown:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            self.add(
                where, f"unknown key {key!r}" + (f"; nearest: {close[0]}" if close else f"; keys: {', '.join(known)}")
            )
        try:
            record = msgspec.convert({key: value for key, value in raw.items() if key in known}, to)
        except msgspec.ValidationError as error:
            self.add(where, str(error).replace("`$.", "`"))
            return None
        return None if unknown else record


def to_host(
    name: str, table: HostTable, defaults: HostTable, near: Callable[[str], Path], where: str, problems: Problems
) -> Host | None:
    """One host from its table over the defaults; None when something about it is wrong."""
    if not _NAME.fullmatch(name):
        problems.add(where, f"{name!r} is no host name: letters, digits, '.', '_' and '-', at most 63")
        return None
    text = _Texts(name, table, defaults, where, problems)
    address = text.of("address", _ADDRESS, "a host name, an address, an alias of the ssh configuration, or local")
    port = table.port if table.port is not UNSET else defaults.port
    if port is not UNSET and not 1 <= port <= 65535:
        problems.add(where, f"port {port} is not between 1 and 65535")
    identity = text.of("identity", None, "")
    sudo = table.sudo if table.sudo is not UNSET else defaults.sudo
    expect = {**_expectations(defaults.expect, "defaults", problems), **_expectations(table.expect, where, problems)}
    suppress = [
        item
        for raw in (*defaults.suppress, *table.suppress)
        if (item := problems.convert(raw, Suppression, f"{where}.suppress")) is not None
    ]
    host = Host(
        name=name,
        address=address or name,
        user=text.of("user", _USER, "a user name"),
        port=None if port is UNSET else port,
        jump=text.of("jump", _JUMP, "written as [user@]host[:port], commas between several"),
        identity=near(identity) if identity else None,
        groups=tuple(dict.fromkeys((*defaults.groups, *table.groups))),
        server=text.of("server", None, ""),
        model_cache=text.of("model_cache", _PATH, "an absolute path"),
        scratch=text.of("scratch", _PATH, "an absolute path") or SCRATCH,
        sudo=_sudo(sudo),
        root=text.of("root", _PATH, "an absolute path"),
        docker_socket=text.of("docker_socket", _PATH, "an absolute path"),
        expect=tuple(expect.values()),
        suppress=tuple(suppress),
    )
    return None if text.wrong else host


class _Texts:
    """Reads the text values of one host: its own before the default, `{name}` filled in, held against a pattern."""

    def __init__(self, name: str, table: HostTable, defaults: HostTable, where: str, problems: Problems) -> None:
        self._name, self._table, self._defaults, self._where, self._problems = name, table, defaults, where, problems
        self.wrong = False

    def of(self, key: str, pattern: re.Pattern[str] | None, form: str) -> str | None:
        """The value of a key, or None when neither table has it."""
        value = getattr(self._table, key)
        if value is UNSET:
            value = getattr(self._defaults, key)
        if value is UNSET:
            return None
        text = str(value).replace("{name}", self._name)
        if pattern is not None and not pattern.fullmatch(text):
            hint = "; only {name} is filled in" if "{" in text else ""
            self._problems.add(self._where, f"{key} = {text!r} is not {form}{hint}")
            self.wrong = True
        return text


def _sudo(value: str | list[Sudo] | UnsetType) -> tuple[str, ...]:
    values = [] if value is UNSET else [value] if isinstance(value, str) else value
    return tuple(dict.fromkeys(item for item in values if item != "never"))


def _expectations(raw: Mapping[str, Any], where: str, problems: Problems) -> dict[str, Expectation]:
    """`fact = value`, `fact = [values]` or `fact = {low, high, level, source}`, keyed by fact."""
    found: dict[str, Expectation] = {}
    for fact, value in raw.items():
        table: dict[str, Any]
        if isinstance(value, dict):
            table = {**value, "fact": fact}
        else:
            table = {"fact": fact, "accept": value if isinstance(value, list) else [value]}
        item = problems.convert(table, Expectation, f"{where}.expect.{fact}")
        if item is not None:
            found[fact] = item
    return found
