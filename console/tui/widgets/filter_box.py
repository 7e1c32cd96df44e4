"""The line that a table is filtered in: out of sight until it is used, and gone again with enter."""

from collections.abc import Callable

from textual.widget import Widget
from textual.widgets import Input


class FilterBox(Input):
    """Tells of every change as an Input does. `back` is what keys go to when it is left."""

    def __init__(self, hint: str, back: Callable[[], Widget]) -> None:
        super().__init__(placeholder=f"filter: {hint}", id="filter", classes="filter")
        self._back = back

    def on_mount(self) -> None:
        """Out of sight."""
        self.display = False

    @property
    def in_use(self) -> bool:
        """True while it is typed in, or filters."""
        return self.display or bool(self.value.strip())

    def begin(self) -> None:
        """Keys go here from now on; at once, so that a quick hand loses none of them to the table."""
        self.display = True
        self.screen.set_focus(self)

    def end(self) -> None:
        """Out of sight again; the filter stays."""
        self.display = False
        self.screen.set_focus(self._back())

    def drop(self) -> None:
        """Nothing is filtered any more; keys go where they go."""
        self.value = ""
        self.display = False

    def clear_all(self) -> None:
        """Nothing is filtered any more, and keys go back."""
        self.drop()
        self.end()

    async def action_submit(self) -> None:
        """Enter leaves it."""
        self.end()
