"""A console without a core: a link that is fed by hand, and a store made from a recorded run of the lab."""

import asyncio
import tarfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.desk import desk, health
from console.desk.fleet_board import FleetEvent, Missing, Pulse, Seen
from console.desk.settings import Options, Settings, load
from console.fleet.host import Fleet, Host
from console.model.attempt import Beat, HostReading, Outcome, Reading
from console.model.events import AttemptEnded, Envelope
from console.model.facts import HostFacts
from console.tui.app import Console
from console.tui.link import Answer, Ask, Batch, Core, Deliver, Then, say
from console.tui.world import World
from tests.tui.pilots import wait_until_idle

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded" / "store.tar.xz"
AWAY = "lab-mi300x-05"
HOSTS = tuple(f"lab-mi300x-0{number}" for number in range(1, 6))
SIZES = {"small": (80, 24), "middle": (120, 40), "large": (200, 60)}


class StillLink:
    """A link that gives what it is fed and nothing by itself. Requests run in the test's own loop, without hosts.

    `answers` stand for requests that would need hosts: by the name of the request function, an answer or an error.
    `asked` are the names of what was asked for.
    """

    def __init__(self, settings: Settings, fleet: Fleet | None = None) -> None:
        self.settings = settings
        self.core = Core(settings, fleet, None)
        self.batches: list[Batch] = []
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.looked_at: list[str | None] = []
        self.loaded: list[str] = []
        self.held: list[Then] | None = None
        """A list, for the test to answer by itself what is asked of a thread."""
        self.closed = False
        self._deliver: Deliver = lambda call: call()
        self._woken: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, deliver: Deliver, woken: Callable[[], None]) -> None:
        """As the real one: from now on what is fed is heard of."""
        self._deliver, self._woken = deliver, woken
        if self.batches:
            deliver(woken)

    def feed(
        self, envelopes: Sequence[Envelope] = (), fleet: Sequence[FleetEvent] = (), problem: str | None = None
    ) -> None:
        """Something arrives."""
        self.batches.append(Batch(envelopes, fleet, problem))
        self._deliver(self._woken)

    def take(self) -> Batch:
        """All of it at once."""
        taken, self.batches = self.batches, []
        return Batch(
            [envelope for batch in taken for envelope in batch.envelopes],
            [event for batch in taken for event in batch.fleet],
            next((batch.problem for batch in taken if batch.problem), None),
        )

    def ask(self, request: Ask, then: Then) -> Callable[[], None]:
        """Run it here; `answers` go before."""
        return self._begin(request, lambda: request(self.core), then)

    def work(self, function: Callable[[], Any], then: Then) -> Callable[[], None]:
        """Run it here, after the next turn of the loop."""
        if self.held is not None:
            self.held.append(then)
            return lambda: None

        async def run() -> Any:
            await asyncio.sleep(0)
            return function()

        return self._begin(function, run, then)

    def _begin(self, request: Any, start: Callable[[], Awaitable[Any]], then: Then) -> Callable[[], None]:
        name = getattr(request, "func", request).__name__
        self.asked.append(name)

        async def run() -> None:
            try:
                value = self.answers[name] if name in self.answers else await start()
            except Exception as error:  # noqa: BLE001 - as the real link does
                answer = Answer(error=say(error))
            else:
                answer = Answer(error=str(value)) if isinstance(value, Exception) else Answer(value)
            self._deliver(lambda: then(answer))

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return lambda: (task.cancel(), None)[1]

    def answering(self) -> bool:
        """Something asked for is not answered yet."""
        return bool(self._tasks)

    def look_again(self, host: str | None = None) -> None:
        """Remembered."""
        self.looked_at.append(host)

    def load(self, run: str) -> None:
        """The run's events, from the store."""
        self.loaded.append(run)
        self.feed(events_of(self.settings, run))

    def forget(self, run: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Remembered."""
        self.closed = True


def events_of(settings: Settings, run: str | None = None) -> Sequence[Envelope]:
    """Everything a store says of a run, or at all."""
    with desk.tail(settings) as tail:
        return tuple(tail.since(0, run, 100_000))


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pilot.pause` and `pilot.press` wait until the screens have done their work, however fast the machine is."""
    monkeypatch.setattr("textual.app.wait_for_idle", wait_until_idle)
    monkeypatch.setattr("textual.pilot.wait_for_idle", wait_until_idle)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded store, unpacked once; do not write to it."""
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(RECORDED) as pack:
        pack.extractall(folder, filter="data")
    return folder / "store"


@pytest.fixture
def own_store(tmp_path: Path) -> Path:
    """The recorded store as one's own, to write to."""
    with tarfile.open(RECORDED) as pack:
        pack.extractall(tmp_path, filter="data")
    return tmp_path / "store"


@pytest.fixture(scope="session")
def fleet_file(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet file with the recorded hosts, marked simulated; nothing listens at their address."""
    hosts = "".join(
        f'[hosts.{name}]\naddress = "127.0.0.1"\nport = 1\ngroups = ["rack{1 + index // 3}"]\n'
        for index, name in enumerate(HOSTS)
    )
    path = tmp_path_factory.mktemp("fleet") / "fleet.toml"
    lab = f'[lab]\nsimulated = true\nspeed = 60.0\nprofiles = "{recorded.parent / "profiles"}"\n'
    path.write_text(f'{lab}[defaults]\nserver = "mi300x-2x9654"\n{hosts}')
    return path


@pytest.fixture
def settings(recorded: Path, fleet_file: Path) -> Settings:
    """On the recorded store, read only."""
    return load(Options(fleet=fleet_file, store=recorded), {"INSTINCT_OPERATOR": "ann@desk"})


@pytest.fixture
def own_settings(own_store: Path, fleet_file: Path) -> Settings:
    """On a store of one's own."""
    return load(Options(fleet=fleet_file, store=own_store), {"INSTINCT_OPERATOR": "ann@desk"})


@pytest.fixture
def events(settings: Settings) -> Sequence[Envelope]:
    """Every event of the recorded store: run `night`, then run `now`, both finished."""
    return events_of(settings)


@pytest.fixture
def runs(settings: Settings) -> dict[str, str]:
    """Ids of the recorded runs by label: night, now."""
    with desk.tail(settings) as tail:
        return {row.label: row.run for row in tail.runs()}


@pytest.fixture
def halfway(events: Sequence[Envelope], runs: dict[str, str]) -> Sequence[Envelope]:
    """The events up to the moment when run `now` has most at work: its first attempt has just ended."""
    now = runs["now"]
    for index, envelope in enumerate(events):
        ended = envelope.event
        if envelope.run == now and isinstance(ended, AttemptEnded) and ended.outcome is Outcome.OK:
            return events[: index + 1]
    raise AssertionError("no attempt of the run `now` ended well")


def facts_in(store: Path) -> dict[str, HostFacts]:
    """Facts of the recorded hosts, as they were before an attempt."""
    decoder = msgspec.json.Decoder(HostFacts)
    files = sorted(store.glob("attempts/*/facts.*.json"))
    return {facts.host: facts for facts in (decoder.decode(file.read_bytes()) for file in files)}


@pytest.fixture(scope="session")
def fleet_events(recorded: Path, fleet_file: Path) -> Sequence[FleetEvent]:
    """Looks at the recorded hosts with their health, one away, and two minutes of readings."""
    settings = load(Options(fleet=fleet_file, store=recorded), {})
    fleet = desk.fleet(settings)
    facts = facts_in(recorded)
    judging = health.Judging(settings, fleet, health.Question())
    now_ns = end_of(events_of(settings))
    events: list[FleetEvent] = []
    for host in fleet.hosts:
        if host.name in facts:
            verdict = judging.host(host, health.Looked(facts=facts))
            events.append(Seen(host.name, now_ns - 120_000_000_000, facts[host.name], verdict))
    why, remedy = "nothing listens on 127.0.0.1:1", "is sshd running there?"
    events.append(Missing(AWAY, now_ns, why, remedy, now_ns + 25_000_000_000, now_ns - 95_000_000_000))
    for second in range(120, 0, -1):
        for host in fleet.hosts:
            if host.name in facts:
                events.append(pulse(host, facts[host.name], now_ns - second * 1_000_000_000, second))
    return tuple(events)


def pulse(host: Host, facts: HostFacts, at_ns: int, second: int) -> Pulse:
    """Readings that move a little and are the same in every test."""
    wave = (second * 7 + sum(host.name.encode())) % 23
    gpus = facts.gpus.value if hasattr(facts.gpus, "value") else ()
    readings = tuple(
        Reading(
            at_ns=at_ns,
            bdf=gpu.bdf,
            power_w=float(480 + 9 * wave + 3 * index),
            hotspot_c=float(58 + wave % 11 + index),
            memory_c=float(50 + index),
            vram_used_bytes=(120 + wave) * 1_000_000_000,
            busy_percent=float(min(100, 78 + wave)),
            sclk_mhz=float(1900 + wave),
            throttle=(),
        )
        for index, gpu in enumerate(gpus)
    )
    return Pulse(
        host.name, at_ns, Beat(HostReading(at_ns=at_ns, load_1m=3.5, memory_available_bytes=1 << 40), readings)
    )


def end_of(events: Sequence[Envelope]) -> int:
    """Our clock at the last event."""
    return max(envelope.at_ns for envelope in events)


class Scene:
    """A console about to be run in a test, and its link."""

    def __init__(self, app: Console, link: StillLink) -> None:
        self.app = app
        self.link = link


MakeScene = Callable[..., Scene]


@pytest.fixture
def scene(settings: Settings, fleet_events: Sequence[FleetEvent], monkeypatch: pytest.MonkeyPatch) -> MakeScene:
    """Makes a console on the recorded hosts. `events` are of runs; the clock stands at the last of them."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")

    def make(
        events: Sequence[Envelope] = (),
        *,
        start: str = "fleet",
        given: Settings | None = None,
        hosts: bool = True,
        read_only: bool = False,
        theme: str = "instinct-dark",
    ) -> Scene:
        chosen = given or settings
        fleet = desk.fleet(chosen)
        now_ns = end_of(events) if events else end_of(events_of(chosen))
        link = StillLink(chosen, fleet)
        world = World(fleet, read_only=read_only, clock=lambda: now_ns)
        app = Console(world, link, start=start, watch_terminal=False)
        app.theme = theme
        link.batches.append(Batch(events, fleet_events if hosts else ()))
        return Scene(app, link)

    return make
