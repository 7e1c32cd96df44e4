"""The console as a whole: ways between screens, help, palette, themes, what is marked, how it ends."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.color import Color
from textual.pilot import Pilot

from console.desk.settings import Settings, Value
from console.model.events import Envelope
from console.tui import open as opening
from console.tui.app import SCREENS, Console
from console.tui.dialogs import Help
from console.tui.keys import EVERYWHERE
from console.tui.screens.base import ConsoleScreen
from console.tui.widgets.chrome import KeyBar
from console.tui.world import World
from tests.tui.pilots import drawn

MakeScene = Callable[..., Any]


def shown(app: Console) -> str:
    """The text of the screen as it is painted."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines[:height])[: (width + 1) * height]


async def settled(pilot: Pilot[None]) -> None:
    """Everything that was fed is drawn."""
    await drawn(pilot)


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
        listed = dict(said)
        assert len(listed["On this screen"]) == len(screen.KEYS)
        assert len(listed["Everywhere"]) == len(EVERYWHERE)
        assert ("up k", "Up", "grid.up") in listed["In a table"]


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


async def test_wrong_names_and_shared_keys_of_the_configuration_are_told(scene: MakeScene, settings: Settings) -> None:
    given = Value({"fleet.srot": "f5", "fleet.bad_first": "s", "app.back": "escape,f9"}, "file", "config.toml")
    app = scene(given=msgspec.structs.replace(settings, keys=given)).app
    async with app.run_test() as pilot:
        await settled(pilot)

        assert {item.message for item in app._notifications} == {
            "config.toml: keys: no action is called 'fleet.srot'; did you mean 'fleet.sort'?",
            "keys: s is given to both fleet.sort and fleet.bad_first",
        }


@pytest.mark.parametrize("name", SCREENS)
async def test_in_80_columns_screens_have_names_and_help_is_offered(
    name: str, scene: MakeScene, halfway: Sequence[Envelope]
) -> None:
    app = scene(halfway, hosts=False, start=name).app
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        lines = shown(app).splitlines()

    assert "1 Fleet 2 Host 3 Matrix 4 Live 5 Results 6 Runs  SIM" in lines[0]
    assert "▶" in lines[0]
    assert " ? help" in lines[-1]


async def test_where_state_needs_the_room_screens_have_numbers(scene: MakeScene, halfway: Sequence[Envelope]) -> None:
    app = scene(halfway).app
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        first = shown(app).splitlines()[0]

    assert first.startswith(" 1 Fleet  2  3  4  5  6   SIM ")
    assert all(word in first for word in ("4/5 up", "1 away", "failing", "▶"))


async def test_a_click_on_a_key_below_presses_it(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        line = shown(app).splitlines()[-1]
        await pilot.click(KeyBar, offset=(line.index("? help"), 0))
        await pilot.pause()

        assert isinstance(app.screen, Help)


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
async def test_in_the_terminals_own_colours_nothing_has_the_colour_it_stands_on(
    theme: str, scene: MakeScene, halfway: Sequence[Envelope]
) -> None:
    app = scene(halfway, theme=theme).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        strips = app.screen._compositor.render_strips()

    styles = [segment.style for strip in strips for segment in strip if segment.style and segment.text.strip()]
    assert not [style for style in styles if style.color == style.bgcolor != Color.default()]
    cursor = next(strip for strip in strips if "lab-mi300x-01" in strip.text)
    assert len({(part.style.color, part.style.bgcolor) for part in cursor if part.style}) == 1


async def test_keys_typed_after_the_one_that_left_do_nothing(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test() as pilot:
        await settled(pilot)
        app.exit()
        await app.run_action("go('matrix')")

        assert app.current_mode == "fleet"


async def test_an_error_nobody_planned_for_ends_it_without_the_values_of_variables(scene: MakeScene) -> None:
    app = scene().app
    error = RuntimeError("nobody planned for this")

    async def failing() -> None:
        async with app.run_test() as pilot:
            await settled(pilot)
            app._handle_exception(error)

    with pytest.raises(RuntimeError, match="nobody planned"):
        await failing()

    assert app.failure is error
    assert app._exit_renderables == []


def test_whoever_opened_it_gets_the_error_and_hears_of_the_runs(
    scene: MakeScene, settings: Settings, halfway: Sequence[Envelope], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = scene(halfway).app
    app.world.board.apply(halfway)
    app._exception = RuntimeError("nobody planned for this")
    monkeypatch.setattr(app, "run", lambda: None)
    monkeypatch.setattr(opening, "console", lambda settings, start: app)

    with pytest.raises(RuntimeError) as raised:
        opening.run(settings)

    assert next(run.run for run in app.world.open_runs()) in raised.value.__notes__[0]


async def test_the_help_breaks_its_lines_where_its_window_does(scene: MakeScene) -> None:
    app = scene().app
    async with app.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        await pilot.pause()
        lines = [line.strip(" │") for line in shown(app).splitlines()]

    first = next(index for index, line in enumerate(lines) if "Every host of the fleet file" in line)
    assert all(len(line) > 60 for line in lines[first : first + 3])


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_without_hosts_it_is_said_why(size: tuple[int, int], settings: Settings, scene: MakeScene) -> None:
    made = scene(hosts=False)
    app = Console(World(None, why_no_fleet="here.toml: no such fleet file"), made.link, watch_terminal=False)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)

        assert "here.toml: no such fleet file" in shown(app)
        assert "`instinct demo` shows the console" in shown(app)
        assert "ctrl+r reads it again" in shown(app)


async def test_a_changed_fleet_file_is_told_once_and_read_again_on_a_key(
    scene: MakeScene, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    file = tmp_path / "fleet.toml"
    file.write_bytes(settings.fleet.value.read_bytes())
    app = scene(given=msgspec.structs.replace(settings, fleet=Value(file, "option"))).app
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        monkeypatch.setattr(app, "say", said.append)
        app.look_at_fleet_file()
        assert said == []
        os.utime(file, ns=(0, 1))
        for _ in range(3):
            app.look_at_fleet_file()
        assert said == ["the fleet file was changed; ctrl+r reads it again"]
        await pilot.press("ctrl+r")

    assert app.reopening


def test_it_is_opened_anew_where_one_was(scene: MakeScene, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = scene().app, scene().app
    first.chosen_host, first.reopening = "lab-mi300x-02", True
    opened: list[str] = []
    apps: Iterator[Console] = iter((first, second))

    def console(settings: Settings, start: str) -> Console:
        opened.append(start)
        return next(apps)

    monkeypatch.setattr(opening, "console", console)
    for app in (first, second):
        monkeypatch.setattr(app, "run", lambda: None)
    opening.run(settings)

    assert opened == ["fleet", "fleet"]
    assert second.chosen_host == "lab-mi300x-02"


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
