"""Host: what one server is, what is wrong with it, what its GPUs do and what runs there."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from console.tui import marks
from console.tui.keys import bindings, shown
from console.tui.marks import Span
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.host import head as host_head
from console.tui.screens.host.asks import Asks
from console.tui.screens.host.listing import Listing, Pane
from console.tui.screens.host.panes import FactsPane, FindingsPane, GpusPane, KernelPane, WorkPane
from console.tui.screens.host.plots import TelemetryPane
from console.tui.screens.host.subject import Subject, ended_on, next_bad
from console.tui.screens.host.tabs import KEYS, TABS, tabs
from console.tui.widgets.filter_box import FilterBox
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines, para, wrap
from console.tui.widgets.tabs import TabLine
from console.tui.world import Changes

_FILTERED = ("findings", "facts")


class HostScreen(ConsoleScreen):
    """One host in six views."""

    NAME = "host"
    ABOUT = (
        "One server. Findings: what was seen, what it should be and why, the evidence, and the step that mends it.\n"
        "Facts: everything that was read, by area, beside what the server's profile or AMD's guides say; of what\n"
        "could not be read, why, and the command that would show it. GPUs: each of them live, and a picture of\n"
        "sockets, GPUs, adapters and links. Telemetry: the last ten minutes. Kernel log: faults by class and\n"
        "device. Work: what runs here, and what ran."
    )
    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(KEYS)]
    TICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._tab = "findings"
        self._host: str | None = None
        self._only_bad = False
        self._words = ""
        self._asks: Asks | None = None
        self._drawn = ("", "")

    def body(self) -> ComposeResult:
        """The header, the views in a line, a filter that shows while it is used, and the view that is chosen."""
        yield Lines(id="head")
        yield TabLine(id="views")
        yield FilterBox("every word must be found", lambda: self._pane().query_one(Grid))
        with Container(id="panes"):
            yield FindingsPane(id="findings")
            yield FactsPane(id="facts")
            yield GpusPane(id="gpus")
            yield TelemetryPane(id="telemetry")
            yield KernelPane(id="kernel")
            yield WorkPane(id="work")

    def on_mount(self) -> None:
        """The first view, keys to its table."""
        self.query_one("#head", Lines).can_focus = False
        self._show_tab()

    # -- drawing

    @property
    def host(self) -> str | None:
        """The host that was chosen, else the first."""
        chosen = self.app.chosen_host
        if chosen is not None and self.world.fleet.host(chosen) is not None:
            return chosen
        hosts = self.world.fleet.hosts()
        return hosts[0].name if hosts else None

    def draw(self, changes: Changes | None) -> None:
        """The header, the tabs, and the view that is seen."""
        name = self.host
        if name is None:
            why = self.world.why_no_fleet or "The fleet file has no hosts."
            self.query_one("#head", Lines).show([para(why, "dim")])
            return
        attempts = changes is None or bool(changes.attempts or changes.runs)
        if not (attempts or changes is None or changes.time or name in changes.hosts):
            return
        subject = self._subject(name)
        fresh = changes is None or self._drawn != (name, self._tab)
        self._drawn = name, self._tab
        if name != self._host:
            self._host = name
            self.asks.ask_acks()
        self.asks.ask_expected(self.world.fleet_file, name, subject.facts)
        self._draw_head(subject)
        self.query_one(TabLine).show(tabs(subject, self._key), self._tab, self._right(subject))
        pane = self._pane()
        if isinstance(pane, TelemetryPane):
            pane.show_history(subject, self.world.fleet.history(name))
        else:
            pane.show(subject, fresh=fresh)

    @property
    def asks(self) -> Asks:
        """What was read beside the screen."""
        if self._asks is None:
            self._asks = Asks(self.link, self.redraw, lambda why: self.app.say(why, error=True))
        return self._asks

    def _subject(self, name: str) -> Subject:
        view = self.world.fleet.host(name)
        if view is None:
            raise KeyError(name)
        expected, why_unexpected = self.asks.expected(name)
        filtered = self._tab in _FILTERED
        return Subject(
            view=view,
            now_ns=self.world.clock(),
            facts=self.world.fleet.facts(name),
            health=self.world.fleet.health(name),
            expected=expected,
            why_unexpected=why_unexpected,
            acks=self.asks.acks,
            active=tuple(self.world.on_host(name)),
            ended=ended_on(self.world, name) if self._tab == "work" else (),
            words=self._words if filtered else "",
            only_bad=self._only_bad and filtered,
            simulated=self.world.simulated,
        )

    def _draw_head(self, subject: Subject) -> None:
        head = self.query_one("#head", Lines)
        names = [host.name for host in self.world.fleet.hosts()]
        place = f"{names.index(subject.name) + 1}/{len(names)}"
        brief = self.has_class("-low")
        lines = host_head.header(
            subject.view, subject.facts, place, subject.now_ns, self._key("host.again"), brief=brief
        )
        head.show(lines)
        width = max(20, self.size.width - 3)
        wanted = min(4 if brief else 6, sum(len(wrap(line, width)) for line in lines))
        current = head.styles.inline.height
        if current is None or int(current.value) != wanted:
            head.styles.height = wanted

    def _right(self, subject: Subject) -> Sequence[Span]:
        if self._tab == "facts" and subject.expected is not None:
            server = subject.expected.server
            return ((f"beside {server} " if server else "no server profile; beside AMD's guides ", "dim"),)
        if self._tab == "facts" and subject.why_unexpected:
            return ((f"{subject.why_unexpected} ", "warn"),)
        if self._tab == "telemetry":
            return ((f"{self.query_one(TelemetryPane).metric.title} ", "accent"),)
        return ()

    def _key(self, identity: str) -> str:
        return next(shown(key, self.app.changed_keys) for key in KEYS if key.id == identity)

    def note(self) -> Span:
        """The filter in force."""
        if self._tab not in _FILTERED:
            return "", ""
        parts = ["only bad"] if self._only_bad else []
        parts += [f"with {self._words}"] if self._words else []
        return ", ".join(parts), "accent"

    # -- views

    def _pane(self) -> Pane:
        return self.query_one(f"#{self._tab}", Pane)

    def _show_tab(self) -> None:
        for tab in TABS:
            self.query_one(f"#{tab}").display = tab == self._tab
        self._pane().query_one(Grid).focus()

    def action_tab(self, tab: str) -> None:
        """Another view."""
        self._tab, self._words = tab, ""
        self.query_one(FilterBox).drop()
        self._show_tab()
        self.call_after_refresh(self.redraw)

    def action_turn(self, by: int) -> None:
        """The view beside."""
        self.action_tab(TABS[(TABS.index(self._tab) + by) % len(TABS)])

    def on_tab_line_picked(self, event: TabLine.Picked) -> None:
        """A click on a tab."""
        self.action_tab(event.tab)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Other keys may mean something now."""
        self.draw_lines()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Enter: an attempt live, a GPU alone, else what can be copied."""
        pane = self._pane()
        if isinstance(pane, WorkPane) and (attempt := pane.attempt()) is not None:
            self.app.open_attempt(attempt)
        elif isinstance(pane, TelemetryPane):
            pane.alone()
        elif isinstance(pane, Listing):
            pane.query_one(".detail").focus()

    # -- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what the view and the host allow."""
        if not self.is_mounted:
            return super().check_action(action, parameters)
        pane = self._pane()
        if action in ("metric", "alone"):
            return isinstance(pane, TelemetryPane)
        if action in ("filter", "only_bad"):
            return self._tab in _FILTERED
        if action == "acknowledge":
            return not self.world.read_only and isinstance(pane, KernelPane) and pane.current() is not None
        if action == "copy":
            return pane.copied() is not None
        if action == "copy_all":
            return pane.copied_all() is not None
        if action == "live":
            return self.host is not None and bool(self.world.on_host(self.host))
        if action in ("step", "step_bad", "choose_host"):
            return len(self.world.fleet.hosts()) > 1
        if action == "again":
            return self.host is not None
        if action == "run_here":
            return not self.world.read_only
        if action == "leave_filter":
            return self.query_one(FilterBox).in_use
        return super().check_action(action, parameters)

    def action_copy(self) -> None:
        """What is under the cursor."""
        copied = self._pane().copied()
        if copied is not None:
            self.app.copy(*copied)

    def action_copy_all(self) -> None:
        """All that the view shows."""
        copied = self._pane().copied_all()
        if copied is not None:
            self.app.copy(*copied)

    def action_metric(self, by: int) -> None:
        """Another figure in the plot."""
        self.query_one(TelemetryPane).next_metric(by)
        self.redraw()

    def action_alone(self) -> None:
        """One GPU, or all."""
        self.query_one(TelemetryPane).alone()

    def action_only_bad(self) -> None:
        """What is as it should be goes, or comes back."""
        self._only_bad = not self._only_bad
        self.redraw()

    def action_filter(self) -> None:
        """Type to filter."""
        self.query_one(FilterBox).begin()

    def on_input_changed(self, event: Input.Changed) -> None:
        """As you type."""
        self._words = event.value.strip().lower()
        self.redraw()

    def action_leave_filter(self) -> None:
        """Everything again."""
        self._words = ""
        self.query_one(FilterBox).clear_all()
        self.redraw()

    def action_again(self) -> None:
        """Survey the host now."""
        if self.host is not None:
            self.link.look_again(self.host)
            self.app.say(f"looking at {self.host} again")

    def action_step(self, by: int) -> None:
        """The host beside it in the fleet file."""
        names = [host.name for host in self.world.fleet.hosts()]
        if self.host is not None:
            self._go(names[(names.index(self.host) + by) % len(names)])

    def action_step_bad(self) -> None:
        """The next one that fails, warns, is unknown, or is away."""
        found = next_bad(self.world.fleet.hosts(), self.host)
        if found is None:
            self.app.say("no other host has anything wrong")
        self._go(found)

    def action_choose_host(self) -> None:
        """One of all."""
        from console.tui.dialogs import Choose

        options = [(host.name, f"{marks.HOST[host.state].glyph} {host.name}") for host in self.world.fleet.hosts()]
        self.app.push_screen(Choose("Which host?", options, self.host), self._go)

    def _go(self, host: str | None) -> None:
        if host is not None:
            self.app.chosen_host = host
            self.redraw()

    def action_live(self) -> None:
        """The first attempt on the host."""
        for view in self.world.on_host(self.host or "")[:1]:
            self.app.open_attempt(view.attempt)

    def action_run_here(self) -> None:
        """To the matrices, with this host."""
        self.app.wanted_host = self.host
        self.app.action_go("matrix")

    def action_acknowledge(self) -> None:
        """Ask for the reason, then whether to; or whether to take it back."""
        from console.tui.screens.host.acks import ask

        pane, facts = self.query_one(KernelPane), self.world.fleet.facts(self.host or "")
        fault = pane.current()
        if fault is not None and facts is not None:
            ask(self, facts, fault, pane.resting(fault), self._acknowledged)

    def _acknowledged(self, said: str) -> None:
        self.app.say(said)
        self.asks.ask_acks()
        self.link.look_again(self.host)
