"""The live fleet: every host asked at once, listened to while it is up, looked at now and again. Loads SSH when begun.

A front iterates one feed, in the event loop it draws in, and applies the batches to its board.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from console.catalog.errors import CatalogError
from console.desk.errors import DeskError
from console.desk.fleet_events import FleetEvent, Missing, Seen
from console.desk.settings import Settings
from console.fleet.host import Fleet, Host

if TYPE_CHECKING:
    from console.desk.fleet_following import Follower, Pace
    from console.desk.fleet_judging import LiveJudge
    from console.fleet.dialling import Ask
    from console.fleet.links import Links

SURVEY_EVERY_S = 120.0
BATCH_S = 0.25
"""Events are gathered for so long, so that a front draws at most four times a second."""
KEPT = 20_000
"""More events than these wait for nobody: of each kind only the newest of a host stays."""
__all__ = ["FleetFeed", "follow"]


class Outbox:
    """Events on their way to the front, in order. Bounded, also when nobody fetches them."""

    def __init__(self, limit: int = KEPT) -> None:
        self._limit = limit
        self._events: list[FleetEvent] = []
        self._some = asyncio.Event()

    def put(self, event: FleetEvent) -> None:
        """Add an event. Call it on the loop."""
        self._events.append(event)
        if len(self._events) > self._limit:
            newest = {(type(item), item.host): place for place, item in enumerate(self._events)}
            self._events = [self._events[place] for place in sorted(newest.values())]
        self._some.set()

    async def take(self) -> Sequence[FleetEvent]:
        """Everything that waits, as soon as there is something."""
        await self._some.wait()
        self._some.clear()
        taken, self._events = self._events, []
        return taken


class FleetFeed:
    """Iterate it once, for batches of events; leaving the iteration ends everything it has on the hosts.

    `links` are connections shared with others; without them it makes its own and closes them. All methods belong to
    the loop of the iteration. `survey_every_s` is how often a host that is up is looked at anew, `period_s` how often
    it gives readings. `unjudged` is told when hosts cannot be held against anything, as with a broken profile: they
    are then followed without verdicts. Nobody to tell, and it is raised.
    """

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        hosts: Sequence[Host],
        links: "Links | None" = None,
        *,
        survey_every_s: float = SURVEY_EVERY_S,
        period_s: float = 1.0,
        ask: "Ask | None" = None,
        unjudged: Callable[[Exception], None] | None = None,
    ) -> None:
        self._settings, self._fleet, self._hosts, self._links, self._ask = settings, fleet, tuple(hosts), links, ask
        self._survey_every_s, self._period_s, self._paused = survey_every_s, period_s, False
        self._unjudged = unjudged
        self._outbox = Outbox()
        self._followers: dict[str, Follower] = {}
        self._pace: Pace | None = None
        self._judge: LiveJudge | None = None
        self._unheard = {host.name for host in hosts}
        self._settling: asyncio.Task[None] | None = None

    def look_again(self, host: str | None = None) -> None:
        """Look at a host now, or at all; earlier failures on the way to it are forgotten. A strange name is ignored."""
        for name, follower in self._followers.items():
            if host in (None, name):
                follower.look_again()

    def set_period(self, seconds: float) -> None:
        """Seconds between readings of a host from now on."""
        self._period_s = seconds
        self._retune()

    def pause(self) -> None:
        """No readings until `resume`: nothing runs on the hosts. They are still looked at every so often."""
        self._paused = True
        self._retune()

    def resume(self) -> None:
        """Readings again."""
        self._paused = False
        self._retune()

    async def __aiter__(self) -> AsyncGenerator[Sequence[FleetEvent], None]:
        """Batches for ever. Raises CatalogError and DeskError for what is wrong at home, never for a host.

        Of profiles that cannot be used only where `unjudged` is not told of them.
        """
        async with contextlib.AsyncExitStack() as stack:
            tasks = await self._begin(stack)
            try:
                while True:
                    yield await self._outbox.take()
                    await asyncio.sleep(BATCH_S)
            finally:
                if self._settling is not None:
                    tasks.append(self._settling)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, stack: contextlib.AsyncExitStack) -> "list[asyncio.Task[None]]":
        await asyncio.to_thread(_load)
        from console.desk import fleet_following as following
        from console.desk import fleet_judging
        from console.desk.surveying import DockerSite
        from console.fleet.links import Links

        pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="judge"))
        judging = None
        try:
            judging = await asyncio.get_running_loop().run_in_executor(
                pool, fleet_judging.judging, self._settings, self._fleet
            )
        except (CatalogError, DeskError) as error:
            if self._unjudged is None:
                raise
            self._unjudged(error)
        links = self._links
        if links is None:
            links = Links(self._fleet, ask=self._ask)
            stack.push_async_callback(links.close)
        site = DockerSite(links, self._fleet)
        self._judge = judge = fleet_judging.LiveJudge(judging, pool, self._tell)
        ways = following.Ways(
            look=lambda name: site.survey(name, ()),
            connect=links.get,
            forget=links.forget,
            seen=judge.seen,
            tell=self._tell,
        )
        self._pace = following.Pace(self._survey_every_s, self._period_s)
        self._retune()
        self._followers = {host.name: following.Follower(host, ways, self._pace) for host in self._hosts}
        return [
            asyncio.create_task(follower.run(), name=f"follow {name}") for name, follower in self._followers.items()
        ]

    def _tell(self, event: FleetEvent) -> None:
        self._outbox.put(event)
        if self._unheard and isinstance(event, Seen | Missing):
            self._unheard.discard(event.host)
            if not self._unheard and self._judge is not None:
                self._settling = asyncio.create_task(self._judge.again(), name="judge all")

    def _retune(self) -> None:
        if self._pace is not None:
            self._pace.period_s, self._pace.paused = self._period_s, self._paused
        for follower in self._followers.values():
            follower.retune()


async def follow(
    settings: Settings,
    fleet: Fleet,
    hosts: Sequence[Host],
    links: "Links | None" = None,
    *,
    survey_every_s: float = SURVEY_EVERY_S,
    period_s: float = 1.0,
) -> AsyncGenerator[Sequence[FleetEvent], None]:
    """As iterating a FleetFeed that nobody steers."""
    feed = FleetFeed(settings, fleet, hosts, links, survey_every_s=survey_every_s, period_s=period_s)
    async with contextlib.aclosing(aiter(feed)) as batches:
        async for batch in batches:
            yield batch


def _load() -> None:
    """Import what takes long, off the loop."""
    import console.desk.fleet_judging
    import console.desk.surveying  # noqa: F401
