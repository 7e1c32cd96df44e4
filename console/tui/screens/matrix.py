"""Matrix."""

from console.tui.screens.base import ConsoleScreen


class MatrixScreen(ConsoleScreen):
    """Matrix."""

    NAME = "matrix"
