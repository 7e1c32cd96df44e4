"""The command palette: what can be done now on the screen that is seen, and the ways to hosts, matrices and runs."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand

from console.tui import keys
from console.tui.keys import EVERYWHERE

if TYPE_CHECKING:
    from console.tui.app import Console


def commands(app: "Console") -> Iterable[SystemCommand]:
    """Every command, the screen's own first."""
    screen = app.console_screen()
    if screen is not None:
        for key in screen.KEYS:
            if screen.possible(key):
                yield SystemCommand(_title(key.what), f"key {keys.shown(key, app.changed_keys)}", _run(app, key.action))
    for key in EVERYWHERE:
        if key.action not in ("command_palette", "back") and app.check_action(key.action, ()):
            yield SystemCommand(_title(key.what), f"key {keys.shown(key, app.changed_keys)}", _run(app, key.action))
    for host in app.world.fleet.hosts():
        yield SystemCommand(f"Host {host.name}", host.state, partial(app.open_host, host.name))
    for run in app.world.board.runs():
        name = f"{run.run} {run.label}".rstrip()
        yield SystemCommand(f"Results of {name}", ", ".join(run.matrices), partial(app.open_run, run.run))
    for theme in app.available_themes:
        yield SystemCommand(f"Theme {theme}", "colours", partial(setattr, app, "theme", theme))


def _title(what: str) -> str:
    return what[:1].upper() + what[1:]


def _run(app: "Console", action: str) -> Callable[[], None]:
    def run() -> None:
        screen = app.console_screen()
        app.call_later(app.run_action, action, screen if screen is not None and _owns(screen, action) else app)

    return run


def _owns(screen: object, action: str) -> bool:
    return hasattr(screen, f"action_{action.partition('(')[0]}")
