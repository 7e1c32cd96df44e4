"""A look at the hosts of a fleet over SSH, for the health check: one round trip each, nobody waits for a dead host."""

import asyncio
import time
from collections.abc import Sequence

from console.desk.health import GRACE_S, Judging, Looked, Question, unreached
from console.desk.loop import finished
from console.desk.settings import Settings
from console.fleet.dialling import Ask
from console.fleet.host import Fleet, Host
from console.fleet.link import LinkError
from console.fleet.links import Links
from console.fleet.probe.survey import TIMEOUT_S, survey
from console.health.report import HostHealth, Report, unreachable
from console.model.facts import HostFacts
from console.model.finding import State


def check_fleet(
    settings: Settings, fleet: Fleet, hosts: Sequence[Host], question: Question, ask: Ask | None = None
) -> Report:
    """Look at the hosts and judge them."""
    judging = Judging(settings, fleet, question)
    return judging.report(hosts, finished(look(fleet, hosts, question, ask)))


async def look(fleet: Fleet, hosts: Sequence[Host], question: Question, ask: Ask | None = None) -> Looked:
    """Facts of every host that answers within the deadline; of the others why not. Never raises for a host."""
    links = Links(fleet, ask=ask)
    until = None if question.deadline_s is None else time.monotonic() + question.deadline_s - GRACE_S
    tasks = {host.name: asyncio.create_task(_one(links, fleet, host, question, until)) for host in hosts}
    try:
        if tasks:
            left = None if until is None else max(0.1, until - time.monotonic() + GRACE_S / 2)
            _, late = await asyncio.wait(tasks.values(), timeout=left)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
    finally:
        await links.close()
    facts: dict[str, HostFacts] = {}
    failed: dict[str, HostHealth] = {}
    for name, task in tasks.items():
        answer = _late(name, question) if task.cancelled() else task.result()
        if isinstance(answer, HostFacts):
            facts[name] = answer
        else:
            failed[name] = answer
    return Looked(facts=facts, failed=failed)


async def _one(
    links: Links, fleet: Fleet, host: Host, question: Question, until: float | None
) -> HostFacts | HostHealth:
    try:
        link = await links.get(host.name)
        left = None if until is None else max(0.1, until - time.monotonic())
        return await survey(
            link,
            host,
            simulated=fleet.simulated,
            timeout_s=TIMEOUT_S,
            tools=question.tools,
            deadline_s=left,
        )
    except LinkError as error:
        return unreached(error)


def _late(name: str, question: Question) -> HostHealth:
    seen = f"not finished within {question.deadline_s:g} s" if question.deadline_s else "not finished"
    remedy = f"instinct hosts test {name}   # or a longer --deadline"
    return unreachable(name, seen, remedy=remedy, state=State.UNKNOWN)
