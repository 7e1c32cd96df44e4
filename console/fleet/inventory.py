"""The fleet file: where it is, what it says, and which hosts a person means."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from console.fleet.host import Fleet, FleetError, Host, SshOptions, Suppression
from console.fleet.ranges import RangeError, expand
from console.fleet.selection import select
from console.fleet.tables import FleetTable, HostTable, LabTable, Problems, to_host

__all__ = ["Fleet", "FleetError", "Host", "SshOptions", "Suppression", "find_fleet_file", "load", "parse", "select"]


def find_fleet_file(explicit: Path | None = None) -> Path:
    """The file named, else `fleet.toml` of the configuration folder; FleetError when it is not there."""
    path = explicit or platformdirs.user_config_path("instinct") / "fleet.toml"
    if path.is_file():
        return path
    if explicit is not None:
        raise FleetError(f"{path}: no such fleet file")
    raise FleetError(
        f"no fleet file at {path}; write one, import one with `instinct hosts import`, or name one with --fleet FILE"
    )


def load(path: Path) -> Fleet:
    """Read and check a fleet file. FleetError lists every problem: file, line or key, nearest known key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"{path}: cannot be read: {error}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Fleet:
    """A fleet from the text of its file; `path` names it in messages and anchors relative paths."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FleetError(f"{path}: {error}") from None
    problems = Problems(str(path))
    top = problems.convert(raw, FleetTable, "")
    if top is None:
        raise FleetError(problems.text())
    lab = problems.convert(top.lab, LabTable, "lab") if top.lab is not None else None
    ssh = problems.convert(top.ssh, SshOptions, "ssh") or SshOptions()
    defaults = problems.convert(top.defaults, HostTable, "defaults") or HostTable()
    near = _beside(path)
    identity = near(lab.identity) if lab is not None and lab.identity else None
    hosts = _hosts(top.hosts, defaults, identity, near, problems)
    if problems:
        raise FleetError(problems.text())
    return Fleet(
        path=path,
        hosts=hosts,
        simulated=lab is not None and lab.simulated,
        catalogs=tuple(near(item) for item in lab.folders) if lab is not None else (),
        known_hosts=tuple(near(item) for item in lab.key_files) if lab is not None else (),
        ssh_config=near(ssh.config) if ssh.config else None,
        ssh=ssh,
        isolated=lab is not None,
    )


def _hosts(
    tables: Mapping[str, Any],
    defaults: HostTable,
    identity: Path | None,
    near: Callable[[str], Path],
    problems: Problems,
) -> tuple[Host, ...]:
    hosts: dict[str, Host] = {}
    origin: dict[str, str] = {}
    for pattern, raw in tables.items():
        where = f'hosts."{pattern}"' if not pattern.isidentifier() else f"hosts.{pattern}"
        table = problems.convert(raw, HostTable, where)
        try:
            names = expand(pattern)
        except RangeError as error:
            problems.add(where, str(error))
            continue
        for name in names:
            if name in hosts:
                problems.add(where, f"{name} is already in [{origin[name]}]; a host stands in one table")
            elif table is not None and (host := to_host(name, table, defaults, near, where, problems)) is not None:
                hosts[name] = host if host.identity else msgspec.structs.replace(host, identity=identity)
                origin[name] = where
    return tuple(hosts.values())


def _beside(path: Path) -> Callable[[str], Path]:
    return lambda item: path.parent / Path(item).expanduser()
