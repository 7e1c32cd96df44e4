"""Replays: the clock of one, what is due by it, and what is known of a run before it is played."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from console.desk import replaying
from console.desk.errors import DeskError
from console.desk.replaying import Player, ReplayClock, parse_speed, speed_text
from console.desk.settings import Options, Settings, load
from console.model.events import Envelope, Noticed, RunClosed, RunOpened
from console.store.errors import UnknownRun
from console.store.journal import Journal
from console.store.paths import StateFolder
from console.store.records import RunRow

S = 1_000_000_000
BEGIN = 1_000 * S


class Real:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.ns = 77 * S

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += int(seconds * S)


@pytest.fixture
def real() -> Real:
    return Real()


@pytest.fixture
def clock(real: Real) -> ReplayClock:
    """A run of 100 seconds at ten times its speed."""
    return ReplayClock(BEGIN, BEGIN + 100 * S, 10.0, monotonic_ns=real)


def at_s(clock: ReplayClock) -> float:
    return clock.elapsed_s()


def test_it_runs_at_its_speed_and_stops_at_the_end(clock: ReplayClock, real: Real) -> None:
    assert clock.now_ns() == BEGIN
    real.pass_s(3)
    assert at_s(clock) == 30
    assert clock.real_s(BEGIN + 50 * S) == 2
    assert clock.real_s(BEGIN) == 0
    real.pass_s(1000)
    assert at_s(clock) == clock.length_s() == 100
    assert clock.at_end


def test_it_stands_still_and_goes_on_where_it_was(clock: ReplayClock, real: Real) -> None:
    real.pass_s(2)
    clock.toggle()
    real.pass_s(500)
    assert at_s(clock) == 20
    assert clock.real_s(BEGIN + 50 * S) is None
    clock.toggle()
    real.pass_s(1)
    assert at_s(clock) == 30


def test_another_speed_counts_from_now_on(clock: ReplayClock, real: Real) -> None:
    real.pass_s(2)
    clock.faster()
    assert clock.speed == 20
    assert at_s(clock) == 20
    real.pass_s(1)
    assert at_s(clock) == 40
    clock.slower()
    clock.slower()
    real.pass_s(1)
    assert (clock.speed, at_s(clock)) == (5, 45)
    for _ in range(50):
        clock.slower()
    assert clock.speed == replaying.SPEEDS[0]
    for _ in range(50):
        clock.faster()
    assert clock.speed == replaying.SPEEDS[-1]


def test_a_speed_between_the_steps_goes_to_the_next_one(clock: ReplayClock) -> None:
    clock.set_speed(30)
    clock.faster()
    assert clock.speed == 50
    clock.set_speed(30)
    clock.slower()
    assert clock.speed == 20


def test_only_going_back_makes_others_begin_anew(clock: ReplayClock, real: Real) -> None:
    clock.toggle()
    clock.step(1)
    assert at_s(clock) == 5
    clock.seek(BEGIN + 50 * S)
    assert clock.turned == 0
    clock.step(-1)
    assert (at_s(clock), clock.turned) == (45, 1)
    clock.seek(0)
    assert (at_s(clock), clock.turned) == (0, 2)
    clock.step(-1)
    assert (at_s(clock), clock.turned) == (0, 2)
    clock.step(0)
    assert clock.at_end
    assert clock.paused
    real.pass_s(5)
    assert at_s(clock) == 100


def test_at_the_end_it_begins_anew(clock: ReplayClock, real: Real) -> None:
    real.pass_s(60)
    clock.toggle()
    assert (at_s(clock), clock.paused, clock.turned) == (0, False, 1)
    real.pass_s(1)
    assert at_s(clock) == 10


class Journaled:
    """Events of one run, given in small pages."""

    def __init__(self, times_s: Sequence[float]) -> None:
        self.asked = 0
        self.events = [
            Envelope(at_ns=BEGIN + int(at * S), event=Noticed(str(number)), run="r1", seq=number + 1)
            for number, at in enumerate(times_s)
        ]

    def since(self, seq: int, run: str | None = None, limit: int = 5000) -> Sequence[Envelope]:
        self.asked += 1
        return [event for event in self.events if (event.seq or 0) > seq][: min(3, limit)]

    def run(self, run_id: str) -> RunRow | None:
        return None


def next_ns(player: Player) -> int | None:
    return player.next_ns


def numbers(found: Sequence[Envelope]) -> list[int]:
    return [event.seq or 0 for event in found]


def test_events_come_when_they_are_due_and_once() -> None:
    player = Player(Journaled([0, 1, 1, 2, 5, 9, 9, 9]), "r1")
    assert next_ns(player) == BEGIN
    assert numbers(player.due(BEGIN - 1)) == []
    assert numbers(player.due(BEGIN + 1 * S)) == [1, 2, 3]
    assert numbers(player.due(BEGIN + 1 * S)) == []
    assert next_ns(player) == BEGIN + 2 * S
    assert numbers(player.due(BEGIN + 100 * S, limit=2)) == [4, 5]
    assert numbers(player.due(BEGIN + 100 * S)) == [6, 7, 8]
    assert next_ns(player) is None
    player.rewind()
    assert numbers(player.due(BEGIN + 2 * S)) == [1, 2, 3, 4]


def test_a_clock_that_stepped_back_counts_as_standing_still() -> None:
    player = Player(Journaled([0, 10, 4, 11]), "r1")
    assert numbers(player.due(BEGIN + 5 * S)) == [1]
    assert numbers(player.due(BEGIN + 10 * S)) == [2, 3]
    assert next_ns(player) == BEGIN + 11 * S


def test_only_what_is_needed_is_read() -> None:
    source = Journaled(list(range(300)))
    player = Player(source, "r1")
    player.due(BEGIN + 2 * S)
    assert source.asked <= 2


@pytest.mark.parametrize(("text", "speed"), [("20x", 20), ("20", 20), ("0.5X", 0.5), (" 3 ", 3)])
def test_speeds_are_read_and_written(text: str, speed: float) -> None:
    assert parse_speed(text) == speed
    assert parse_speed(speed_text(speed)) == speed


@pytest.mark.parametrize("text", ["", "fast", "0", "-2x", "1e9", "nan", "inf"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(DeskError, match="no speed"):
        parse_speed(text)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(Options(store=tmp_path), {})


def opened(settings: Settings, *later: Envelope) -> None:
    event = RunOpened(
        label="night",
        matrices=("m",),
        hosts=("a", "b"),
        operator="ann",
        version="1",
        attempts=0,
        simulated=True,
    )
    journal = Journal(StateFolder.open(settings.store.value))
    journal.append_now([Envelope(at_ns=BEGIN, event=event, run="r1"), *later])
    journal.close()


def test_a_run_that_goes_on_is_played_up_to_its_last_event(settings: Settings) -> None:
    opened(settings, Envelope(at_ns=BEGIN + 7 * S, event=Noticed("x"), run="r1"))
    found = replaying.recording(settings, "night")
    assert (found.run, found.hosts, found.simulated) == ("r1", ("a", "b"), True)
    assert (found.begin_ns, found.end_ns) == (BEGIN, BEGIN + 7 * S)
    assert replaying.facts(settings, "r1") == {}


def test_a_closed_run_is_played_to_its_close(settings: Settings) -> None:
    opened(settings, Envelope(at_ns=BEGIN + 9 * S, event=RunClosed("finished"), run="r1"))
    assert replaying.recording(settings, "r1").end_ns == BEGIN + 9 * S


def test_a_run_that_is_not_there_is_said(settings: Settings) -> None:
    with pytest.raises(UnknownRun):
        replaying.recording(settings, "nothing")
