"""Journeys on the Host screen: read what is wrong, copy the remedy, let a fault rest, look around."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.desk import acks
from console.desk.fleet_board import FleetEvent, Seen
from console.desk.settings import Settings
from console.model.events import Envelope
from console.model.facts import KernelLine, KernelLog, Known
from console.tui.dialogs import AskText, Choose, Confirm
from console.tui.screens.host.acks import key_of
from console.tui.screens.host.screen import HostScreen
from console.tui.screens.host.tabs import TABS
from console.tui.widgets.grid import Grid, text_of
from console.tui.widgets.lines import Lines
from console.tui.widgets.plots import Plot
from tests.tui.pilots import drawn

MakeScene = Callable[..., Any]
SIZES = {"small": (80, 24), "middle": (120, 40), "large": (200, 60)}
BAD = "lab-mi300x-02"
AWAY = "lab-mi300x-05"


async def settled(pilot: Pilot[None]) -> HostScreen:
    """Everything that was fed is drawn, and every request answered."""
    screen = (await drawn(pilot, again=True)).console_screen()
    assert isinstance(screen, HostScreen)
    return screen


def listed(screen: HostScreen, tab: str) -> list[str]:
    grid = screen.query_one(f"#{tab}").query_one(Grid)
    return ["  ".join(text_of(cell) for cell in row.cells) for row in grid.rows]


def detail(screen: HostScreen, tab: str) -> str:
    return screen.query_one(f"#{tab} .detail", Lines).text


def opened(scene: MakeScene, host: str = BAD, **given: Any) -> Any:
    made = scene(start="host", **given)
    made.app.chosen_host = host
    return made


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_every_view_opens_by_its_key_and_has_something_to_show(size: tuple[int, int], scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        assert screen.query_one("#head", Lines).text.startswith(BAD)
        for key, tab in zip("fadtew", TABS, strict=True):
            await pilot.press(key)
            screen = await settled(pilot)

            assert [one for one in TABS if screen.query_one(f"#{one}").display] == [tab]
            grid = screen.query_one(f"#{tab}").query_one(Grid)
            assert grid.has_focus
            assert grid.rows or grid._empty
            assert grid.size.height >= 3


async def test_arrows_go_through_the_views_and_around(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("left")
        screen = await settled(pilot)
        assert screen.query_one("#work").display
        await pilot.press("right", "right")
        screen = await settled(pilot)
        assert screen.query_one("#facts").display


async def test_a_finding_is_read_in_full_and_its_remedy_copied(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        first = detail(screen, "findings")
        await pilot.press("down")
        screen = await settled(pilot)

        assert "✗ fail" in listed(screen, "findings")[0]
        for label in ("seen", "should be", "because", "remedy"):
            assert label in first
        assert detail(screen, "findings") != first
        await pilot.press("up", "y")
        await settled(pilot)
        assert app.clipboard
        assert app.clipboard in first
        await pilot.press("Y")
        await settled(pilot)
        assert app.clipboard.startswith(f"Findings of {BAD} (simulated):")


async def test_only_what_is_wrong_is_left_on_request(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        before = len(listed(screen, "findings"))
        await pilot.press("o")
        screen = await settled(pilot)
        bad = listed(screen, "findings")
        assert 0 < len(bad) < before
        assert not any("pass" in line or "waived" in line for line in bad)

        await pilot.press("a")
        screen = await settled(pilot)
        differing = [line for line in listed(screen, "facts") if not line.startswith("  ")]
        assert differing
        assert all(line.startswith(("✗", "▲", "≈")) for line in differing)
        assert any("NUMA balancing" in line for line in differing)


async def test_facts_stand_beside_the_profile_of_their_server(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        screen = await settled(pilot)
        grid = screen.query_one("#facts").query_one(Grid)
        assert grid.move_to("system.numa_balancing")
        screen = await settled(pilot)

        text = detail(screen, "facts")
        for part in ("system.numa_balancing", "should be 0", "mi300x-2x9654", "/proc/sys/kernel/numa_balancing"):
            assert part in text


async def test_a_filter_of_the_facts_goes_with_escape(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("a", "slash", *"bios")
        screen = await settled(pilot)
        shown = [
            line for line in listed(screen, "facts") if not line.startswith("  GPUs") and not line.startswith("  board")
        ]
        assert len(shown) == 4
        assert all("BIOS" in line for line in shown)

        await pilot.press("enter", "escape")
        screen = await settled(pilot)
        assert not screen.query_one(Input).display
        assert len(listed(screen, "facts")) > 50


async def test_expectations_that_could_not_be_read_are_said(scene: MakeScene) -> None:
    made = opened(scene)
    made.link.answers["expectations"] = ValueError("no profile is called mi300x")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("a")
        screen = await settled(pilot)

        assert any("no profile is called mi300x" in text for text, _ in screen.query_one("#views")._right)  # type: ignore[attr-defined]


async def test_the_picture_shows_every_gpu(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        screen = await settled(pilot)

        text = detail(screen, "gpus")
        assert all(f"GPU {number}" in text for number in range(8))
        assert "xGMI" in text
        assert len(listed(screen, "gpus")) == 8


async def test_another_figure_is_plotted_and_one_gpu_alone(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("t")
        screen = await settled(pilot)
        plot = screen.query_one(Plot)
        assert plot.text.startswith("busy, simulated")
        assert "GPU 7" in plot.text

        await pilot.press("v")
        await settled(pilot)
        assert plot.text.startswith("power")
        await pilot.press("down", "space")
        await settled(pilot)
        assert "GPU 1" in plot.text
        assert "GPU 7" not in plot.text
        await pilot.press("space")
        await settled(pilot)
        assert "GPU 7" in plot.text


async def test_next_and_previous_host_and_the_next_bad_one(scene: MakeScene) -> None:
    app = opened(scene, "lab-mi300x-01").app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("N")
        await settled(pilot)
        assert screen.host == BAD
        await pilot.press("n")
        await settled(pilot)
        assert screen.host == "lab-mi300x-03"
        await pilot.press("p", "p", "p")
        await settled(pilot)
        assert screen.host == AWAY


async def test_a_host_is_chosen_by_name(scene: MakeScene) -> None:
    app = opened(scene).app
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("h")
        await pilot.pause()
        assert isinstance(app.screen, Choose)
        await pilot.press("down", "enter")
        await settled(pilot)

        assert screen.host == "lab-mi300x-03"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_host_that_is_away_says_how_long_and_what_is_tried(size: tuple[int, int], scene: MakeScene) -> None:
    app = opened(scene, AWAY).app
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)

        head = screen.query_one("#head", Lines).text
        for part in ("no answer for 1 min 35 s", "nothing listens on", "is sshd running there?", "r asks now"):
            assert part in head
        assert "does not answer" in screen.query_one("#findings").query_one(Grid)._empty
        await pilot.press("r")
        await settled(pilot)


async def test_a_view_of_a_host_that_was_never_heard_of_is_empty_with_a_reason(scene: MakeScene) -> None:
    app = opened(scene, hosts=False).app
    async with app.run_test(size=(80, 24)) as pilot:
        for key, tab in zip("fadtew", TABS, strict=True):
            await pilot.press(key)
            screen = await settled(pilot)
            pane = screen.query_one(f"#{tab}")
            said = pane.query_one(Plot).text if tab == "telemetry" else pane.query_one(Grid)._empty
            assert said.strip(), tab


async def test_without_a_fleet_file_the_screen_says_why(scene: MakeScene) -> None:
    made = scene(start="host", hosts=False)
    made.app.world.why_no_fleet = "no fleet file at /somewhere"
    made.app.world.fleet = type(made.app.world.fleet)(())
    async with made.app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)

        assert "no fleet file at /somewhere" in screen.query_one("#head", Lines).text


async def test_what_runs_here_is_opened_live(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    made = scene(halfway, start="host")
    app = made.app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        host = next(view.hosts[0] for view in app.world.active() if view.placed)
        app.chosen_host = host
        await pilot.press("w")
        screen = await settled(pilot)
        assert listed(screen, "work")[0].startswith("▶")

        await pilot.press("enter")
        await pilot.pause()
        assert app.current_mode == "live"


# -- acknowledgements


def with_fault(events: Sequence[FleetEvent], host: str = BAD, *, timed: bool = True) -> Seen:
    """The look at a host, with a GPU reset in its kernel log."""
    seen = next(event for event in events if isinstance(event, Seen) and event.host == host)
    text = "amdgpu 0000:46:00.0: amdgpu: GPU reset begin!"
    line = KernelLine(text=text, raw=text, at_ns=seen.at_ns if timed else None, level="err")
    log = KernelLog(source="dmesg", lines=(line,), complete=True)
    facts = msgspec.structs.replace(seen.facts, kernel_log=Known(log, "dmesg"))
    return msgspec.structs.replace(seen, facts=facts)


async def test_a_fault_is_let_rest_with_a_reason_and_taken_back(
    scene: MakeScene, fleet_events: Sequence[FleetEvent], own_settings: Settings
) -> None:
    made = opened(scene, given=own_settings)
    app = made.app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        made.link.feed(fleet=(with_fault(fleet_events),))
        await pilot.press("e")
        screen = await settled(pilot)
        assert "gpu-reset" in listed(screen, "kernel")[0]
        assert "GPU reset begin!" in detail(screen, "kernel")

        await pilot.press("x")
        await pilot.pause()
        assert isinstance(app.screen, AskText)
        await pilot.press(*"replaced", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        await pilot.press("y")
        screen = await settled(pilot)
        kept = acks.load(own_settings)
        assert [(ack.host, ack.rule, ack.bdf, ack.reason) for ack in kept] == [
            (BAD, "gpu-reset", "0000:46:00.0", "replaced")
        ]
        assert "rests" in listed(screen, "kernel")[0]
        assert made.link.looked_at == [BAD]

        await pilot.press("x")
        await pilot.pause()
        await pilot.press("y")
        screen = await settled(pilot)
        assert acks.load(own_settings) == ()
        assert "rests" not in listed(screen, "kernel")[0]


@pytest.mark.parametrize("keys", [("escape",), ("enter",), (*"why", "enter", "n"), (*"why", "enter", "enter")])
async def test_nothing_is_acknowledged_without_a_reason_and_a_yes(
    keys: tuple[str, ...], scene: MakeScene, fleet_events: Sequence[FleetEvent], own_settings: Settings
) -> None:
    made = opened(scene, given=own_settings)
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        made.link.feed(fleet=(with_fault(fleet_events),))
        await pilot.press("e")
        await settled(pilot)
        await pilot.press("x")
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await settled(pilot)

        assert acks.load(own_settings) == ()


async def test_a_console_that_may_only_read_lets_nothing_rest(
    scene: MakeScene, fleet_events: Sequence[FleetEvent]
) -> None:
    made = opened(scene, read_only=True)
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        made.link.feed(fleet=(with_fault(fleet_events),))
        await pilot.press("e")
        screen = await settled(pilot)

        assert listed(screen, "kernel")
        assert screen.check_action("acknowledge", ()) is False
        assert screen.check_action("run_here", ()) is False


async def test_acknowledgements_that_cannot_be_read_are_said(scene: MakeScene) -> None:
    made = opened(scene)
    made.link.answers["acknowledged"] = ValueError("acknowledged.json: not a file of acknowledgements")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)

        assert any("not a file of acknowledgements" in note.message for note in made.app._notifications)


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("gpu-reset", "", ""), "gpu-reset"),
        (("gpu-reset", "0000:46:00.0", ""), "gpu-reset@0000:46:00.0"),
        (("gpu-reset", "", "0123456789"), "gpu-reset#0123456789"),
    ],
)
def test_an_acknowledgement_is_named_as_the_command_line_names_it(parts: tuple[str, str, str], key: str) -> None:
    assert key_of(*parts) == key


async def test_a_fault_without_a_time_rests_by_its_mark(
    scene: MakeScene, fleet_events: Sequence[FleetEvent], own_settings: Settings
) -> None:
    made = opened(scene, given=own_settings)
    async with made.app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        made.link.feed(fleet=(with_fault(fleet_events, timed=False),))
        await pilot.press("e")
        await settled(pilot)
        await pilot.press("x")
        await pilot.pause()
        await pilot.press(*"old", "enter")
        await pilot.pause()
        await pilot.press("y")
        screen = await settled(pilot)

        assert acks.load(own_settings)[0].mark
        assert "rests" in listed(screen, "kernel")[0]
