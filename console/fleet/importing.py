"""Fleet files from what people already have: an ssh configuration, or an Ansible inventory (INI or JSON)."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from console.fleet.host import FleetError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ANSIBLE_RANGE = re.compile(r"\[(\d+|[a-zA-Z]):(\d+|[a-zA-Z])(?::(\d+))?\]")
_BUILT_IN = {"all", "ungrouped"}


class ImportedHost(msgspec.Struct, frozen=True, kw_only=True):
    """One host as another tool describes it."""

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity: str | None = None
    groups: tuple[str, ...] = ()


class Imported(msgspec.Struct, frozen=True):
    """What was found, and what was left out and why."""

    hosts: tuple[ImportedHost, ...]
    notes: tuple[str, ...] = ()

    def text(self, source: str) -> str:
        """An ordinary fleet.toml."""
        lines = [f"# imported from {source}; an ordinary fleet file from here on"]
        for host in self.hosts:
            lines += ["", host_table(host)]
        return "\n".join(lines).rstrip("\n") + "\n"


def host_table(host: ImportedHost) -> str:
    """One `[hosts.…]` table as text, to write or to append to a fleet file."""
    key = host.name if re.fullmatch(r"[A-Za-z0-9_-]+", host.name) else _quoted(host.name)
    lines = [f"[hosts.{key}]", f"address = {_quoted(host.address)}"]
    lines += [f"{key} = {_quoted(str(value))}" for key in ("user", "jump", "identity") if (value := getattr(host, key))]
    if host.port is not None:
        lines.append(f"port = {host.port}")
    if host.groups:
        lines.append(f"groups = [{', '.join(_quoted(group) for group in host.groups)}]")
    return "\n".join(lines)


def from_ssh_config(path: Path) -> Imported:
    """Every `Host` entry without wildcards, its alias as the address: user, port and keys stay where they are."""
    aliases: dict[str, None] = {}
    notes: list[str] = []
    _read_aliases(path, aliases, notes, depth=0)
    return _result([ImportedHost(name=alias, address=alias) for alias in aliases], notes, str(path))


def from_ansible(path: Path) -> Imported:
    """An INI inventory, or the JSON of `ansible-inventory --list`.

    YAML inventories, plugins and scripts are Ansible's own to resolve: save `ansible-inventory --list` and import that.
    """
    text = _read(path)
    if text.lstrip().startswith("{"):
        return _from_json(text, path)
    if path.suffix in (".yml", ".yaml") or text.lstrip().startswith("---"):
        raise FleetError(
            f"{path}: YAML inventories are not read; save what Ansible makes of it and import that: "
            f"ansible-inventory -i {shlex.quote(str(path))} --list > inventory.json"
        )
    return _from_ini(text, path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"{path}: cannot be read: {error}") from None


def _read_aliases(path: Path, aliases: dict[str, None], notes: list[str], depth: int) -> None:
    for number, line in enumerate(_read(path).splitlines(), 1):
        keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        try:
            words = shlex.split(rest, comments=True)
        except ValueError as error:
            notes.append(f"{path} line {number}: {error}")
            continue
        if keyword.lower() == "include" and depth < 8:
            for word in words:
                pattern = Path(word).expanduser()
                base = Path(pattern.anchor) if pattern.is_absolute() else Path.home() / ".ssh"
                for included in sorted(base.glob(str(pattern.relative_to(pattern.anchor)))):
                    if included.is_file():
                        _read_aliases(included, aliases, notes, depth + 1)
        elif keyword.lower() == "host":
            aliases.update((word, None) for word in words if not any(char in word for char in "*?!"))


def _from_json(text: str, path: Path) -> Imported:
    try:
        tree: dict[str, Any] = json.loads(text)
        hostvars: Mapping[str, Mapping[str, Any]] = tree.get("_meta", {}).get("hostvars", {})
        members = {name: list(group.get("hosts", [])) for name, group in tree.items() if name != "_meta"}
        children = {name: list(group.get("children", [])) for name, group in tree.items() if name != "_meta"}
    except (ValueError, AttributeError, TypeError) as error:
        raise FleetError(f"{path}: not the JSON of `ansible-inventory --list`: {error}") from None
    variables = {name: dict(hostvars.get(name, {})) for hosts in members.values() for name in hosts}
    return _ansible(variables, members, children, path)


def _from_ini(text: str, path: Path) -> Imported:
    variables: dict[str, dict[str, Any]] = {}
    group_vars: dict[str, dict[str, Any]] = {}
    members: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    group, kind = "ungrouped", "hosts"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            group, _, kind = line[1:-1].partition(":")
            kind = kind or "hosts"
            continue
        if kind == "vars":
            key, _, value = line.partition("=")
            group_vars.setdefault(group, {})[key.strip()] = value.strip().strip("\"'")
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise FleetError(f"{path} line {number}: {error}") from None
        if kind == "children":
            children.setdefault(group, []).append(words[0])
            continue
        for name in _ansible_names(words[0]):
            variables.setdefault(name, {}).update(dict(word.split("=", 1) for word in words[1:] if "=" in word))
            members.setdefault(group, []).append(name)
    for owner, values in group_vars.items():
        for name in variables if owner == "all" else _below(owner, members, children):
            variables[name] = {**values, **variables.get(name, {})}
    return _ansible(variables, members, children, path)


def _ansible(
    variables: Mapping[str, Mapping[str, Any]],
    members: Mapping[str, list[str]],
    children: Mapping[str, list[str]],
    path: Path,
) -> Imported:
    groups = {name: set(_below(name, members, children)) for name in {*members, *children} - _BUILT_IN}
    hosts = []
    for name, values in variables.items():
        port = str(values.get("ansible_port", values.get("ansible_ssh_port", "")))
        local = values.get("ansible_connection") == "local"
        hosts.append(
            ImportedHost(
                name=name,
                address="local" if local else str(values.get("ansible_host", values.get("ansible_ssh_host", name))),
                user=values.get("ansible_user", values.get("ansible_ssh_user")),
                port=int(port) if port.isdigit() else None,
                jump=_jump(str(values.get("ansible_ssh_common_args", ""))),
                identity=values.get("ansible_ssh_private_key_file"),
                groups=tuple(sorted(group for group, below in groups.items() if name in below)),
            )
        )
    return _result(hosts, [], str(path))


def _below(group: str, members: Mapping[str, list[str]], children: Mapping[str, list[str]]) -> list[str]:
    """The hosts of a group and of the groups below it; a group that contains itself is walked once."""
    seen: set[str] = set()
    waiting, hosts = [group], []
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            hosts.extend(members.get(name, []))
            waiting.extend(children.get(name, []))
    return hosts


def _jump(arguments: str) -> str | None:
    """`-J host` or `-o ProxyJump=host` of Ansible's extra ssh arguments."""
    match = re.search(r"(?:-J\s*|ProxyJump[= ])\"?([^\s\"']+)", arguments)
    return match.group(1) if match else None


def _ansible_names(pattern: str) -> Iterable[str]:
    """`web[01:20:2]` and `db-[a:f]`, as Ansible counts: both ends included."""
    match = _ANSIBLE_RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    first, last, step = match.group(1), match.group(2), int(match.group(3) or 1)
    if first.isdigit() and last.isdigit():
        width = len(first) if first.startswith("0") else 0
        middles = [str(number).zfill(width) for number in range(int(first), int(last) + 1, max(step, 1))]
    else:
        middles = [chr(code) for code in range(ord(first), ord(last) + 1, max(step, 1))]
    for middle in middles:
        yield from _ansible_names(pattern[: match.start()] + middle + pattern[match.end() :])


def _result(hosts: list[ImportedHost], notes: list[str], source: str) -> Imported:
    good = [host for host in hosts if _NAME.fullmatch(host.name)]
    notes += [f"{host.name!r} left out: no name a fleet file can have" for host in hosts if host not in good]
    if not good:
        raise FleetError(f"{source}: no hosts in it that can be imported")
    return Imported(tuple(good), tuple(notes))


def _quoted(text: str) -> str:
    return json.dumps(text)
