"""Bundles of live hosts."""

import asyncio
from pathlib import Path

import msgspec

from console.desk import desk
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.fleet import capture as bundles
from console.fleet.dialling import Ask
from console.fleet.host import Fleet, Host
from console.fleet.links import Links


class Captured(msgspec.Struct, frozen=True):
    """What went into a bundle; `unread` names sections that were denied or cut off."""

    host: str
    sections: int
    size: int
    unread: tuple[str, ...]


def capture(settings: Settings, name: str, path: Path, *, redact: bool = False, ask: Ask | None = None) -> Captured:
    """Probe one host and write the bundle. Raises FleetError, LinkError and CaptureError."""
    fleet = desk.fleet(settings)
    hosts = desk.hosts(fleet, name)
    if len(hosts) != 1:
        raise DeskError(f"{name} names {len(hosts)} hosts; a bundle is of one")
    bundle = asyncio.run(_probed(fleet, hosts[0], redact, ask))
    bundles.write(bundle, path)
    unread = tuple(item.name for item in bundle.sections if item.exit is None or item.why == "denied")
    return Captured(bundle.manifest.host, len(bundle.sections), path.stat().st_size, unread)


async def _probed(fleet: Fleet, host: Host, redact: bool, ask: Ask | None) -> bundles.Bundle:
    links = Links(fleet, ask=ask)
    try:
        link = await links.get(host.name)
        return await bundles.capture(link, host, redact=redact, simulated=fleet.simulated)
    finally:
        await links.close()
