"""The live fleet feed on the embedded lab: answers, failures, broken links, and that it leaves nothing behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.catalog.errors import CatalogError
from console.desk import fleet_following
from console.desk.fleet_board import Asking, FleetBoard, FleetEvent, HostView, Missing, Pulse, Seen, Silent
from console.desk.fleet_feed import FleetFeed, Outbox, follow
from console.desk.fleet_following import Follower, OurTime, Pace, Ways
from console.desk.settings import Options, Settings, load
from console.fleet.host import Host
from console.fleet.inventory import load as load_fleet
from console.fleet.link import AuthFailed, KeyChanged, Link, LinkError, Refused
from console.lab.faults import Fault
from console.lab.up import Lab
from console.model.attempt import Beat, HostReading
from console.model.facts import HostFacts
from console.model.finding import State
from console.runs.site import SiteError

S = 1_000_000_000
FIRST, SECOND = "lab-mi300x-01", "lab-mi300x-02"


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_following, "RETRY_S", (0.05,))
    monkeypatch.setattr("console.fleet.links.BACKOFF_S", (0.001, 0.01))
    monkeypatch.setattr("console.desk.fleet_feed.BATCH_S", 0.02)


class Watched:
    """A feed and its board, and everything it said."""

    def __init__(self, lab: Lab, settings: Settings, period_s: float = 0.05) -> None:
        self.lab = lab
        fleet = load_fleet(lab.fleet_file)
        self.feed = FleetFeed(settings, fleet, fleet.hosts, period_s=period_s)
        self.board = FleetBoard(fleet.hosts)
        self.events: list[FleetEvent] = []
        self._batches = aiter(self.feed)

    def host(self, name: str = FIRST) -> HostView:
        found = self.board.host(name)
        assert found is not None
        return found

    def kinds(self, name: str = FIRST) -> list[str]:
        return [type(event).__name__ for event in self.events if event.host == name]

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            batch = await anext(self._batches)
            self.events += batch
            self.board.apply(batch)

    async def close(self) -> None:
        await self._batches.aclose()


@asynccontextmanager
async def watched(tmp_path: Path, hosts: int = 2, faults: Sequence[Fault] = ()) -> AsyncIterator[Watched]:
    async with Lab(tmp_path / "lab", hosts=hosts, faults=faults, servers=("mi300x-2x9654",)) as lab:
        options = Options(fleet=lab.fleet_file, store=tmp_path / "store", config=None)
        one = Watched(lab, load(options, {"HOME": str(tmp_path)}))
        try:
            yield one
        finally:
            await one.close()


async def test_with_a_broken_profile_hosts_are_followed_without_verdicts_where_somebody_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "profiles" / "matrices"
    broken.mkdir(parents=True)
    (broken / "mine.toml").write_text('name = "mine"\ntitel = "oops"\n')
    async with watched(tmp_path, hosts=1) as fleet:
        options = Options(fleet=fleet.lab.fleet_file, store=tmp_path / "store", profiles=(tmp_path / "profiles",))
        settings, hosts = load(options, {"HOME": str(tmp_path)}), load_fleet(fleet.lab.fleet_file)
        told: list[Exception] = []
        feed = FleetFeed(settings, hosts, hosts.hosts, period_s=0.05, unjudged=told.append)
        async with contextlib.aclosing(aiter(feed)) as batches:
            async for batch in batches:
                fleet.board.apply(batch)
                if fleet.host().heard_at_ns:
                    break

        assert fleet.host().state == "simulated"
        assert fleet.host().health is None
        assert "mine.toml" in str(told[0])
        with pytest.raises(CatalogError, match=r"mine\.toml"):
            await anext(aiter(FleetFeed(settings, hosts, hosts.hosts)))


async def test_every_host_is_asked_seen_judged_and_heard(tmp_path: Path) -> None:
    async with watched(tmp_path) as fleet:
        await fleet.until(lambda: all(one.heard_at_ns and one.health for one in fleet.board.hosts()))

        assert [one.state for one in fleet.board.hosts()] == ["simulated", "simulated"]
        assert all(isinstance(event, Asking | Seen | Pulse) for event in fleet.events)
        assert fleet.kinds()[:2] == ["Asking", "Seen"]
        first = fleet.host()
        assert first.row is not None
        assert (len(first.gpus), first.row.gpus, first.gpus[0].power_cap_w) == (8, "8x MI300X", 750.0)
        assert fleet.board.totals().gpus == 16
        assert fleet.board.facts(FIRST) is not None


async def test_a_dead_host_says_why_and_delays_nobody(tmp_path: Path) -> None:
    async with watched(tmp_path, faults=[Fault("no-boot", host=SECOND)]) as fleet:
        await fleet.until(lambda: fleet.host().heard_at_ns is not None and fleet.host(SECOND).tries > 1)

        dead = fleet.host(SECOND)
        assert dead.state == "no answer"
        assert "nothing listens" in dead.why
        assert dead.remedy
        missing = [event for event in fleet.events if isinstance(event, Missing)]
        assert {event.host for event in missing} == {SECOND}
        assert {event.since_ns for event in missing} == {missing[0].since_ns}
        assert all(event.retry_at_ns is not None for event in missing)


async def test_a_link_that_drops_is_a_silence_and_is_taken_up_again(tmp_path: Path) -> None:
    async with watched(tmp_path) as fleet:
        await fleet.until(lambda: fleet.host().heard_at_ns is not None)
        fleet.lab.drop_links(FIRST)
        await fleet.until(lambda: "Silent" in fleet.kinds())
        silent = fleet.kinds().index("Silent")
        await fleet.until(lambda: "Pulse" in fleet.kinds()[silent:])

        assert "Missing" not in fleet.kinds()
        assert fleet.host().state == "simulated"
        assert "Silent" not in fleet.kinds(SECOND)
        why = next(event.why for event in fleet.events if isinstance(event, Silent))
        assert "connection lost" in why


async def test_a_host_that_goes_away_and_comes_back_is_looked_at_again(tmp_path: Path) -> None:
    async with watched(tmp_path, hosts=1) as fleet:
        await fleet.until(lambda: fleet.host().heard_at_ns is not None)
        await fleet.lab.unplug(FIRST)
        await fleet.until(lambda: fleet.host().state == "no answer")
        gone = fleet.host()
        heard = gone.heard_at_ns
        await fleet.lab.plug(FIRST)
        await fleet.until(lambda: fleet.host().heard_at_ns != heard)

        assert gone.row is not None
        assert (gone.row.gpus, gone.row.state) == ("8x MI300X", "no answer")
        assert fleet.host().state == "simulated"
        away = fleet.kinds().index("Missing")
        assert "Asking" in fleet.kinds()[away:]
        assert "Seen" in fleet.kinds()[away:]


async def test_a_look_on_request_sees_what_changed(tmp_path: Path) -> None:
    async with watched(tmp_path, hosts=1) as fleet:
        await fleet.until(lambda: fleet.host().health is State.PASS and fleet.host().heard_at_ns is not None)
        fleet.lab.set_faults([Fault("numa-balancing")])
        fleet.feed.look_again(FIRST)
        await fleet.until(lambda: fleet.host().health is State.FAIL)

        assert any("numa" in text for text in fleet.host().findings)


async def test_a_paused_feed_gives_no_readings_until_it_resumes(tmp_path: Path) -> None:
    async with watched(tmp_path, hosts=1) as fleet:
        await fleet.until(lambda: fleet.host().heard_at_ns is not None)
        fleet.feed.pause()
        fleet.feed.look_again()
        looks = fleet.kinds().count("Seen")
        await fleet.until(lambda: fleet.kinds().count("Seen") > looks)
        heard = fleet.kinds().count("Pulse")
        fleet.feed.look_again()
        await fleet.until(lambda: fleet.kinds().count("Seen") > looks + 1)
        paused = fleet.kinds().count("Pulse")
        fleet.feed.set_period(0.03)
        fleet.feed.resume()
        await fleet.until(lambda: fleet.kinds().count("Pulse") > paused)

        assert paused == heard
        assert fleet.host().state == "simulated"


async def test_leaving_the_feed_ends_its_loops_on_the_hosts(tmp_path: Path) -> None:
    async with watched(tmp_path, hosts=2) as fleet:
        await fleet.until(lambda: all(one.heard_at_ns for one in fleet.board.hosts()))
        loops = {name: loops_of(fleet.lab, name) for name in (FIRST, SECOND)}
        await fleet.close()
        await ended(fleet.lab, FIRST)
        await ended(fleet.lab, SECOND)

        assert all(loops.values())


async def test_readings_of_a_followed_fleet_come_by_the_plain_generator_too(tmp_path: Path) -> None:
    async with Lab(tmp_path / "lab", hosts=1) as lab:
        fleet = load_fleet(lab.fleet_file)
        settings = load(Options(fleet=lab.fleet_file, store=tmp_path / "store"), {"HOME": str(tmp_path)})
        async with contextlib.aclosing(follow(settings, fleet, fleet.hosts, period_s=0.05)) as batches:
            async for batch in batches:
                if any(isinstance(event, Pulse) for event in batch):
                    break


def loops_of(lab: Lab, host: str) -> int:
    """Processes that sessions of a host started and that still run in its folder."""
    root, found = str(lab.machines[host].root), 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found += (entry / "cwd").resolve() == Path(root)
    return found


async def ended(lab: Lab, host: str) -> None:
    """Wait for the loops of a host; the time limit of the test ends a wait in vain."""
    while True:
        if not loops_of(lab, host):
            return
        await asyncio.sleep(0.02)


# -- one follower, without hosts


class Played:
    """Ways that play a host: `looks` and `links` are taken one after the other, the last one stays."""

    def __init__(self, *looks: Exception | None, connect: LinkError | None = None) -> None:
        self.looks, self.connect_error = list(looks), connect
        self.told: list[FleetEvent] = []
        self.seen: list[HostFacts | str] = []
        self.acts: list[str] = []
        self.forgotten = 0
        self.asked = 0
        self.stirred = asyncio.Event()

    async def look(self, name: str) -> HostFacts:
        self.acts.append("look")
        self.asked += 1
        error = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if error is not None:
            raise error
        return HostFacts(host=name, read_at_ns=self.asked)

    async def connect(self, _: str) -> Link:
        if self.connect_error is not None:
            raise self.connect_error
        self.acts.append("listen")
        self.stirred.set()
        try:
            return await asyncio.Future()
        finally:
            self.acts.append("hang up")

    async def saw(self, _: Host, looked: HostFacts | str) -> None:
        self.seen.append(looked)
        self.stirred.set()

    def tell(self, event: FleetEvent) -> None:
        self.told.append(event)
        self.stirred.set()

    def forget(self, _: str) -> None:
        self.forgotten += 1

    @asynccontextmanager
    async def followed(self, survey_every_s: float = 60.0, pace: Pace | None = None) -> AsyncIterator[Follower]:
        ways = Ways(look=self.look, connect=self.connect, forget=self.forget, seen=self.saw, tell=self.tell)
        follower = Follower(Host(name="node01", address="x"), ways, pace or Pace(survey_every_s, 1.0))
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self.stirred.clear()
            await self.stirred.wait()

    def missing(self) -> list[Missing]:
        return [event for event in self.told if isinstance(event, Missing)]


def refused(error: LinkError) -> SiteError:
    site = SiteError("node01", error.message, remedy=error.remedy, retry=error.transport)
    site.__cause__ = error
    return site


@pytest.mark.parametrize("error", [AuthFailed("node01", "no key", "add one"), KeyChanged("node01", "another key", "x")])
async def test_what_only_a_person_can_mend_is_not_tried_again_until_asked_for(error: LinkError) -> None:
    played = Played(refused(error), refused(error), None)
    async with played.followed() as follower:
        await played.until(lambda: bool(played.missing()))
        for _ in range(50):
            await asyncio.sleep(0)
        asked = played.asked
        follower.look_again()
        await played.until(lambda: len(played.missing()) == 2)
        follower.look_again()
        await played.until(lambda: bool(played.seen))

    assert asked == 1
    assert played.forgotten == 2
    first = played.missing()[0]
    assert (first.retry_at_ns, first.why, first.remedy) == (None, error.message, error.remedy)


async def test_a_refused_connection_is_tried_again_by_itself() -> None:
    played = Played(refused(Refused("node01", "nothing listens")), refused(Refused("node01", "nothing listens")), None)
    async with played.followed():
        await played.until(lambda: bool(played.seen))

    assert [event.tries for event in played.told if isinstance(event, Asking)] == [1, 2, 3]
    assert all(event.retry_at_ns is not None for event in played.missing())


async def test_a_surprise_in_following_one_host_is_told_and_survived() -> None:
    played = Played(ValueError("odd"), None)
    async with played.followed():
        await played.until(lambda: bool(played.seen))

    assert "odd" in played.missing()[0].why


async def test_a_look_that_fails_beside_living_readings_does_not_make_a_host_missing() -> None:
    played = Played(None, SiteError("node01", "a script did not end within 90 s", retry=True))
    async with played.followed() as follower:
        await played.until(lambda: bool(played.seen))
        for _ in range(20):
            await asyncio.sleep(0)
        follower.look_again()
        await played.until(lambda: len(played.seen) == 2)

    assert played.seen[1] == "a script did not end within 90 s"
    assert not played.missing()


async def test_a_pause_does_not_wait_for_a_look_that_is_wanted_too() -> None:
    played, pace = Played(None), Pace(60.0, 1.0)
    async with played.followed(pace=pace) as follower:
        await played.until(lambda: "listen" in played.acts)
        pace.paused = True
        follower.look_again()
        follower.retune()
        await played.until(lambda: len(played.seen) == 2)

    assert played.acts == ["look", "listen", "hang up", "look"]


async def test_looks_come_every_so_often() -> None:
    played = Played(None)
    async with played.followed(survey_every_s=0.01):
        await played.until(lambda: len(played.seen) >= 3)

    assert all(isinstance(one, HostFacts) for one in played.seen)


async def test_a_host_that_cannot_be_reached_any_more_is_missing() -> None:
    played = Played(None, connect=Refused("node01", "nothing listens", "is it on?"))
    async with played.followed():
        await played.until(lambda: bool(played.missing()))

    assert (played.missing()[0].why, played.missing()[0].remedy) == ("nothing listens", "is it on?")


# -- times and the outbox


def test_a_late_delivery_does_not_move_a_reading() -> None:
    ours = OurTime()

    assert ours.of(100 * S, 1000 * S) == 1000 * S
    assert ours.of(101 * S, 1001 * S + S // 2) == pytest.approx(1001 * S, abs=2_000_000)


def test_a_reading_is_never_in_the_future_and_a_clock_that_was_set_is_followed() -> None:
    ours = OurTime()
    ours.of(100 * S, 1000 * S)

    assert ours.of(5000 * S, 1001 * S) == 1001 * S
    assert ours.of(10 * S, 1002 * S) == 1002 * S


async def test_what_nobody_fetches_is_bounded_to_the_newest_of_each_kind() -> None:
    outbox = Outbox(limit=10)
    beat = Beat(HostReading(at_ns=1), ())
    outbox.put(Asking("node01", 0))
    for second in range(1000):
        outbox.put(Pulse("node01", second, beat))
    taken = await outbox.take()

    assert len(taken) <= 10
    assert taken[0] == Asking("node01", 0)
    assert taken[-1] == Pulse("node01", 999, beat)
