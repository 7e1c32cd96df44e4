"""The console as a whole: ways between screens, help, palette, themes, what is marked, how it ends."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from console.desk.settings import Settings, Value
from console.model.events import Envelope
from console.tui.app import SCREENS, Console
from console.tui.dialogs import Help
from console.tui.keys import EVERYWHERE
from console.tui.screens.base import ConsoleScreen

MakeScene = Callable[..., Any]


def shown(app: Console) -> str:
    """The text of the screen as it is painted."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines[:height])[: (width + 1) * height]


async def settled(pilot: Pilot[None]) -> None:
    """Everything that was fed is drawn."""
    app = pilot.app
    assert isinstance(app, Console)
    for _ in range(3):
        await pilot.pause()
    app.draw_news()
    await pilot.pause()


@pytest.mark.parametrize("name", SCREENS)
async def test_every_screen_opens_by_its_number_and_says_that_it_is_simulated(
    name: str, scene: MakeScene, events: Sequence[Envelope]
) -> None:
    app = scene(events).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press(str(SCREENS.index(name) + 1))
        await settled(pilot)

        assert name == app.console_screen().NAME
        assert "SIMULATED" in shown(app).splitlines()[0]


async def test_escape_goes_back_the_way_one_came(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test() as pilot:
        await pilot.press("4", "6")
        await pilot.press("escape")
        await pilot.pause()
        assert app.current_mode == "live"
        await pilot.press("escape")
        await pilot.pause()
        assert app.current_mode == "fleet"


@pytest.mark.parametrize("name", SCREENS)
async def test_the_help_of_a_screen_names_all_its_keys(name: str, scene: MakeScene) -> None:
    app = scene(start=name).app
    async with app.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(app.screen, Help)
        said = app.screen._sections
        screen = app.console_screen()

        assert screen.ABOUT.strip()
        listed = [what for _, keys in said for _, what in keys]
        assert len(listed) == len(screen.KEYS) + len(EVERYWHERE)


async def test_the_palette_offers_only_what_is_possible_now(scene: MakeScene) -> None:
    app = scene(hosts=False).app
    async with app.run_test() as pilot:
        await settled(pilot)
        titles = [command.title for command in app.get_system_commands(app.screen)]

        assert "What runs on this host, live" not in titles
        assert any(title.startswith("Host lab-mi300x-01") for title in titles)


async def test_read_only_refuses_to_start_anything(scene: MakeScene) -> None:
    app = scene(read_only=True).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        titles = [command.title for command in app.get_system_commands(app.screen)]

        assert "Choose a matrix to run" not in titles
        assert "read-only" in shown(app).splitlines()[0]


async def test_a_key_of_the_configuration_replaces_the_usual_one(scene: MakeScene, settings: Settings) -> None:
    own = msgspec.structs.replace(settings, keys=Value({"screen.runs": "ctrl+r"}, "file"))
    app = scene(given=own).app
    async with app.run_test() as pilot:
        await pilot.press("6")
        await pilot.pause()
        assert app.current_mode == "fleet"
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert app.current_mode == "runs"


@pytest.mark.parametrize("name", SCREENS)
async def test_ascii_leaves_nothing_but_ascii(
    name: str, scene: MakeScene, settings: Settings, halfway: Sequence[Envelope]
) -> None:
    app = scene(halfway, given=msgspec.structs.replace(settings, ascii=Value(True, "option")), start=name).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)

        painted = shown(app)

    assert painted.isascii(), sorted({char for char in painted if not char.isascii()})


async def test_the_themes_go_round(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test() as pilot:
        seen = []
        for _ in range(4):
            await pilot.press("f2")
            await pilot.pause()
            seen.append(app.theme)

    assert seen == ["instinct-light", "ansi-dark", "ansi-light", "instinct-dark"]


async def test_a_theme_that_there_is_not_is_told(scene: MakeScene, settings: Settings) -> None:
    app = scene(given=msgspec.structs.replace(settings, theme=Value("instinct-drak", "file"))).app
    async with app.run_test() as pilot:
        await settled(pilot)

        assert "instinct-drak" in next(iter(app._notifications)).message


async def test_a_problem_of_the_core_is_told_and_the_console_goes_on(scene: MakeScene) -> None:
    made = scene()
    async with made.app.run_test() as pilot:
        await settled(pilot)
        made.link.feed(problem="the journal is of a newer release")
        await settled(pilot)

        assert "newer release" in next(iter(made.app._notifications)).message
        await pilot.press("6")
        await pilot.pause()
        assert made.app.current_mode == "runs"


async def test_what_is_copied_also_lies_in_a_file(scene: MakeScene, own_settings: Settings) -> None:
    app = scene(given=own_settings).app
    async with app.run_test() as pilot:
        app.copy("| a |\n", "a table")
        await settled(pilot)

    assert (own_settings.store.value / "copied.txt").read_text() == "| a |\n"
    assert app.clipboard == "| a |\n"


async def test_leaving_closes_the_link(scene: MakeScene) -> None:
    made = scene()
    async with made.app.run_test() as pilot:
        await pilot.press("q")
        await pilot.pause()

    assert made.link.closed


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_no_size_breaks_a_screen(size: tuple[int, int], scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    app = scene(halfway).app
    async with app.run_test(size=(100, 30)) as pilot:
        for number in range(1, 7):
            await pilot.press(str(number))
            await settled(pilot)
            await pilot.resize_terminal(*size)
            await settled(pilot)
            screen = app.console_screen()
            assert isinstance(screen, ConsoleScreen)
            assert all(widget.region.right <= size[0] for widget in screen.query("*").results() if widget.region)
            await pilot.resize_terminal(100, 30)


def test_no_screen_knows_ssh_docker_or_tables(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, console.tui.app\n"
        "from console.tui.screens import fleet\n"
        "print(' '.join(sorted(set(sys.modules) & {'asyncssh', 'docker', 'polars', 'sqlite3', 'numpy'})))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == []
