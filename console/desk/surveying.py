"""Looking at hosts: one connection each, what a probe reads, what the engine says."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from console.fleet.dialling import Ask
from console.fleet.host import Fleet, Host
from console.fleet.links import Links
from console.model.facts import HostFacts
from console.runs.docker_site import DockerSite
from console.runs.site import SiteError

__all__ = ["Ask", "DockerSite", "Surveyed", "open_site", "survey", "survey_fleet", "use_site"]


class Surveyed(msgspec.Struct, frozen=True):
    """A look at several hosts: facts of those that answered, and what went wrong with the others."""

    facts: Mapping[str, HostFacts]
    problems: Mapping[str, str]

    @property
    def answers(self) -> Mapping[str, HostFacts | str]:
        """Facts or the problem, by host."""
        return {**self.facts, **self.problems}


@asynccontextmanager
async def open_site(fleet: Fleet, ask: Ask | None = None) -> AsyncIterator[DockerSite]:
    """A site over the fleet, its connections closed at the end; they are made when a host is first asked.

    `ask` answers the prompts of servers that want a password or a one-time code.
    """
    links = Links(fleet, ask=ask)
    try:
        yield DockerSite(links, fleet)
    finally:
        await links.close()


@asynccontextmanager
async def use_site(fleet: Fleet, site: DockerSite | None, ask: Ask | None = None) -> AsyncIterator[DockerSite]:
    """The site that is open already, so that nobody signs in twice, else one for the time being."""
    if site is not None:
        yield site
        return
    async with open_site(fleet, ask) as opened:
        yield opened


async def survey(site: DockerSite, hosts: Sequence[Host], models: Sequence[str] = ()) -> Surveyed:
    """Ask all hosts at once. A host that cannot be asked is a problem, never an error of the whole."""
    facts: dict[str, HostFacts] = {}
    problems: dict[str, str] = {}

    async def ask(host: Host) -> None:
        try:
            facts[host.name] = await site.survey(host.name, models)
        except SiteError as error:
            problems[host.name] = f"{error.message}; {error.remedy}" if error.remedy else error.message

    await asyncio.gather(*(ask(host) for host in hosts))
    order = [host.name for host in hosts]
    return Surveyed(
        {name: facts[name] for name in order if name in facts},
        {name: problems[name] for name in order if name in problems},
    )


async def survey_fleet(fleet: Fleet, hosts: Sequence[Host], ask: Ask | None = None) -> Surveyed:
    """As `survey`, with connections of its own."""
    async with open_site(fleet, ask) as site:
        return await survey(site, hosts)
