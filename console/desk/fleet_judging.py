"""Verdicts for the live fleet feed: every look judged beside the newest of all other hosts, off the event loop."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor

import msgspec

from console.desk import health
from console.desk.errors import DeskError
from console.desk.fleet_events import FleetEvent, Seen
from console.desk.settings import Settings
from console.fleet.host import Fleet, Host
from console.health.report import REACHABLE, HostHealth, state_of
from console.model.facts import HostFacts
from console.model.finding import Finding, State


class LiveJudge:
    """Keeps the newest facts of every host, and tells a look twice: at once, and again with its verdict.

    With nothing to hold them against (`judging` is None) looks have no verdict.
    """

    def __init__(self, judging: health.Judging | None, pool: Executor, tell: Callable[[FleetEvent], None]) -> None:
        self._judging, self._pool, self._tell = judging, pool, tell
        self._facts: dict[str, HostFacts] = {}
        self._seen: dict[str, Seen] = {}
        self._hosts: dict[str, Host] = {}

    async def seen(self, host: Host, looked: HostFacts | str) -> None:
        """Facts of a new look, or why it failed while the host goes on giving readings."""
        if isinstance(looked, str):
            self._failed(host, looked)
            return
        self._facts[host.name], self._hosts[host.name] = looked, host
        at_ns = time.time_ns()
        if host.name not in self._seen:
            self._tell(Seen(host.name, at_ns, looked))
        await self._judge(host, at_ns, looked)

    async def again(self) -> None:
        """Judge every host once more: the first ones were judged beside fewer others."""
        for name, host in tuple(self._hosts.items()):
            before = self._seen.get(name)
            if before is not None:
                await self._judge(host, before.at_ns, before.facts)

    async def _judge(self, host: Host, at_ns: int, facts: HostFacts) -> None:
        loop = asyncio.get_running_loop()
        judging, verdict = self._judging, None
        if judging is not None:
            verdict = await loop.run_in_executor(self._pool, _verdict, judging, host, dict(self._facts))
        before = self._seen.get(host.name)
        same = before is not None and before.facts is facts and before.health == verdict
        if self._facts.get(host.name) is facts and not same:  # else a newer look was quicker
            self._seen[host.name] = Seen(host.name, at_ns, facts, verdict)
            self._tell(self._seen[host.name])

    def _failed(self, host: Host, why: str) -> None:
        """What was read before stays, with a finding that it is old."""
        before = self._seen.get(host.name)
        if before is None or before.health is None:
            return
        old = Finding(
            check=REACHABLE,
            host=host.name,
            state=State.UNKNOWN,
            seen=f"a new look failed: {why}",
            expected="an answer",
            source="what is shown was read before that",
        )
        findings = (old, *before.health.findings)
        found = msgspec.structs.replace(before.health, findings=findings, state=state_of(findings))
        self._tell(Seen(host.name, before.at_ns, before.facts, found))


def judging(settings: Settings, fleet: Fleet) -> health.Judging:
    """What looks are held against. Raises CatalogError and DeskError."""
    return health.Judging(settings, fleet, health.Question())


def _verdict(judging: health.Judging, host: Host, facts: dict[str, HostFacts]) -> HostHealth:
    with contextlib.suppress(DeskError):  # a file broken meanwhile: what was read of it before still holds
        judging.look_up_acks()
    return judging.host(host, health.Looked(facts=facts))
