"""Host."""

from console.tui.screens.base import ConsoleScreen


class HostScreen(ConsoleScreen):
    """Host."""

    NAME = "host"
