"""Live."""

from console.tui.screens.base import ConsoleScreen


class LiveScreen(ConsoleScreen):
    """Live."""

    NAME = "live"
