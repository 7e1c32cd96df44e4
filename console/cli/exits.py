"""Exit codes, and which error of which room ends with which. The only place that knows both."""

import sys
from enum import IntEnum


class Exit(IntEnum):
    """Part of the interface: scripts rely on these. `health` has codes of its own."""

    DONE = 0
    CELL = 1
    """A cell failed, was not run or missed its gate; or a command could not do part of its work."""
    USAGE = 2
    CONNECT = 3
    INTERRUPTED = 130


_EXPECTED: tuple[tuple[str, str, Exit], ...] = (
    ("console.desk.settings", "SettingsError", Exit.USAGE),
    ("console.desk.errors", "DeskError", Exit.USAGE),
)
"""Module, class, code. By name, so that an error of a heavy room is recognised without importing the room."""


def code_of(error: BaseException) -> Exit | None:
    """The exit code of an expected error, None for one that nobody planned for."""
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    for module, name, code in _EXPECTED:
        found = getattr(sys.modules.get(module), name, None)
        if found is not None and isinstance(error, found):
            return code
    return None


def message_of(error: BaseException) -> str:
    """What to tell a person; several problems stay on several lines."""
    return str(error) or type(error).__name__
