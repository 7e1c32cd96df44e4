"""What runs of ours left on the hosts, told apart from what is in use and from what is anyone else's."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import msgspec

from console.desk import desk, history
from console.desk.settings import Settings
from console.desk.surveying import DockerSite, use_site
from console.fleet.engine.client import Engine
from console.fleet.engine.errors import EngineError
from console.fleet.engine.seen import ContainerListed
from console.fleet.host import Host
from console.fleet.link import LinkError
from console.fleet.probe.survey import survey
from console.model.attempt import Stage
from console.model.facts import Known
from console.model.launch import LABEL, LABEL_ATTEMPT, LABEL_OWNER, LABEL_RUN
from console.model.text import clean_line
from console.store.tail import Tail

STOP_GRACE_S = 10.0


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """A container with our label. Only one that is `left` may be removed; `removed` says that it was."""

    host: str
    container: str
    run: str
    attempt: str
    owner: str
    container_state: str
    standing: Literal["left", "in use", "other store", "somebody else's"]
    why: str
    removed: bool = False


class Cleaned(msgspec.Struct, frozen=True):
    """Every container of this product on the hosts, and the hosts that could not be asked."""

    found: tuple[Leftover, ...]
    problems: Mapping[str, str]


async def clean(
    settings: Settings,
    selection: str | None,
    *,
    remove: bool,
    site: DockerSite | None = None,
    only: Collection[Leftover] | None = None,
) -> Cleaned:
    """Look at the hosts, and remove what runs in this store left behind when told to.

    `site` lends its connections. With `only` nothing is removed but these, and of them what is still left behind: what
    a person was shown and said yes to.
    """
    fleet = desk.fleet(settings) if site is None else site.fleet
    hosts = desk.hosts(fleet, selection)
    agreed = None if only is None else {(item.host, item.container, item.attempt) for item in only}
    found: dict[str, Sequence[Leftover]] = {}
    problems: dict[str, str] = {}

    def wanted(left: Leftover) -> bool:
        named = agreed is None or (left.host, left.container, left.attempt) in agreed
        return remove and named and left.standing == "left"

    async def one(host: Host) -> None:
        try:
            found[host.name] = await _clean_host(settings, used, host, wanted)
        except (LinkError, EngineError) as error:
            problems[host.name] = str(error).removeprefix(f"{host.name}: ")

    async with use_site(fleet, site) as used:
        await asyncio.gather(*(one(host) for host in hosts))
    return Cleaned(tuple(item for host in hosts for item in found.get(host.name, ())), problems)


async def _clean_host(
    settings: Settings, site: DockerSite, host: Host, wanted: Callable[[Leftover], bool]
) -> Sequence[Leftover]:
    link = await site.links.get(host.name)
    facts = await survey(link, host)
    if not isinstance(facts.docker, Known):
        raise LinkError(host.name, f"no Docker access: {facts.docker.why} {facts.docker.detail}".strip())
    engine = Engine(link, facts.docker.value)
    try:
        listed = await engine.containers(label=LABEL)
        with desk.tail(settings) as tail:
            seen = [(item, judge(item, host.name, settings, tail)) for item in listed]
        cleaned = []
        for item, left in seen:
            if wanted(left):
                await engine.stop(item.id, STOP_GRACE_S)
                left = msgspec.structs.replace(left, removed=await engine.remove(item.id))
            cleaned.append(left)
        return cleaned
    finally:
        await engine.close()


def judge(item: ContainerListed, host: str, settings: Settings, tail: Tail) -> Leftover:
    """Whose a container is and whether anything still needs it. In doubt it is not ours."""
    run, attempt = item.labels.get(LABEL_RUN, ""), item.labels.get(LABEL_ATTEMPT, "")
    owner = item.labels.get(LABEL_OWNER, "")
    left = Leftover(
        host=host,
        container=clean_line(item.name),
        run=clean_line(run),
        attempt=clean_line(attempt),
        owner=clean_line(owner),
        container_state=clean_line(item.state),
        standing="somebody else's",
        why=f"it is {clean_line(owner)}'s" if owner else "nobody's name is on it",
    )
    known = tail.run(run)
    if known is None:
        if owner != settings.operator.value:
            return left
        return msgspec.structs.replace(left, standing="other store", why="its run is not in this store; see --store")
    row = tail.attempt(attempt)
    if known.closed_at_ns is None and (row is None or row.stage is not Stage.DONE):
        going = history.is_conducted(settings, run)
        why = "its run goes on" if going else f"its run is open: `instinct run --resume {run}` or `instinct stop {run}`"
        return msgspec.structs.replace(left, standing="in use", why=why)
    return msgspec.structs.replace(left, standing="left", why="its attempt has ended")
