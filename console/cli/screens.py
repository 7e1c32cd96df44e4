"""Opening the console's screens from a command, and what is said when they were left."""

from typing import TYPE_CHECKING

from console.cli import printing

if TYPE_CHECKING:
    from console.cli.framework import Front
    from console.desk.settings import Settings


def stay(front: "Front", settings: "Settings", start: str = "fleet") -> None:
    """Open the screens and come back when they were left; says which runs go on."""
    assert front.open_console is not None  # noqa: S101 - callers ask `opens_console` first
    for run in front.open_console(settings, start):
        printing.note(f"{run} goes on without the console: `instinct watch {run}`, `instinct stop {run}`")


def play(front: "Front", settings: "Settings", run: str, speed: float) -> None:
    """Play a run of the past on the screens, `speed` times faster."""
    assert front.open_console is not None  # noqa: S101 - as above
    front.open_console(settings, "live", (run, speed))
