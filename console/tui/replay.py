"""A run of the past on the screens: its events as its own clock makes them due, its hosts as they were recorded.

Nothing is connected to and nothing can be steered; what lies in the store can be read as ever.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.desk import desk, replaying
from console.desk.errors import DeskError
from console.desk.fleet_board import FleetEvent, Missing, Seen
from console.desk.replay_readings import PastReadings
from console.desk.replaying import Player, Recording, ReplayClock, speed_text
from console.fleet.host import Fleet, FleetError, Host
from console.model.facts import HostFacts, value_or
from console.model.units import clock
from console.tui.app import Console
from console.tui.link import Core, CoreLink, say
from console.tui.world import World

if TYPE_CHECKING:
    from console.desk.settings import Settings

PAUSE_S = 0.25
"""The longest rest between two looks at what is due."""
READINGS_S = 0.5
"""Between two looks at what was read of the GPUs."""
WAITING = 20_000
"""Events that may wait for the screens before more are read."""


class Replay(ReplayClock):
    """The clock of a replay as the screens show and steer it."""

    def __init__(self, recording: Recording, speed: float) -> None:
        super().__init__(recording.begin_ns, recording.end_ns, speed)
        self.recording = recording

    @property
    def text(self) -> str:
        """`REPLAY 20x 1:05 of 12:30`, and whether it stands still."""
        state = " paused" if self.paused else " ended" if self.at_end else ""
        return f"REPLAY {speed_text(self.speed)} {clock(self.elapsed_s())} of {clock(self.length_s())}{state}"


class ReplayLink(CoreLink):
    """As the real link, but its events are of one run and of another time. `replay` is its clock."""

    def __init__(self, settings: "Settings", fleet: Fleet, replay: Replay) -> None:
        super().__init__(settings, None)
        self.replay = replay
        self._hosts = fleet
        self._recorded: Sequence[FleetEvent] = ()
        self._begun_anew = 0

    def look_again(self, host: str | None = None) -> None:
        """Nobody can look at the past again."""

    def load(self, run: str) -> None:
        """Only the one run is played."""

    async def _follow_runs(self) -> None:
        tail = None
        try:
            tail = await asyncio.to_thread(desk.tail, self.settings)
            await self._play(Player(tail, self.replay.recording.run))
        except Exception as error:  # noqa: BLE001 - as in the real link: a message, not the end of the screens
            self._arrived(problem=say(error))
        finally:
            if tail is not None:
                await asyncio.to_thread(tail.close)

    async def _play(self, player: Player) -> None:
        turned = self._begun_anew = self.replay.turned
        while True:
            if turned != self.replay.turned:
                turned = self.replay.turned
                player.rewind()
                self._arrived(afresh=True, fleet=self._recorded)
                self._begun_anew = turned
            if len(self._envelopes) > WAITING:
                await asyncio.sleep(PAUSE_S)
                continue
            due = await asyncio.to_thread(player.due, self.replay.now_ns())
            if due:
                self._arrived(envelopes=due)
                continue
            next_ns = await asyncio.to_thread(lambda: player.next_ns)
            wait_s = self.replay.real_s(next_ns) if next_ns is not None else None
            # a key may stop it, turn it back or make it faster meanwhile
            await asyncio.sleep(PAUSE_S if wait_s is None else min(PAUSE_S, max(0.01, wait_s)))

    async def _follow_fleet(self) -> None:
        self._opened.set_result(Core(self.settings, None, None))
        try:
            found = await asyncio.to_thread(replaying.facts, self.settings, self.replay.recording.run)
            self._recorded = await asyncio.to_thread(self._looks, found)
            self._arrived(fleet=self._recorded)
            offsets = {name: told.offset_ns for name, facts in found.items() if (told := value_or(facts.clock, None))}
            await self._read_along(
                await asyncio.to_thread(PastReadings, self.settings, self.replay.recording.run, offsets)
            )
        except Exception as error:  # noqa: BLE001 - a message on the screen, not the end of it
            self._arrived(problem=say(error))

    async def _read_along(self, past: PastReadings) -> None:
        turned = self.replay.turned
        while True:
            if turned != self._begun_anew:
                turned = self._begun_anew
                past.rewind()
            due = await asyncio.to_thread(past.due, self.replay.now_ns())
            if due and turned == self._begun_anew == self.replay.turned:
                self._arrived(fleet=due)
            await asyncio.sleep(READINGS_S)

    def _looks(self, found: Mapping[str, HostFacts]) -> list[FleetEvent]:
        """The hosts as they were before their first attempt; those of which nothing was stored say so."""
        from console.desk import health

        at_ns = self.replay.begin_ns
        try:
            judging = health.Judging(self.settings, self._hosts, health.Question())
        except Exception:  # noqa: BLE001 - without the profiles of that time facts are shown without a verdict
            judging = None
        events: list[FleetEvent] = []
        for host in self._hosts.hosts:
            facts = found.get(host.name)
            if facts is None:
                events.append(Missing(host.name, at_ns, "a replay: nothing was recorded of it", "", None, at_ns))
                continue
            verdict = judging.host(host, health.Looked(facts=found)) if judging is not None else None
            events.append(Seen(host.name, at_ns, facts, verdict))
        return events


def console(settings: "Settings", run: str, speed: float) -> Console:
    """The console on a replay of a run. Raises StoreError when there is no such run."""
    recording = replaying.recording(settings, run)
    fleet = _fleet(settings, recording)
    replay = Replay(recording, speed)
    world = World(fleet, read_only=True, clock=replay.now_ns, replaying=True)
    return Console(world, ReplayLink(settings, fleet, replay), start="live")


def _fleet(settings: "Settings", recording: Recording) -> Fleet:
    """The run's hosts, as the fleet file in force describes them where it does."""
    known: dict[str, Host] = {}
    path = Path()
    catalogs: tuple[Path, ...] = ()
    with contextlib.suppress(DeskError, FleetError):
        fleet = desk.fleet(settings)
        known = {host.name: host for host in fleet.hosts}
        path, catalogs = fleet.path, fleet.catalogs
    hosts = tuple(known.get(name) or Host(name=name, address="") for name in recording.hosts)
    return Fleet(path=path, hosts=hosts, simulated=recording.simulated, catalogs=catalogs)
