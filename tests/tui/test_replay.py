"""Replays on the screens: what is shown as of which moment, how they are steered, and that nothing can be stopped."""

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from console.desk import desk, replaying
from console.desk.settings import Settings
from console.model.attempt import Outcome
from console.store.errors import UnknownRun
from console.tui import replay as replays
from console.tui.app import Console
from console.tui.dialogs import Confirm
from console.tui.replay import Replay, ReplayLink
from tests.tui import pilots
from tests.tui.pilots import drawn, painted


@pytest.fixture
def make(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Console]:
    """The console on a replay that stands still until it is told to go."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")

    def made(run: str = "now", speed: float = 1.0) -> Console:
        app = replays.console(settings, run, speed)
        app._watch_terminal = False
        of(app).toggle()
        return app

    return made


def of(app: Console) -> Replay:
    link = app.link
    assert isinstance(link, ReplayLink)
    return link.replay


async def until(pilot: Pilot[None], true: Callable[[], Any]) -> None:
    """Until something that the replay's own thread brings is there, and drawn."""
    await pilots.until(pilot, true)
    await drawn(pilot, again=True)


def ended(app: Console) -> int:
    return sum(view.outcome is not None for run in app.world.board.runs() for view in app.world.board.attempts(run.run))


async def test_a_replay_shows_the_run_as_of_its_moment_and_is_marked(make: Callable[..., Console]) -> None:
    app = make()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, app.world.board.runs)
        assert app.current_mode == "live"
        assert ended(app) == 0
        head = painted(app).splitlines()[0]
        assert "REPLAY 1x 0:00 of" in head
        assert "paused" in head
        assert "SIMULATED" in head

        of(app).seek(of(app).end_ns)
        await until(pilot, lambda: app.world.board.runs()[0].closed_at_ns is not None)
        last = app.world.board.runs()[0]
        assert (last.counts.ok, last.counts.failed) == (5, 1)


async def test_going_back_forgets_what_had_not_happened_yet(make: Callable[..., Console]) -> None:
    app = make()
    async with app.run_test(size=(120, 40)) as pilot:
        of(app).seek(of(app).end_ns)
        await until(pilot, lambda: ended(app) == 6)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: ended(app) < 6)
        for _ in range(30):
            await pilot.press("left_square_bracket")
        await until(pilot, lambda: ended(app) == 0)
        await pilot.press("E")
        await until(pilot, lambda: ended(app) == 6)


async def test_it_plays_by_itself_and_its_keys_change_the_speed(make: Callable[..., Console]) -> None:
    app = make(speed=100.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, app.world.board.runs)
        await pilot.press("greater_than_sign")
        assert of(app).speed == 200
        await pilot.press("less_than_sign", "less_than_sign")
        assert of(app).speed == 50
        assert of(app).paused
        await pilot.press("p")
        await until(pilot, lambda: ended(app) == 6)
        assert of(app).at_end


async def test_nothing_can_be_stopped_in_the_past(make: Callable[..., Console]) -> None:
    app = make()
    async with app.run_test(size=(120, 40)) as pilot:
        half = of(app).begin_ns + (of(app).end_ns - of(app).begin_ns) // 2
        of(app).seek(half)
        await until(pilot, lambda: app.world.board.runs() and app.world.active())
        await pilot.press("s", "S", "R")
        await pilot.pause()
        assert not isinstance(app.screen, Confirm)
        assert app.world.read_only


async def test_the_log_ends_where_the_replay_is(make: Callable[..., Console], settings: Settings) -> None:
    app = make()
    with desk.tail(settings) as tail:
        run = tail.find_run("now")
        row = next(row for row in tail.attempts(run.run) if row.outcome is Outcome.OK)
    assert row.started_at_ns is not None
    assert row.ended_at_ns is not None
    async with app.run_test(size=(120, 40)) as pilot:
        of(app).seek(row.started_at_ns + (row.ended_at_ns - row.started_at_ns) // 2)
        await until(pilot, lambda: app.world.board.attempt(row.attempt))
        app.chosen_attempt = row.attempt
        screen = app.console_screen()
        assert screen is not None
        screen.on_screen_resume()
        logs = screen.pane().logs  # type: ignore[attr-defined] # the Live screen
        await until(pilot, lambda: logs.window.lines)
        times = [line.at_ns for line in logs.window.lines]
        assert max(times) <= app.world.clock()
        of(app).seek(of(app).end_ns)
        await until(pilot, lambda: logs.window.lines[-1].at_ns > max(times))


async def test_hosts_are_shown_as_they_were_recorded(
    make: Callable[..., Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replaying.facts

    def all_but_one(settings: Settings, run: str) -> dict[str, Any]:
        return {name: facts for name, facts in found(settings, run).items() if name != "lab-mi300x-02"}

    monkeypatch.setattr(replaying, "facts", all_but_one)
    app = make()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.world.fleet.totals().up)
        hosts = {host.name: host for host in app.world.fleet.hosts()}
        assert {name for name, host in hosts.items() if host.state == "no answer"} == {"lab-mi300x-02"}
        assert "nothing was recorded" in hosts["lab-mi300x-02"].why
        assert app.world.fleet.facts("lab-mi300x-01") is not None
        assert app.world.fleet.health("lab-mi300x-01") is not None


async def test_gpus_move_as_they_were_recorded_and_go_back_with_the_replay(
    make: Callable[..., Console], settings: Settings
) -> None:
    app = make()
    with desk.tail(settings) as tail:
        rows = tail.attempts(tail.find_run("now").run)
    row = next(row for row in rows if row.outcome is Outcome.OK)
    moment = ((row.started_at_ns or 0) + (row.ended_at_ns or 0)) // 2

    def latest() -> int:
        return max((host.heard_at_ns or 0 for host in app.world.fleet.hosts()), default=0)

    def busy() -> bool:
        return bool(latest()) and app.world.fleet.totals().busy_gpus > 0

    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, app.world.fleet.totals)
        of(app).seek(moment)
        await until(pilot, busy)
        assert of(app).begin_ns < latest() <= moment
        of(app).seek(of(app).begin_ns)
        await until(pilot, lambda: not latest())
        assert {host.state for host in app.world.fleet.hosts()} == {"simulated"}


def test_a_run_that_is_not_there_is_no_replay(settings: Settings) -> None:
    with pytest.raises(UnknownRun):
        replays.console(settings, "nothing", 1.0)
