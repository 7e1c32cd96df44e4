"""Host keys: what servers show, and taking them on record on a person's word."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from console.fleet import hostkeys, inventory
from console.fleet.host import Fleet, FleetError
from console.fleet.hostkeys import HostKey
from console.fleet.link import LinkError
from console.fleet.links import Links


class Shown(msgspec.Struct, frozen=True):
    """The keys each host showed, and the hosts that showed none and why."""

    keys: Mapping[str, tuple[HostKey, ...]]
    problems: Mapping[str, str]


class Trusted(msgspec.Struct, frozen=True):
    """Keys that are on record now, those that were new, the file they are in, and what was refused and why."""

    new: tuple[HostKey, ...]
    known: tuple[HostKey, ...]
    file: Path
    problems: Mapping[str, str]


def names(fleet: Fleet, words: Sequence[str]) -> tuple[str, ...]:
    """Hosts meant by selections; a plain word that is no host of the fleet is a jump host by its own name."""
    if not words:
        return tuple(host.name for host in fleet.hosts)
    found: dict[str, None] = {}
    for word in words:
        try:
            found.update((host.name, None) for host in inventory.select(fleet, word))
        except FleetError:
            if any(char in word for char in "*?[!@,") and "@" not in word[1:]:
                raise
            found[word] = None
    return tuple(found)


async def show(fleet: Fleet, hosts: Sequence[str]) -> Shown:
    """The host keys of hosts, fetched without signing in. Nothing is trusted by it."""
    links = Links(fleet)
    keys: dict[str, tuple[HostKey, ...]] = {}
    problems: dict[str, str] = {}

    async def one(name: str) -> None:
        try:
            keys[name] = await links.scan(name)
        except LinkError as error:
            problems[name] = str(error).removeprefix(f"{name}: ")

    try:
        await asyncio.gather(*(one(name) for name in hosts))
    finally:
        await links.close()
    return Shown(
        {name: keys[name] for name in hosts if name in keys},
        {name: problems[name] for name in hosts if name in problems},
    )


def chosen(shown: Shown, fingerprints: Mapping[str, Collection[str]]) -> tuple[tuple[HostKey, ...], Mapping[str, str]]:
    """The keys whose fingerprint a person gave for their host, and the hosts that showed none of theirs."""
    good: list[HostKey] = []
    problems: dict[str, str] = {}
    for name, keys in shown.keys.items():
        try:
            good.extend(hostkeys.choose(keys, {name: fingerprints.get(name, ())}))
        except LinkError as error:
            problems[name] = str(error).removeprefix(f"{name}: ")
    return tuple(good), problems


async def trust(fleet: Fleet, keys: Sequence[HostKey]) -> Trusted:
    """Take keys on record in our own file. A host that is on record with another key is refused, the others are not."""
    links = Links(fleet)
    new: list[HostKey] = []
    known: list[HostKey] = []
    problems: dict[str, str] = {}
    try:
        for name in dict.fromkeys(key.host for key in keys):
            own = [key for key in keys if key.host == name]
            try:
                added = hostkeys.trust(own, await links.known(name), links.trust_file)
            except LinkError as error:
                problems[name] = str(error).removeprefix(f"{name}: ")
                continue
            new.extend(added)
            known.extend(key for key in own if key not in added)
        return Trusted(tuple(new), tuple(known), links.trust_file, problems)
    finally:
        await links.close()
