"""Journeys on the Fleet screen: find what is wrong, narrow it down, go on to the host."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input

from console.model.events import Envelope
from console.tui.screens.fleet.screen import FleetScreen
from console.tui.screens.fleet.table import host_of
from console.tui.widgets.chrome import SpanLine
from console.tui.widgets.grid import Grid, text_of
from console.tui.widgets.lines import Lines
from tests.tui.pilots import drawn

MakeScene = Callable[..., Any]
SIZES = {"small": (80, 24), "middle": (120, 40), "large": (200, 60)}
BAD = "lab-mi300x-02"
AWAY = "lab-mi300x-05"


async def settled(pilot: Pilot[None]) -> FleetScreen:
    """Everything that was fed is drawn."""
    screen = (await drawn(pilot)).console_screen()
    assert isinstance(screen, FleetScreen)
    return screen


def order(screen: FleetScreen) -> list[str | None]:
    return [host_of(row.key) for row in screen.query_one("#fleet", Grid).rows]


def pane(screen: FleetScreen) -> str:
    return screen.query_one("#detail", Lines).text


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_find_the_bad_host_and_read_the_remedy(size: tuple[int, int], scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        assert order(screen)[0] == "lab-mi300x-01"

        await pilot.press("b")
        await settled(pilot)
        assert order(screen)[:2] == [AWAY, BAD]

        await pilot.press("down", "enter")
        await pilot.pause()
        host = app.console_screen()
        assert host.NAME == "host"
        assert app.chosen_host == BAD
        detail = host.query_one("#findings .detail", Lines)
        assert "numa_balancing" in detail.text
        assert "sudo sysctl -w kernel.numa_balancing=0" in detail.text

        await pilot.press("y")
        await pilot.pause()
        assert app.clipboard == "sudo sysctl -w kernel.numa_balancing=0"


async def test_bad_first_asked_again_is_the_fleet_files_order(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        before = order(screen)
        await pilot.press("b")
        await settled(pilot)
        assert screen.note()[0] == "bad first"
        await pilot.press("b")
        await settled(pilot)

        assert order(screen) == before


async def test_the_pane_follows_the_cursor_and_says_what_is_tried_of_a_host_that_is_away(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(200, 60)) as pilot:
        screen = await settled(pilot)
        assert pane(screen).startswith("lab-mi300x-01")

        await pilot.press("end")
        await settled(pilot)
        assert pane(screen).startswith(AWAY)
        for part in ("nothing listens on 127.0.0.1:1", "is sshd running there?", "again in 25 s"):
            assert part in pane(screen)


async def test_the_pane_is_there_only_where_there_is_room(scene: MakeScene) -> None:
    for size, shown in ((80, 24), False), ((120, 40), True), ((160, 24), True):
        app = scene().app
        async with app.run_test(size=size) as pilot:
            screen = await settled(pilot)
            assert screen.query_one("#detail").display is shown


async def test_a_filter_narrows_as_one_types_stays_after_enter_and_goes_with_escape(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("slash", *"state:fail")
        await settled(pilot)
        assert order(screen) == [BAD]

        await pilot.press("enter")
        await settled(pilot)
        assert not screen.query_one(Input).display
        assert order(screen) == [BAD]
        assert "1 of 5 match state:fail" in screen.note()[0]

        await pilot.press("escape")
        await settled(pilot)
        assert len(order(screen)) == 5


async def test_a_filter_that_fits_nothing_says_so(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("slash", *"nowhere")
        await settled(pilot)

        assert order(screen) == []
        assert "No host matches 'nowhere'" in screen.query_one("#fleet", Grid)._empty


async def test_grouping_puts_headings_over_the_hosts_that_open_nothing(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("o", "home")
        await settled(pilot)
        assert order(screen)[0] is None
        assert text_of(screen.query_one("#fleet", Grid).rows[0].cells[0]) == "@rack1"
        assert "no host under the cursor" in pane(screen)

        await pilot.press("enter")
        await settled(pilot)
        assert app.current_mode == "fleet"


async def test_the_cursor_stays_on_its_host_when_it_is_grouped_and_goes_to_one_that_is_found(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        grid = screen.query_one("#fleet", Grid)
        await pilot.press("down", "o")
        await settled(pilot)
        assert host_of(grid.current) == BAD

        await pilot.press("slash", *"05")
        await settled(pilot)
        assert host_of(grid.current) == AWAY


async def test_a_problem_stays_in_sight(scene: MakeScene) -> None:
    made = scene()
    async with made.app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        made.link.feed(problem="mine.toml:3: titel: unknown key\nmine.toml: missing key `title`")
        await settled(pilot)
        made.app.clear_notifications()
        await pilot.pause()
        line = screen.query_one("#totals", SpanLine).render_line(0).text

    assert line.startswith(" ✗ mine.toml:3: titel: unknown key ")
    assert cell_len(line) == 120


async def test_a_line_that_is_too_long_says_so(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        line = (await settled(pilot)).query_one("#totals", SpanLine)
        line.set_parts([("a" * 100, "bold"), ("b" * 100, "")], [("c", "")])

        assert line.render_line(0).text == "a" * 100 + "b" * 19 + "…"


async def test_look_again_asks_for_the_host_under_the_cursor_or_for_all(scene: MakeScene) -> None:
    made = scene()
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "r", "R")
        await settled(pilot)

        assert made.link.looked_at == [BAD, None]


async def test_what_runs_is_shown_with_its_speed_and_opened_live(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    app = scene(halfway).app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        busy = [name for name in order(screen) if name and app.world.on_host(name)]
        assert busy
        grid = screen.query_one("#fleet", Grid)
        grid.move_to(busy[0])
        await settled(pilot)
        line = next(row for row in grid.rows if row.key == busy[0])
        assert any("▶" in text_of(cell) for cell in line.cells)

        await pilot.press("l")
        await pilot.pause()
        assert app.current_mode == "live"


async def test_the_copied_table_is_markdown_and_says_that_it_is_simulated(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("y")
        await settled(pilot)

        assert app.clipboard.startswith("Simulated")
        assert f"| {BAD} |" in app.clipboard


async def test_a_fleet_that_is_not_there_says_why(scene: MakeScene) -> None:
    made = scene(hosts=False)
    made.app.world.why_no_fleet = "no fleet file at /somewhere/fleet.toml"
    made.app.world.fleet = type(made.app.world.fleet)(())
    async with made.app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)

        assert "no fleet file at /somewhere" in screen.query_one("#fleet", Grid)._empty


async def test_hosts_that_were_not_heard_of_yet_are_listed_at_once(scene: MakeScene) -> None:
    app = scene(hosts=False).app
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)

        assert len(order(screen)) == 5
        assert all("asking" in text_of(row.cells[1]) for row in screen.query_one("#fleet", Grid).rows)
