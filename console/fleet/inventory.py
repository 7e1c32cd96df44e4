"""The fleet file: where it is, what it says, and which hosts a person means."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from console.catalog.strict import Source
from console.fleet.host import Fleet, FleetError, Host, SshOptions, Suppression
from console.fleet.ranges import RangeError, expand
from console.fleet.selection import select
from console.fleet.tables import FleetTable, HostTable, LabTable, texts, to_host

__all__ = ["Fleet", "FleetError", "Host", "SshOptions", "Suppression", "find_fleet_file", "load", "parse", "select"]


def find_fleet_file(explicit: Path | None = None) -> Path:
    """The file named, else `fleet.toml` of the configuration folder; FleetError when it is not there."""
    path = explicit or platformdirs.user_config_path("instinct") / "fleet.toml"
    if path.is_file():
        return path
    if explicit is not None:
        raise FleetError(f"{path}: no such fleet file")
    raise FleetError(f"no fleet file at {path}; write one, or name one with --fleet FILE")


def load(path: Path) -> Fleet:
    """Read and check a fleet file. FleetError lists every problem: file, line or key, nearest known key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"{path}: cannot be read: {error}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Fleet:
    """A fleet from the text of its file; `path` names it in messages and anchors relative paths."""
    source = Source(str(path), text)
    top = None if source.problems else source.record(source.data, FleetTable)
    if top is None:
        raise _broken(source)
    lab = source.record(top.lab, LabTable, ("lab",)) if top.lab is not None else None
    ssh = source.record(top.ssh, SshOptions, ("ssh",)) or SshOptions()
    defaults = source.record(top.defaults, HostTable, ("defaults",)) or HostTable()
    near = _beside(path)
    identity = near(lab.identity) if lab is not None and lab.identity else None
    hosts = _hosts(top.hosts, defaults, identity, near, source)
    catalogs = texts(source, lab.profiles, ("lab", "profiles")) if lab is not None else ()
    known_hosts = texts(source, lab.known_hosts, ("lab", "known_hosts")) if lab is not None else ()
    if source.problems:
        raise _broken(source)
    return Fleet(
        path=path,
        hosts=hosts,
        simulated=lab is not None and lab.simulated,
        speed=lab.speed if lab is not None and lab.speed > 0 else 1.0,
        catalogs=tuple(near(item) for item in catalogs),
        known_hosts=tuple(near(item) for item in known_hosts),
        ssh_config=near(ssh.config) if ssh.config else None,
        ssh=ssh,
        isolated=lab is not None,
    )


def _hosts(
    tables: Mapping[str, Any],
    defaults: HostTable,
    identity: Path | None,
    near: Callable[[str], Path],
    source: Source,
) -> tuple[Host, ...]:
    hosts: dict[str, Host] = {}
    origin: dict[str, str] = {}
    for pattern, raw in tables.items():
        path = ("hosts", pattern)
        table = source.record(raw, HostTable, path)
        try:
            names = expand(pattern)
        except RangeError as error:
            source.problem(path, str(error))
            continue
        for name in names:
            if name in origin:
                source.problem(path, f"{name} is already in [hosts.{origin[name]}]; a host stands in one table")
                continue
            origin[name] = pattern
            host = to_host(name, table, defaults, near, path, source) if table is not None else None
            if host is not None:
                hosts[name] = host if host.identity else msgspec.structs.replace(host, identity=identity)
    return tuple(hosts.values())


def _broken(source: Source) -> FleetError:
    return FleetError("\n".join(str(problem) for problem in source.problems))


def _beside(path: Path) -> Callable[[str], Path]:
    return lambda item: path.parent / Path(item).expanduser()
