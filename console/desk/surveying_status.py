"""Looks at live hosts for the status table, over one connection each."""

import asyncio
from collections.abc import AsyncIterator

from console.desk import desk, surveying
from console.desk.settings import Settings
from console.desk.status_look import Look
from console.fleet.host import Fleet, Host


async def of_hosts(settings: Settings, selection: str | None, ask: surveying.Ask | None = None) -> Look:
    """One look at the chosen hosts. Raises FleetError and DeskError, never for a host that does not answer."""
    fleet = desk.fleet(settings)
    hosts = desk.hosts(fleet, selection)
    seen = await surveying.survey_fleet(fleet, hosts, ask)
    return _look(fleet, hosts, seen)


async def again_and_again(
    settings: Settings,
    selection: str | None,
    every_s: float,
    rounds: int | None = None,
    ask: surveying.Ask | None = None,
) -> AsyncIterator[Look]:
    """A look every so often, without end unless `rounds` says otherwise; connections stay open in between."""
    fleet = desk.fleet(settings)
    hosts = desk.hosts(fleet, selection)
    done = 0
    async with surveying.open_site(fleet, ask) as site:
        while rounds is None or done < rounds:
            if done:
                await asyncio.sleep(every_s)
            yield _look(fleet, hosts, await surveying.survey(site, hosts))
            done += 1


def _look(fleet: Fleet, hosts: tuple[Host, ...], seen: surveying.Surveyed) -> Look:
    return Look(hosts=hosts, facts=seen.facts, problems=seen.problems, fleet=fleet)
