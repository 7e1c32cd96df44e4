"""Runs."""

from console.tui.screens.base import ConsoleScreen


class RunsScreen(ConsoleScreen):
    """Runs."""

    NAME = "runs"
