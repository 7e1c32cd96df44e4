"""The way between the screens and the core: one second thread with a loop of its own.

Out of it come frozen records, in batches, when `take` is called; into it go requests. Neither side ever waits for the
other. `Link` is what the application needs; `CoreLink` is the real one, tests and replays have others.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from console.model.events import Envelope

if TYPE_CHECKING:
    from console.desk.fleet_board import FleetEvent
    from console.desk.settings import Settings
    from console.desk.surveying import DockerSite
    from console.fleet.host import Fleet
    from console.fleet.links import Links

T = TypeVar("T")

WORKERS = 3
"""Threads for reading tables, logs and files."""


class Batch(msgspec.Struct, frozen=True):
    """What arrived since the last look. `problem` is why the core cannot go on, for a person.

    `afresh`: forget everything before these, as when a replay was set back.
    """

    envelopes: Sequence[Envelope] = ()
    fleet: Sequence["FleetEvent"] = ()
    problem: str | None = None
    afresh: bool = False

    def __bool__(self) -> bool:
        return bool(self.envelopes or self.fleet or self.problem or self.afresh)


class Answer(msgspec.Struct, frozen=True):
    """What became of a request: a value, or why there is none, for a person."""

    value: Any = None
    error: str | None = None


class Core:
    """What a request may use, on the core's loop: the settings, the fleet, and the connections that are open."""

    def __init__(self, settings: "Settings", fleet: "Fleet | None", site: "DockerSite | None") -> None:
        self.settings = settings
        self.fleet = fleet
        self.site = site


Ask = Callable[[Core], Awaitable[Any]]
Then = Callable[[Answer], None]
Deliver = Callable[[Callable[[], None]], object]


class Link(Protocol):
    """All that the screens see of the core."""

    settings: "Settings"

    def start(self, deliver: Deliver, woken: Callable[[], None]) -> None:
        """Begin; `deliver` brings a call into the screens' thread: `woken` when `take` has something, and answers."""

    def take(self) -> Batch:
        """What arrived since the last call."""

    def ask(self, request: Ask, then: Then) -> Callable[[], None]:
        """Run an async request on the core's loop; `then` is called in the screens' thread. Returns how to drop it."""

    def work(self, function: Callable[[], Any], then: Then) -> Callable[[], None]:
        """Run a blocking function (tables, files) in a thread of its own pool; as `ask` otherwise."""

    def look_again(self, host: str | None = None) -> None:
        """Survey a host, or every host, now."""

    def load(self, run: str) -> None:
        """Bring all events of a run that ended long ago."""

    def forget(self, run: str) -> None:
        """A run's events were let go of; `load` brings them again."""

    def close(self) -> None:
        """End everything, connections included. Runs go on: they are processes of their own."""


class CoreLink:
    """The core in a thread: the fleet's connections, the journal's tail, requests."""

    def __init__(self, settings: "Settings", fleet: "Fleet | None") -> None:
        self.settings = settings
        self._fleet = fleet
        self._lock = threading.Lock()
        self._envelopes: list[Envelope] = []
        self._events: list[FleetEvent] = []
        self._problem: str | None = None
        self._woken: Callable[[], None] = lambda: None
        self._told = False
        self._afresh = False
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="console")
        self._opened: Future[Core] = Future()
        self._early: list[Callable[[], None]] = []
        self._deliver: Deliver = self._early.append
        self._feed: Any = None
        self._runs: Any = None

    # -- called by the screens

    def start(self, deliver: Deliver, woken: Callable[[], None]) -> None:
        """Begin; called in the screens' thread."""
        with self._lock:
            self._deliver, self._woken = deliver, woken
        for call in self._early:
            deliver(call)  # a screen may have asked, and been answered, before its first paint
        self._thread = threading.Thread(target=self._main, name="core", daemon=True)
        self._thread.start()

    def take(self) -> Batch:
        """What arrived since the last call."""
        with self._lock:
            batch = Batch(self._envelopes, self._events, self._problem, self._afresh)
            self._envelopes, self._events, self._problem = [], [], None
            self._told = self._afresh = False
        return batch

    def ask(self, request: Ask, then: Then) -> Callable[[], None]:
        """Run an async request on the core's loop."""

        async def run() -> Any:
            return await request(await asyncio.wrap_future(self._opened))

        return self._answered(asyncio.run_coroutine_threadsafe(run(), self._loop), then)

    def work(self, function: Callable[[], Any], then: Then) -> Callable[[], None]:
        """Run a blocking function in the pool."""
        return self._answered(self._pool.submit(function), then)

    def look_again(self, host: str | None = None) -> None:
        """Survey a host, or every host, now."""
        self._soon(lambda: self._feed.look_again(host) if self._feed is not None else None)

    def load(self, run: str) -> None:
        """Bring all events of a run."""
        self._soon(lambda: self._runs.load(run) if self._runs is not None else None)

    def forget(self, run: str) -> None:
        """A run's events were let go of."""
        self._soon(lambda: self._runs.forget(run) if self._runs is not None else None)

    def close(self) -> None:
        """End everything; waits a moment for connections to close."""
        if self._thread is None:
            return
        self._soon(self._ending.set)
        self._thread.join(timeout=3.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- in the core's thread

    def _soon(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(call)

    def _answered(self, future: "Future[Any]", then: Then) -> Callable[[], None]:
        dropped = threading.Event()

        def done(future: "Future[Any]") -> None:
            if future.cancelled():
                return
            error = future.exception()
            answer = Answer(error=say(error)) if error is not None else Answer(future.result())
            with self._lock:
                self._deliver(lambda: None if dropped.is_set() else then(answer))

        def drop() -> None:
            dropped.set()
            future.cancel()

        future.add_done_callback(done)
        return drop

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        runs = asyncio.create_task(self._follow_runs())
        fleet = asyncio.create_task(self._follow_fleet())
        try:
            await self._ending.wait()
        finally:
            for task in (runs, fleet):
                task.cancel()
            await asyncio.gather(runs, fleet, return_exceptions=True)
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _follow_runs(self) -> None:
        from console.desk.run_feed import RunFeed

        try:
            self._runs = RunFeed(self.settings)
            async for envelopes in self._runs:
                self._arrived(envelopes=envelopes)
        except Exception as error:  # noqa: BLE001 - the console stays usable when the journal cannot be read
            self._arrived(problem=say(error))

    async def _follow_fleet(self) -> None:
        if self._fleet is None:
            self._opened.set_result(Core(self.settings, None, None))
            return
        try:
            async with self._open(self._fleet) as links:
                await self._feed_fleet(self._fleet, links)
        except Exception as error:  # noqa: BLE001 - a message on the screen, not the end of it
            if not self._opened.done():
                self._opened.set_exception(error)
            self._arrived(problem=say(error))

    @contextlib.asynccontextmanager
    async def _open(self, fleet: "Fleet") -> "AsyncIterator[Links]":
        links_of, site_of = await asyncio.to_thread(_import_connections)
        links: Links = links_of(fleet)
        try:
            self._opened.set_result(Core(self.settings, fleet, site_of(links, fleet)))
            yield links
        finally:
            await links.close()

    async def _feed_fleet(self, fleet: "Fleet", links: "Links") -> None:
        from console.desk.fleet_feed import FleetFeed

        self._feed = FleetFeed(
            self.settings, fleet, fleet.hosts, links, unjudged=lambda error: self._arrived(problem=say(error))
        )
        async with contextlib.aclosing(aiter(self._feed)) as batches:
            async for events in batches:
                self._arrived(fleet=events)

    def _arrived(
        self,
        *,
        envelopes: Sequence[Envelope] = (),
        fleet: "Sequence[FleetEvent]" = (),
        problem: str | None = None,
        afresh: bool = False,
    ) -> None:
        with self._lock:
            if afresh:
                self._envelopes, self._events, self._afresh = [], [], True
            self._envelopes.extend(envelopes)
            self._events.extend(fleet)
            self._problem = problem or self._problem
            told, self._told = self._told, True
        if not told:
            self._deliver(self._woken)


def _import_connections() -> Any:
    """The heavy libraries behind connections, loaded beside the loop."""
    from console.desk.surveying import DockerSite
    from console.fleet.links import Links

    return Links, DockerSite


def say(error: BaseException) -> str:
    """An error in words: the message of ours, the kind as well for others."""
    from console.model.text import clean, redact

    text = str(error) or "no further message"
    ours = type(error).__module__.startswith("console.")
    return clean(redact(text if ours else f"{type(error).__name__}: {text}"))
