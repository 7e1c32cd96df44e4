"""The console: its screens as modes, one clock for all drawing, and the ways from one screen to another."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual.actions import ActionParseResult
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from console.model.finding import State
from console.tui import keys, marks
from console.tui.keys import EVERYWHERE, Key, bindings
from console.tui.link import Answer, Link
from console.tui.marks import Span
from console.tui.plain import Plain
from console.tui.screens.base import ConsoleScreen
from console.tui.terminal import Terminal
from console.tui.themes import OURS, ROUND
from console.tui.widgets.chrome import NARROW
from console.tui.world import Changes, World

DRAW_S = 0.25
"""Screens are drawn at most this often, whatever arrives."""
TERMINAL_S = 5.0
"""How often we look whether the terminal is still there, and the fleet file as it was."""
SCREENS = ("fleet", "host", "matrix", "live", "results", "runs")


def _screen(name: str) -> Callable[[], Screen[None]]:
    """Its file is imported when it is first gone to."""

    def make() -> Screen[None]:
        import importlib

        module = importlib.import_module(f"console.tui.screens.{name}.screen")
        screen: Screen[None] = getattr(module, f"{name.capitalize()}Screen")()
        return screen

    return make


class Delivery(Message):
    """A call that belongs into the screens' thread; posting a message is all that other threads may do."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self.call = call


class Console(App[None]):
    """`world` is what is known, `link` the way to the core. `chosen_*` is what other screens were told to show."""

    TITLE = "Instinct Lab Console"
    CSS_PATH = "console.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {name: _screen(name) for name in SCREENS}
    DEFAULT_MODE = "fleet"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EVERYWHERE)]
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"

    def __init__(self, world: World, link: Link, *, start: str = "fleet", watch_terminal: bool = True) -> None:
        super().__init__(ansi_color=None)
        self.world = world
        self.link = link
        self.chosen_host: str | None = None
        self.chosen_attempt: str | None = None
        self.chosen_run: str | None = None
        self.chosen_matrix: str | None = None
        self.wanted_host: str | None = None
        """A host that something is to be run on, until the Matrix screen has taken it up."""
        self.reopening = False
        """It was left to be opened anew, on the fleet file as it is then."""
        self._start = start
        self._fleet_seen = self._fleet_written()
        self._watch_terminal = watch_terminal
        self._been: list[str] = []
        self._pending: Timer | None = None
        settings = link.settings
        self.changed_keys = dict(settings.keys.value)
        if settings.ascii.value:
            self._filters.append(Plain())  # Textual has no public door for a filter of one's own
        for theme in OURS:
            self.register_theme(theme)
        self.theme = settings.theme.value if settings.theme.value in self.available_themes else ROUND[0]
        self.set_keymap(self.changed_keys)

    # -- life

    def get_driver_class(self) -> type[Driver]:
        """The usual one, made to outlive its terminal; a web server or a test has one of its own."""
        usual = super().get_driver_class()
        return Terminal if usual is LinuxDriver else usual

    def on_mount(self) -> None:
        """First paint, then the core: nothing heavy is loaded before something is seen."""
        if self._start != self.DEFAULT_MODE:
            self.switch_mode(self._start)
        self.theme_changed_signal.subscribe(self, self._themed)
        self.call_after_refresh(self.link.start, lambda call: self.post_message(Delivery(call)), self._stir)
        wanted = self.link.settings.theme.value
        if wanted not in self.available_themes:
            known = ", ".join(sorted(self.available_themes))
            self.say(f"no theme is called {wanted!r}; there are {known}", error=True)
        for problem in keys.problems(self.link.settings):
            self.say(problem, error=True)
        self.set_interval(1.0, self._second)
        if self._watch_terminal:
            self.set_interval(TERMINAL_S, self._look_at_terminal)
            self.set_interval(TERMINAL_S, self.look_at_fleet_file)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self.exit)

    def on_unmount(self) -> None:
        """Connections are closed; runs are processes of their own."""
        self.link.close()

    @property
    def failure(self) -> Exception | None:
        """What nobody planned for and ended the screens."""
        return self._exception

    def _fatal_error(self) -> None:
        """End; whoever opened the screens tells why. Textual would print the values of all variables, which takes long
        to draw and may hold what no terminal should get."""
        self._close_messages_no_wait()

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """As Textual does, but keys typed after the one that left are nobody's: a screen begun now would fail."""
        return False if self._exit else await super().run_action(action, default_namespace, namespaces)

    def _look_at_terminal(self) -> None:
        """A terminal that went away without a word would leave us drawing into nothing for ever."""
        try:
            gone = not os.isatty(sys.__stdin__.fileno()) if sys.__stdin__ else True
        except (OSError, ValueError):
            gone = True
        if gone:
            self.exit()

    def _fleet_written(self) -> int | None:
        """When the fleet file was written last; none when there is none."""
        with contextlib.suppress(OSError):
            return self.link.settings.fleet.value.stat().st_mtime_ns
        return None

    def look_at_fleet_file(self) -> None:
        """Say once when there is another than the one that is shown."""
        written = self._fleet_written()
        if written not in (None, self._fleet_seen) and self.check_action("reopen", ()):
            self._fleet_seen = written
            self.say(f"the fleet file was changed; {keys.reopening(self.changed_keys)} reads it again")

    def action_reopen(self) -> None:
        """Leave, to be opened again at once."""
        self.reopening = True
        self.exit()

    def on_delivery(self, delivery: "Delivery") -> None:
        """Something from the core, in our own thread and context; while we end, nobody is left to show it to."""
        if self.is_running:
            delivery.call()

    # -- drawing

    def _stir(self) -> None:
        """Something arrived: draw soon, with whatever else arrives until then."""
        if self._pending is None:
            self._pending = self.set_timer(DRAW_S, self.draw_news)

    def draw_news(self) -> None:
        """Fold in what arrived and let the screen that is seen draw it."""
        self._pending = None
        problem = self.world.problem
        changes = self.world.apply(self.link.take())
        if self.world.problem != problem and self.world.problem:
            self.notify(self.world.problem, severity="error", timeout=10, markup=False)
        if changes.runs:
            for run in self.world.forget({self.chosen_run or "", self._run_of_attempt()}):
                self.link.forget(run)
        self._draw(changes)

    def _run_of_attempt(self) -> str:
        view = self.world.board.attempt(self.chosen_attempt) if self.chosen_attempt else None
        return view.run if view is not None else ""

    def _second(self) -> None:
        screen = self.console_screen()
        if screen is not None and screen.TICKS and screen is self.screen:
            self._draw(Changes(time=True))

    def _draw(self, changes: Changes) -> None:
        screen = self.console_screen()
        if screen is not None and screen.is_mounted and screen.size.width and self.is_running:
            screen.draw(changes)
            screen.draw_lines()

    def console_screen(self) -> ConsoleScreen | None:
        """The screen of the mode, under whatever window is open over it."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                return screen
        return None

    def redraw(self) -> None:
        """Draw everything on the screen that is seen."""
        screen = self.console_screen()
        if screen is not None and self.is_running:
            screen.redraw()

    def _themed(self, _theme: object) -> None:
        screen = self.console_screen()
        if screen is not None:
            self.call_after_refresh(screen.themed)

    def state_line(self) -> Sequence[Span]:
        """The fleet and the runs in a few words."""
        replay = getattr(self.link, "replay", None)
        parts: list[Span] = [(f" {replay.text} ", "simulated"), (" ", "")] if replay is not None else []
        if parts and self.size.width < 140:
            return parts  # the line has room for what matters most
        totals = self.world.fleet.totals()
        if totals.hosts:
            parts.append((f"{totals.up}/{totals.hosts} up ", "ok" if totals.up == totals.hosts else "warn"))
            if totals.missing:
                parts.append((f"{marks.HOST['no answer'].glyph} {totals.missing} away ", "fail"))
            if totals.failing:
                parts.append((f"{marks.HEALTH[State.FAIL].glyph} {totals.failing} failing ", "fail"))
        counts = [run.counts for run in self.world.open_runs()]
        if counts:
            done, total = sum(item.ended for item in counts), sum(item.total for item in counts)
            active = sum(item.active for item in counts)
            closely = f"{done}/{total} " if self.size.width < NARROW else f"{active} active, {done}/{total} done "
            parts.append((f"{marks.ACTIVE.glyph} {closely}", "busy"))
        if self.world.read_only:
            parts.append(("read-only ", "warn"))
        return parts

    def hinted_keys(self) -> Iterable[Key]:
        """Keys that work everywhere and are worth a place in the footer."""
        return (key for key in EVERYWHERE if key.hint)

    # -- ways

    def action_go(self, name: str) -> None:
        """Go to a screen."""
        if name == self.current_mode:
            return
        self._been = [*self._been[-20:], self.current_mode]
        self.switch_mode(name)

    async def action_back(self) -> None:
        """Where one came from."""
        if self._been:
            self.switch_mode(self._been.pop())

    def open_host(self, host: str) -> None:
        """Show a host."""
        self.chosen_host = host
        self.action_go("host")

    def open_attempt(self, attempt: str) -> None:
        """Show an attempt live."""
        self.chosen_attempt = attempt
        self.action_go("live")

    def open_run(self, run: str) -> None:
        """Show the results of a run."""
        self.chosen_run = run
        self.action_go("results")

    # -- what can be done everywhere

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Back only where there is a way back; nothing to read again in a replay."""
        if action == "back":
            return bool(self._been)
        if action == "reopen":
            return getattr(self.link, "replay", None) is None
        return super().check_action(action, parameters)

    def action_help(self) -> None:
        """What the screen shows and its keys."""
        from console.tui.dialogs import Help
        from console.tui.widgets.grid import Grid
        from console.tui.widgets.logs import LogView

        screen = self.console_screen()
        if screen is None:
            return
        sections = [
            ("On this screen", screen.KEYS),
            ("Everywhere", EVERYWHERE),
            ("In a table", keys.of_widget(Grid.BINDINGS)),
            ("In a log", keys.of_widget(LogView.BINDINGS) if screen.query(LogView) else ()),
        ]
        listed = [
            (heading, [(keys.all_shown(key, self.changed_keys), key.what, key.id) for key in own])
            for heading, own in sections
            if own
        ]
        self.push_screen(Help(screen.NAME.capitalize(), screen.ABOUT, listed))

    def action_next_theme(self) -> None:
        """The next of a few themes."""
        place = ROUND.index(self.theme) + 1 if self.theme in ROUND else 0
        self.theme = ROUND[place % len(ROUND)]
        self.notify(self.theme, timeout=2, markup=False)

    def action_picture(self) -> None:
        """Save the screen as a picture."""
        try:
            path = self.save_screenshot()
        except OSError as error:
            self.notify(f"no picture was saved: {error}", severity="error", markup=False)
        else:
            self.notify(f"saved {path}", markup=False)

    def copy(self, text: str, what: str) -> None:
        """To the terminal's clipboard (OSC 52), and to a file for terminals that have none."""
        self.copy_to_clipboard(text)
        path = self.link.settings.store.value / "copied.txt"

        def save() -> Path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return path

        def told(answer: Answer) -> None:
            also = f"; also in {answer.value}" if answer.error is None else f" ({path}: {answer.error})"
            self.notify(f"copied {what} to the terminal's clipboard{also}", timeout=4, markup=False)

        self.link.work(save, told)

    def say(self, text: str, *, error: bool = False) -> None:
        """A word at the edge of the screen."""
        self.notify(text, severity="error" if error else "information", timeout=10 if error else 4, markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Only what can be done now, in the words of the help."""
        from console.tui.palette import commands

        yield from commands(self)
