"""One host of the live fleet feed: asked until it answers, then listened to and looked at now and again."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable

import msgspec

from console.desk.fleet_events import Asking, FleetEvent, Missing, Pulse, Silent
from console.fleet.host import Host
from console.fleet.link import AuthFailed, ConfigError, KeyChanged, KeyUnknown, Link, LinkError
from console.fleet.telemetry import stream
from console.model.facts import HostFacts
from console.runs.site import SiteError

RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before a host is tried again; longer than those of the connections, which tell the old failure until then."""
JITTER = 0.25
"""Pauses differ by this part, so that hosts are not asked in step."""
_STEADY_NS = 1_000_000
_BELIEVED_NS = 30_000_000_000
_log = logging.getLogger(__name__)


class Pace:
    """How the hosts are followed; shared by all, changed while they are."""

    def __init__(self, survey_every_s: float, period_s: float) -> None:
        self.survey_every_s = survey_every_s
        self.period_s = period_s
        self.paused = False


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """What a follower can do: look at a host (SiteError), reach it (LinkError), forget failures, and tell.

    `seen` is given facts, or why a new look failed although the host is there.
    """

    look: Callable[[str], Awaitable[HostFacts]]
    connect: Callable[[str], Awaitable[Link]]
    forget: Callable[[str], None]
    seen: Callable[[Host, HostFacts | str], Awaitable[None]]
    tell: Callable[[FleetEvent], None]


class Follower:
    """Follows one host until cancelled. Belongs to one event loop."""

    def __init__(self, host: Host, ways: Ways, pace: Pace) -> None:
        self._host, self._ways, self._pace = host, ways, pace
        self._stir = asyncio.Event()
        self._wanted = False
        self._tuned_to: tuple[bool, float] | None = None
        self._ours = OurTime()

    def look_again(self) -> None:
        """Look at the host now, whatever kept it from being looked at."""
        self._wanted = True
        self._stir.set()

    def retune(self) -> None:
        """Take up a changed pace."""
        self._stir.set()

    async def run(self) -> None:
        """Follow for ever. What goes wrong with the host is told, never raised."""
        problem: SiteError | LinkError | None = None
        while True:
            try:
                await self._until_it_answers(problem)
                problem = await self._while_it_is_up()
            except Exception as error:  # noqa: BLE001 - one host's surprise must not end the feed of the others
                _log.exception("following %s", self._host.name)
                problem = SiteError(self._host.name, f"following it failed: {error!r}", retry=True)

    # -- away

    async def _until_it_answers(self, problem: SiteError | LinkError | None) -> None:
        name, since_ns, tries = self._host.name, time.time_ns(), 0
        while True:
            if problem is not None:
                wait_s = None if _needs_a_person(problem) else _varied(RETRY_S[min(tries, len(RETRY_S) - 1)])
                self._missing(problem, since_ns, wait_s)
                await self._rest(wait_s)
            tries += 1
            self._ways.tell(Asking(name, time.time_ns(), tries))
            try:
                facts = await self._ways.look(name)
            except SiteError as error:
                problem = error
            else:
                await self._ways.seen(self._host, facts)
                return

    def _missing(self, problem: SiteError | LinkError, since_ns: int, wait_s: float | None) -> None:
        now = time.time_ns()
        retry_at_ns = None if wait_s is None else now + round(wait_s * 1e9)
        self._ways.tell(Missing(self._host.name, now, problem.message, problem.remedy, retry_at_ns, since_ns))

    async def _rest(self, wait_s: float | None) -> None:
        """Until it is time to try again, or somebody asks for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not self._wanted:
                    self._stir.clear()
                    await self._stir.wait()
        if self._wanted:
            self._ways.forget(self._host.name)
        self._wanted = False

    # -- there

    async def _while_it_is_up(self) -> SiteError | LinkError:
        """Listen, and look again every so often; ends with why the host cannot be reached any more."""
        listening: asyncio.Task[LinkError] | None = None
        self._tuned_to, self._wanted = None, False
        due = self._next_look()
        try:
            while True:
                listening = await self._tune(listening)
                await self._stirred(listening, due)
                if listening is not None and listening.done():
                    return listening.result()
                if self._wanted or asyncio.get_running_loop().time() >= due:
                    listening = await self._tune(listening)  # a pause does not wait for a look, which takes seconds
                    problem = await self._look(listening)
                    if problem is not None:
                        return problem
                    due = self._next_look()
        finally:
            await _ended(listening)

    async def _look(self, listening: "asyncio.Task[LinkError] | None") -> SiteError | None:
        """A new look; a problem only where no readings show that the host is there all the same."""
        self._wanted = False
        try:
            facts = await self._ways.look(self._host.name)
        except SiteError as error:
            if listening is None:
                return error
            if not listening.done():
                await self._ways.seen(self._host, error.message)
        else:
            await self._ways.seen(self._host, facts)
        return None

    async def _tune(self, listening: "asyncio.Task[LinkError] | None") -> "asyncio.Task[LinkError] | None":
        """The stream as the pace wants it: none while paused, another one for another period."""
        wanted = (self._pace.paused, self._pace.period_s)
        if wanted == self._tuned_to:
            return listening
        await _ended(listening)
        self._tuned_to = wanted
        return None if self._pace.paused else asyncio.create_task(self._listen(), name=f"readings {self._host.name}")

    async def _stirred(self, listening: "asyncio.Task[LinkError] | None", due: float) -> None:
        """Until the stream ends, something is wanted, or a look is due."""
        stirred = asyncio.create_task(self._stir.wait())
        try:
            waits = {stirred} if listening is None else {stirred, listening}
            left = max(0.0, due - asyncio.get_running_loop().time())
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stirred.cancel()
        self._stir.clear()

    async def _listen(self) -> LinkError:
        """Readings as they come; a stream that breaks is told and taken up again while the host can be reached."""
        name, tries = self._host.name, 0
        while True:
            try:
                link = await self._ways.connect(name)
            except LinkError as error:
                return error
            try:
                async with contextlib.aclosing(stream(link, self._host, period_s=self._pace.period_s)) as beats:
                    async for beat in beats:
                        tries = 0
                        self._ways.tell(Pulse(name, self._ours.of(beat.host.at_ns, time.time_ns()), beat))
                why = "the stream of readings ended"
            except LinkError as error:
                why = error.message
            wait_s = _varied(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1
            now = time.time_ns()
            self._ways.tell(Silent(name, now, why, now + round(wait_s * 1e9)))
            await asyncio.sleep(wait_s)

    def _next_look(self) -> float:
        return asyncio.get_running_loop().time() + _varied(self._pace.survey_every_s)


class OurTime:
    """Times of a host's clock on ours, so that hosts share an axis and a late delivery does not move a reading."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    def of(self, host_ns: int, now_ns: int) -> int:
        """Never in the future; now, where the host's clock was set."""
        offset = now_ns - host_ns
        if self._offset_ns is None or offset - self._offset_ns > _BELIEVED_NS:
            self._offset_ns = offset
        else:
            self._offset_ns = min(offset, self._offset_ns + _STEADY_NS)  # clocks drift; the quickest delivery counts
        return host_ns + self._offset_ns


def _needs_a_person(problem: SiteError | LinkError) -> bool:
    """Keys, sign-ins and configuration: trying again does not mend them, and may lock us out."""
    cause = problem.__cause__ if isinstance(problem, SiteError) else problem
    return isinstance(cause, KeyUnknown | KeyChanged | AuthFailed | ConfigError)


def _varied(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, not a secret


async def _ended(task: "asyncio.Task[LinkError] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
