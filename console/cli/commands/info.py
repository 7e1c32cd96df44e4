"""`instinct info`: what a bug report needs."""

import importlib.metadata
import platform
import sys

from console import __version__
from console.cli import printing
from console.cli.framework import Front, command, json_option, pass_front
from console.cli.printing import Column

LIBRARIES = ("asyncssh", "click", "docker", "h11", "msgspec", "platformdirs", "polars", "rich")


@command("info", example="instinct info\ninstinct info --json")
@json_option
@pass_front
def main(front: Front, as_json: bool) -> None:
    """Versions, system and paths, for a bug report. Names no host, token or user."""
    settings = front.settings()
    facts = {
        "instinct": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "encoding": sys.stdout.encoding or "",
        "config": _state(settings.config.value.is_file()),
        "fleet": _state(settings.fleet.value.is_file()),
        "store": _state((settings.store.value / "journal.sqlite").is_file()),
        "own_profiles": str(len(settings.profiles.value)),
    }
    libraries = {name: _version(name) for name in LIBRARIES}
    if as_json:
        printing.json_object({**facts, "libraries": libraries})
        return
    printing.table([Column("what"), Column("value", shrink=True)], [*facts.items(), *libraries.items()])


def _state(present: bool) -> str:
    return "present" if present else "absent"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
