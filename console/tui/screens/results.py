"""Results."""

from console.tui.screens.base import ConsoleScreen


class ResultsScreen(ConsoleScreen):
    """Results."""

    NAME = "results"
