"""What every screen of the console has: the two lines, a body, and one way of being drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from console.tui.keys import Key, clashes, shown
from console.tui.marks import Span
from console.tui.widgets.chrome import Hint, KeyBar, TopBar
from console.tui.widgets.grid import Grid
from console.tui.world import Changes, World

if TYPE_CHECKING:
    from console.tui.app import Console
    from console.tui.link import Link


class ConsoleScreen(Screen[None]):
    """A screen draws from the world and nothing else. `draw` is called at most four times a second, and only while it
    is the one that is seen; whatever it needs of the world it reads then.
    """

    app: "Console"
    NAME: ClassVar[str] = ""
    """Its name among the modes: fleet, host, matrix, live, results, runs."""
    ABOUT: ClassVar[str] = ""
    """What it shows, for the help."""
    KEYS: ClassVar[Sequence[Key]] = ()
    """Its own keys; `BINDINGS = bindings(KEYS)`."""
    TICKS: ClassVar[bool] = False
    """True when it shows times that move on by themselves: it is then drawn once a second as well."""
    BINDINGS: ClassVar[list[BindingType]] = []
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - declared so by Textual
        (0, "-narrow"),
        (100, "-wide"),
        (160, "-vast"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - as above
        (0, "-low"),
        (32, "-high"),
    ]

    @property
    def world(self) -> World:
        """What is known now."""
        return self.app.world

    @property
    def link(self) -> "Link":
        """Where requests go."""
        return self.app.link

    def compose(self) -> ComposeResult:
        """The lines around the body."""
        yield TopBar(id="top")
        yield from self.body()
        yield KeyBar(id="keys")

    def body(self) -> ComposeResult:
        """The screen's own widgets."""
        yield from ()

    def draw(self, changes: Changes | None) -> None:
        """Show the world as it is. None: everything may differ (first sight, another size, another theme)."""

    def note(self) -> Span:
        """A few words at the right of the keys, such as the filter in force."""
        return "", ""

    def redraw(self) -> None:
        """Draw everything now, and the two lines."""
        if self.is_mounted and self.size.width:
            self.draw(None)
            self.draw_lines()

    def draw_lines(self) -> None:
        """The top and the keys."""
        self.query_one(TopBar).show(self.NAME, self.world.simulated, self.app.state_line())
        own = [key for key in self.KEYS if key.hint and self.possible(key)]
        everywhere = [self._hint(key) for key in self.app.hinted_keys()]
        self.query_one(KeyBar).show([self._hint(key) for key in own], everywhere, self.note())

    def _hint(self, key: Key) -> Hint:
        changed = self.app.changed_keys
        return Hint(shown(key, changed), key.hint, changed.get(key.id, key.keys).split(",")[0].strip())

    def possible(self, key: Key) -> bool:
        """True when the key would do something now: its action is not refused by `check_action`."""
        name, _, rest = key.action.partition("(")
        given = rest.rstrip(")").strip("'\"")
        return self.check_action(name, (given,) if given else ()) is True

    def on_mount(self) -> None:
        """Keys of the configuration that cannot all work here are named, once."""
        for clash in clashes(self.KEYS, self.app.changed_keys):
            self.app.say(clash, error=True)

    def show_host(self, host: str) -> None:
        """Go to the Host screen of a host."""
        self.app.open_host(host)

    def on_screen_resume(self) -> None:
        """Seen again: everything may have changed meanwhile."""
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        """Another size."""
        self.call_after_refresh(self.redraw)

    def themed(self) -> None:
        """Other colours."""
        for grid in self.query(Grid):
            grid.invalidate()
        self.redraw()
