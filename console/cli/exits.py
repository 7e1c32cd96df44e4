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


EXPECTED: tuple[tuple[str, str, Exit], ...] = (
    ("console.desk.settings", "SettingsError", Exit.USAGE),
    ("console.desk.errors", "DeskError", Exit.USAGE),
    ("console.catalog.errors", "CatalogError", Exit.USAGE),
    ("console.workloads.base", "WorkloadError", Exit.USAGE),
    ("console.fleet.host", "FleetError", Exit.USAGE),
    ("console.fleet.capture", "CaptureError", Exit.USAGE),
    ("console.fleet.link", "LinkError", Exit.CONNECT),
    ("console.health.report", "UnknownCheck", Exit.USAGE),
    ("console.fleet.engine.errors", "EngineError", Exit.CELL),
    ("console.runs.plan", "PlanError", Exit.USAGE),
    ("console.runs.site", "SiteError", Exit.CONNECT),
    ("console.runs.conductor", "RunHeld", Exit.USAGE),
    ("console.store.errors", "StoreError", Exit.USAGE),
    ("console.results.errors", "ResultsError", Exit.USAGE),
)
"""Module, class, code. By name, so that an error of a heavy room is recognised without importing the room."""


def code_of(error: BaseException) -> Exit | None:
    """The exit code of an expected error, None for one that nobody planned for."""
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    for module, name, code in EXPECTED:
        found = getattr(sys.modules.get(module), name, None)
        if found is not None and isinstance(error, found):
            return code
    return None


def message_of(error: BaseException) -> str:
    """What to tell a person; several problems stay on several lines."""
    return str(error) or type(error).__name__
