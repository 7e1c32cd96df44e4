"""`instinct` and `python -m console`. The version is answered before anything else is imported."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.desk.settings import Settings


def open_console(
    settings: "Settings", start: str = "fleet", replay: tuple[str, float] | None = None
) -> tuple[str, ...]:
    """Open the console and come back when it was left: the runs that go on without it.

    `replay` plays a run of the past: which one, and how many times faster.
    """
    from console.tui import open

    return open.run(settings, start=start, replay=replay)


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from console import __version__

        print(f"instinct {__version__}")
        return
    from console.cli.main import run

    sys.exit(run(sys.argv[1:], open_console))


if __name__ == "__main__":
    main()
