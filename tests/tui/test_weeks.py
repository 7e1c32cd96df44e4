"""A console that stays open: going about and hearing of hosts and runs leaves nothing behind."""

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from textual.pilot import Pilot
from textual.widget import Widget

from console.desk.fleet_board import FleetEvent, Pulse
from console.model.events import Envelope
from console.tui.app import Console
from console.tui.world import KEPT_RUNS

MakeScene = Callable[..., Any]


async def go_about(pilot: Pilot[None], rounds: int) -> None:
    """Every screen, its filter, its help, the palette, the other theme."""
    app = pilot.app
    assert isinstance(app, Console)
    for _ in range(rounds):
        for number in "123456":
            await pilot.press(number, "down", "tab", "question_mark", "escape")
            app.draw_news()
        await pilot.press("1", "slash", "x", "escape", "f2", "f2", "f2", "f2")
        app.draw_news()
        await pilot.pause()


def widgets() -> Counter[str]:
    gc.collect()
    return Counter(type(item).__name__ for item in gc.get_objects() if isinstance(item, Widget))


async def test_going_about_leaves_no_widgets_behind(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    app = scene(halfway).app
    async with app.run_test(size=(120, 40)) as pilot:
        await go_about(pilot, 1)
        before = widgets()
        await go_about(pilot, 2)
        after = widgets()

    grown = {name: (before[name], count) for name, count in after.items() if count > before[name] + 1}
    assert grown == {}


async def test_hours_of_readings_take_no_more_room_than_minutes(
    scene: MakeScene, fleet_events: Sequence[FleetEvent]
) -> None:
    made = scene()
    pulses = [event for event in fleet_events if isinstance(event, Pulse)]
    async with made.app.run_test(size=(120, 40)) as pilot:
        counts = []
        for hour in (1, 2, 3):
            for minute in range(15):
                later = (hour * 900 + minute * 60) * 1_000_000_000
                made.link.feed(fleet=[msgspec.structs.replace(item, at_ns=item.at_ns + later) for item in pulses])
                made.app.draw_news()
            await pilot.pause()
            gc.collect()
            counts.append(len(gc.get_objects()))

    assert counts[2] - counts[1] < counts[1] / 100


async def test_old_runs_are_let_go_of_and_come_again_when_they_are_asked_for(
    scene: MakeScene, events: Sequence[Envelope], runs: dict[str, str]
) -> None:
    made = scene()
    night = [item for item in events if item.run == runs["night"]]
    async with made.app.run_test(size=(120, 40)) as pilot:
        for number in range(KEPT_RUNS + 5):
            copies = [
                msgspec.structs.replace(item, run=f"r{number}", attempt=item.attempt and f"{item.attempt}-{number}")
                for item in night
            ]
            made.link.feed(copies)
            made.app.draw_news()
        await pilot.pause()

        board = made.app.world.board
        assert len(board.runs()) == KEPT_RUNS
        assert board.run("r0") is None
        assert board.attempt(f"{next(item.attempt for item in night if item.attempt)}-0") is None
        made.link.feed([msgspec.structs.replace(item, run="r0") for item in night])
        made.app.chosen_run = "r0"
        made.app.draw_news()
        assert len(board.attempts("r0")) == 5
