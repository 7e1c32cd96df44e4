"""Host: what one server is, what is wrong with it, what its GPUs do and what runs there."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from console.desk.expectations import Expected
from console.model.finding import Ack, State
from console.tui import marks
from console.tui.keys import Key, bindings, shown
from console.tui.link import Answer
from console.tui.marks import Span
from console.tui.screens import host_head
from console.tui.screens.base import ConsoleScreen
from console.tui.screens.host_panes import FactsPane, FindingsPane, GpusPane, KernelPane, Listing, Pane, WorkPane
from console.tui.screens.host_plots import TelemetryPane
from console.tui.screens.host_subject import Subject, ended_on
from console.tui.widgets.grid import Grid
from console.tui.widgets.lines import Lines, para, wrap
from console.tui.widgets.tabs import Tab, TabLine
from console.tui.world import Changes

_KEYS = (
    Key("host.findings", "f", "tab('findings')", "Findings: what is wrong, why, and what to do"),
    Key("host.facts", "a", "tab('facts')", "Facts by area, each beside what it should be"),
    Key("host.gpus", "d", "tab('gpus')", "GPUs: live figures and a picture of the server"),
    Key("host.telemetry", "t", "tab('telemetry')", "Telemetry: the last minutes of every GPU"),
    Key("host.kernel", "e", "tab('kernel')", "Kernel log: faults and their lines"),
    Key("host.work", "w", "tab('work')", "What runs here, and what ran"),
    Key("host.next_view", "right", "turn(1)", "Next view"),
    Key("host.previous_view", "left", "turn(-1)", "View before"),
    Key("host.copy", "y", "copy", "Copy what is under the cursor: the remedy, the command, the address", "copy"),
    Key("host.copy_all", "Y", "copy_all", "Copy all that the view shows, as Markdown"),
    Key("host.metric", "v", "metric(1)", "Plot another figure", "figure"),
    Key("host.metric_back", "V", "metric(-1)", "Plot the figure before"),
    Key("host.alone", "space", "alone", "Plot the GPU under the cursor alone, or all", "alone"),
    Key("host.acknowledge", "x", "acknowledge", "Let a kernel-log fault rest, or take that back", "let rest"),
    Key("host.only_bad", "o", "only_bad", "Only what is not as it should be, or everything", "only bad"),
    Key("host.filter", "slash", "filter", "Filter as you type", "filter"),
    Key("host.again", "r", "again", "Look at the host again now", "look again"),
    Key("host.next", "n", "step(1)", "Next host", "next host"),
    Key("host.previous", "p", "step(-1)", "Host before"),
    Key("host.next_bad", "N", "step_bad", "Next host with something wrong"),
    Key("host.choose", "h", "choose_host", "Choose a host by name"),
    Key("host.live", "l", "live", "What runs on this host, live"),
    Key("host.run", "m", "run_here", "Choose a matrix to run"),
)
_TABS = ("findings", "facts", "gpus", "telemetry", "kernel", "work")
_NAMES = {"findings": "findings", "facts": "facts", "gpus": "GPUs", "telemetry": "telemetry", "kernel": "kernel log",
          "work": "work"}  # fmt: skip
_FILTERED = ("findings", "facts")
_HEAD_LINES = 5


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
    KEYS = _KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]
    TICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._tab = "findings"
        self._host: str | None = None
        self._only_bad = False
        self._words = ""
        self._expected: dict[str, tuple[object, Expected | None, str]] = {}
        self._acks: tuple[Ack, ...] = ()
        self._drawn = ("", "")

    def body(self) -> ComposeResult:
        """The header, the views in a line, a filter that shows while it is used, and the view that is chosen."""
        yield Lines(id="head")
        yield TabLine(id="views")
        yield Input(placeholder="filter: every word must be found", id="filter", classes="filter")
        with Container(id="panes"):
            yield FindingsPane(id="findings")
            yield FactsPane(id="facts")
            yield GpusPane(id="gpus")
            yield TelemetryPane(id="telemetry")
            yield KernelPane(id="kernel")
            yield WorkPane(id="work")

    def on_mount(self) -> None:
        """The first view, keys to its table."""
        self.query_one(Input).display = False
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
            self._ask_acks()
        self._ask_expected(subject)
        self._draw_head(subject)
        self._draw_tabs(subject)
        pane = self._pane()
        if isinstance(pane, TelemetryPane):
            pane.show_history(subject, self.world.fleet.history(name))
        else:
            pane.show(subject, fresh=fresh)

    def _subject(self, name: str) -> Subject:
        view = self.world.fleet.host(name)
        if view is None:
            raise KeyError(name)
        expected = self._expected.get(name)
        filtered = self._tab in _FILTERED
        return Subject(
            view=view,
            now_ns=self.world.clock(),
            facts=self.world.fleet.facts(name),
            health=self.world.fleet.health(name),
            expected=expected[1] if expected is not None else None,
            why_unexpected=expected[2] if expected is not None else "",
            acks=self._acks,
            active=tuple(self.world.on_host(name)),
            ended=ended_on(self.world, name) if self._tab == "work" else (),
            words=self._words if filtered else "",
            only_bad=self._only_bad and filtered,
            simulated=self.world.simulated,
        )

    def _draw_head(self, subject: Subject) -> None:
        head = self.query_one("#head", Lines)
        names = [host.name for host in self.world.fleet.hosts()]
        place = f"host {names.index(subject.name) + 1} of {len(names)}"
        lines = host_head.header(subject.view, subject.facts, place, subject.now_ns, self._key("host.again"))
        head.show(lines)
        width = max(20, self.size.width - 3)
        wanted = min(_HEAD_LINES, sum(len(wrap(line, width)) for line in lines))
        current = head.styles.inline.height
        if current is None or int(current.value) != wanted:
            head.styles.height = wanted

    def _draw_tabs(self, subject: Subject) -> None:
        counts = subject.view.counts
        work = len(subject.active) or (1 if subject.view.row is not None and subject.view.row.running else 0)
        faults = [
            item
            for item in (subject.health.findings if subject.health is not None else ())
            if item.check.startswith("kernel.log.") and not item.waived
        ]
        badges: dict[str, Span] = {"work": (str(work), "busy")} if work else {}
        for state, number in (
            (State.FAIL, counts.failed),
            (State.UNKNOWN, counts.unknown),
            (State.WARN, counts.warned),
        ):
            if number:
                badges["findings"] = f"{marks.HEALTH[state].glyph}{number}", marks.HEALTH[state].role
                break
        if faults:
            worst = State.FAIL if any(item.state is State.FAIL for item in faults) else State.WARN
            badges["kernel"] = f"{marks.HEALTH[worst].glyph}{len(faults)}", marks.HEALTH[worst].role
        tabs = [Tab(tab, self._key(f"host.{tab}"), _NAMES[tab], badges.get(tab, ("", ""))) for tab in _TABS]
        self.query_one(TabLine).show(tabs, self._tab, self._right(subject))

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
        return next(shown(key, self.app.changed_keys) for key in _KEYS if key.id == identity)

    def note(self) -> Span:
        """The filter in force."""
        if self._tab not in _FILTERED:
            return "", ""
        parts = ["only bad"] if self._only_bad else []
        parts += [f"with {self._words}"] if self._words else []
        return ", ".join(parts), "accent"

    # -- what is not on the board

    def _ask_expected(self, subject: Subject) -> None:
        """What its facts should be, once for every look."""
        facts, fleet, settings = subject.facts, self.world.fleet_file, self.link.settings
        known = self._expected.get(subject.name)
        if facts is None or fleet is None or (known is not None and known[0] is facts):
            return
        name = subject.name
        self._expected[name] = facts, known[1] if known is not None else None, ""

        def expectations() -> Expected:
            from console.desk.expectations import of

            return of(settings, fleet, name, facts)

        def told(answer: Answer) -> None:
            self._expected[name] = facts, answer.value, answer.error or ""
            self.redraw()

        self.link.work(expectations, told)

    def _ask_acks(self) -> None:
        settings = self.link.settings

        def acknowledged() -> tuple[Ack, ...]:
            from console.desk import acks

            return acks.load(settings)

        def told(answer: Answer) -> None:
            if answer.error is not None:
                self.app.say(answer.error, error=True)
                return
            self._acks = answer.value
            self.redraw()

        self.link.work(acknowledged, told)

    # -- views

    def _pane(self) -> Pane:
        return self.query_one(f"#{self._tab}", Pane)

    def _show_tab(self) -> None:
        for tab in _TABS:
            self.query_one(f"#{tab}").display = tab == self._tab
        self._pane().query_one(Grid).focus()

    def action_tab(self, tab: str) -> None:
        """Another view."""
        self._tab = tab
        self._leave_filter()
        self._show_tab()
        self.call_after_refresh(self.redraw)

    def action_turn(self, by: int) -> None:
        """The view beside."""
        self.action_tab(_TABS[(_TABS.index(self._tab) + by) % len(_TABS)])

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
        if action == "back":
            return self.query_one(Input).display or bool(self._words) or super().check_action(action, parameters)
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
        box = self.query_one(Input)
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """As you type."""
        self._words = event.value.strip().lower()
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the list, the filter stays."""
        self.query_one(Input).display = False
        self._pane().query_one(Grid).focus()

    def _leave_filter(self) -> None:
        box = self.query_one(Input)
        box.value = self._words = ""
        box.display = False

    async def action_back(self) -> None:
        """First out of the filter, then back."""
        if self.query_one(Input).display or self._words:
            self._leave_filter()
            self._pane().query_one(Grid).focus()
            self.redraw()
            return
        await self.app.action_back()

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
        hosts = self.world.fleet.hosts()
        names = [host.name for host in hosts]
        start = names.index(self.host) + 1 if self.host is not None else 0
        for host in (*hosts[start:], *hosts[:start]):
            if host.name != self.host and (host.state == "no answer" or host.health not in (None, State.PASS)):
                self._go(host.name)
                return
        self.app.say("no other host has anything wrong")

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
        self.app.chosen_host = self.host
        self.app.action_go("matrix")

    def action_acknowledge(self) -> None:
        """Ask for the reason, then whether to; or whether to take it back."""
        from console.tui.screens.host_acks import ask

        pane, host = self.query_one(KernelPane), self.host
        fault = pane.current()
        if fault is not None and host is not None:
            ask(self, host, fault, rests=pane.rests(), then=self._acknowledged)

    def _acknowledged(self, said: str) -> None:
        self.app.say(said)
        self._ask_acks()
        self.link.look_again(self.host)
