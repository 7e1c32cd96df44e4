"""Opening the console: on a fleet, on a run of the past, and what is said when one leaves it."""

from typing import TYPE_CHECKING

from console.desk import desk
from console.desk.errors import DeskError
from console.fleet.host import Fleet, FleetError
from console.tui.app import Console
from console.tui.link import CoreLink
from console.tui.world import World

if TYPE_CHECKING:
    from console.desk.settings import Settings


def console(settings: "Settings", *, start: str = "fleet") -> Console:
    """The console on the fleet file in force. A fleet file that cannot be used is said on the screen, not an error."""
    fleet: Fleet | None = None
    why = ""
    try:
        fleet = desk.fleet(settings)
    except (DeskError, FleetError) as error:
        why = str(error)
    world = World(fleet, why_no_fleet=why, read_only=settings.read_only.value)
    return Console(world, CoreLink(settings, fleet), start=start)


def run(settings: "Settings", *, start: str = "fleet", replay: tuple[str, float] | None = None) -> tuple[str, ...]:
    """Open it and come back when it was left: the runs that go on without it.

    `replay`: a run of the past (as in `find_run`) and how many times faster it is played. What nobody planned for and
    ended the screens is raised, with a note on the runs.
    """
    if replay is not None:
        from console.tui import replay as replays

        app = replays.console(settings, *replay)
    else:
        app = console(settings, start=start)
    app.run()
    while app.reopening:
        before, app = app, console(settings, start=app.current_mode)
        app.chosen_host, app.chosen_run, app.theme = before.chosen_host, before.chosen_run, before.theme
        app.run()
    going_on = () if replay is not None else tuple(run.run for run in app.world.open_runs())
    if app.failure is not None:
        if going_on:
            app.failure.add_note(f"Runs go on without the console: {', '.join(going_on)}")
        raise app.failure
    return going_on
