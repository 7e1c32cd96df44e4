"""One attempt of the Live screen: its state, its rate and its GPUs on one time axis, its log.

A pane is made once and shown with one attempt after the other. It asks the link for what lies in files, one request of
a kind at a time, and less often the longer they take.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from console.desk.board import AttemptView
from console.desk.fleet_board import History
from console.desk.logs import LogFile, LogPart
from console.model.attempt import Stage
from console.tui.screens.live import rows as live_rows
from console.tui.screens.live import series as live_series
from console.tui.screens.live.series import METRICS, Metric
from console.tui.widgets.lines import Lines, Para
from console.tui.widgets.logs import LogView
from console.tui.widgets.plots import Plot

if TYPE_CHECKING:
    from console.desk.readings import AttemptReadings
    from console.model.profile import GpuSpec
    from console.tui.link import Answer, Link
    from console.tui.world import World

Show = Literal["both", "plots", "log"]
SHOWS: tuple[Show, ...] = ("both", "plots", "log")

READ_AGAIN_S = 10.0
COST = 50.0
"""Readings are read again after so many times what reading them took."""
LOGS_AGAIN_S = 2.0


class LivePane(Vertical):
    """Shows one attempt. `show` says which; `draw` shows it as it stands."""

    DEFAULT_CLASSES = "pane"

    def __init__(self, link: "Link", world: "World", id: str) -> None:
        super().__init__(id=id)
        self.attempt: str | None = None
        self.shows: Show = "both"
        self.metric: Metric | None = METRICS[0]
        self.lately = False
        self._link = link
        self._world = world
        self._parts: tuple[LogPart, ...] = ()
        self._part: str | None = None
        self._chosen_part: str | None = None
        self._readings: AttemptReadings | None = None
        self._why_no_readings = ""
        self._drops: dict[str, Callable[[], None]] = {}
        self._due: dict[str, float] = {}
        self._above = self._below = ""

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        head = Lines(classes="head")
        head.can_focus = False
        yield head
        yield Plot(classes="rate")
        yield Plot(classes="gpus")
        yield LogView(self._link.work, classes="log")
        yield Input(placeholder="regular expression; small letters match capitals too", classes="filter search")

    def on_mount(self) -> None:
        """The search line shows while it is used."""
        self.query_one(Input).display = False

    @property
    def logs(self) -> LogView:
        """The log."""
        return self.query_one(LogView)

    @property
    def view(self) -> AttemptView | None:
        """The attempt as it stands."""
        return self._world.board.attempt(self.attempt) if self.attempt else None

    @property
    def parts(self) -> tuple[LogPart, ...]:
        """The logs there are."""
        return self._parts

    @property
    def part(self) -> str | None:
        """The log on show."""
        return self._part

    # -- which attempt

    def show(self, attempt: str | None) -> None:
        """Show an attempt from now on; None shows nothing."""
        if attempt == self.attempt:
            return
        for drop in self._drops.values():
            drop()
        self._drops, self._due = {}, {}
        self.attempt = attempt
        self._parts, self._part, self._chosen_part = (), None, None
        self._readings, self._why_no_readings = None, ""
        self.query_one(Input).display = False
        if attempt is None:
            self.logs.set_log(None)

    def choose_part(self, part: str) -> None:
        """Another log of it."""
        self._chosen_part = part
        self._open(part)

    def afresh(self) -> None:
        """A replay went elsewhere: what was read is of another time."""
        self._readings, self._due = None, {}

    # -- drawing

    def draw(self, gpus: Mapping[str, "GpuSpec"]) -> None:
        """Show the attempt as it stands now."""
        view = self.view
        if view is None or not self.size.width:
            return
        now_ns = self._world.clock()
        self._ask_logs(view)
        if self.metric is not None and self.query_one(".gpus").display:
            self._ask_readings(view)
        self._frame(f"{view.name}  {live_rows.hosts_of(view)}", self._below)
        self.query_one(Lines).show(self._head(view, now_ns, gpus))
        self._arrange(view)
        self._draw_rate(view, now_ns)
        self._draw_gpus(view, now_ns)
        self.tell_log()

    def _head(self, view: AttemptView, now_ns: int, gpus: Mapping[str, "GpuSpec"]) -> list[Para]:
        paras = live_rows.head(view, now_ns, gpus)
        room = max(2, self.size.height // 4)
        if len(paras) > room:
            rest = len(paras) - room + 1
            return [*paras[: room - 1], Para(((f"  and {rest} more; o shows all of it", "dim"),))]
        return paras

    def _arrange(self, view: AttemptView) -> None:
        """What there is room for. The plots need nine lines between them, the log four."""
        height = self.size.height - self.query_one(Lines).size.height
        begun = view.started_at_ns is not None
        plots = self.shows != "log" and (height >= 11 or self.shows == "plots") and begun
        gpus = plots and self.metric is not None and (height >= 19 or (self.shows == "plots" and height >= 10))
        self.query_one(".rate").display = plots
        self.query_one(".gpus").display = gpus
        self.logs.display = self.shows != "plots" or not begun

    def _span(self, view: AttemptView, now_ns: int) -> live_series.Span:
        return live_series.span_of(view, now_ns, lately=self.lately)

    def _draw_rate(self, view: AttemptView, now_ns: int) -> None:
        plot = self.query_one(".rate", Plot)
        if not plot.display:
            return
        span = self._span(view, now_ns)
        times, values = live_series.rates(self._world.board.points(view.attempt), span)
        measured = self._readings.measured if self._readings else (None, None)
        title, unit = live_rows.rate_title(view)
        plot.set_series(
            times,
            {"": values} if values else {},
            unit=unit,
            title=title,
            lines=live_rows.reference_lines(view),
            moments=live_series.moments(view, measured, span),
            window=span.window,
            floor=live_series.floor_of(values),
            gap_s=live_series.rate_gap_s(times),
            empty=self._why_no_rate(view),
        )

    def _why_no_rate(self, view: AttemptView) -> str:
        if view.outcome is not None:
            return "It ended without a live figure."
        if view.stage is not Stage.RUNNING:
            return f"No figure yet: {view.doing}."
        return f"No figure yet: the program is {view.doing}."

    def _draw_gpus(self, view: AttemptView, now_ns: int) -> None:
        plot = self.query_one(".gpus", Plot)
        metric = self.metric
        if not plot.display or metric is None:
            return
        span = self._span(view, now_ns)
        until_ns = view.ended_at_ns or now_ns
        seen, gap_s = live_series.telemetry(
            metric, span, until_ns, self._readings, self._histories(view), self._offsets_ns(view)
        )
        shown = live_series.curves(seen) if seen else {}
        plot.set_series(
            seen.times_s if seen else (),
            shown,
            unit=metric.unit,
            title=metric.title,
            marks=live_series.marks(shown),
            window=span.window,
            floor=live_series.floor_of(seen.lowest) if seen and metric.floor is not None else metric.floor,
            ceiling=metric.ceiling,
            gap_s=gap_s,
            empty=self._why_no_readings or "No readings of its GPUs yet.",
        )

    def _histories(self, view: AttemptView) -> Mapping[str, History]:
        """The last minutes of its hosts, while it goes on: what is recorded lags behind."""
        final = view.outcome is not None and self._readings is not None and not self._readings.live
        if final or self._world.replaying or not view.placed:
            return {}
        fleet = self._world.fleet
        return {host: fleet.history(host) for host in view.hosts if fleet.host(host) is not None}

    def _offsets_ns(self, view: AttemptView) -> Mapping[str, int]:
        hosts = (self._world.fleet.host(name) for name in view.hosts)
        return {host.name: host.clock_offset_ns for host in hosts if host is not None and host.clock_offset_ns}

    def tell_log(self) -> None:
        """Which log it is and where one is in it, on the frame."""
        log = f"log {self._part}" if self._part and len(self._parts) > 1 else "log"
        status = self.logs.status if self.logs.display else ""
        self._frame(self._above, f"{log}: {status}" if status else "")

    def _frame(self, above: str, below: str) -> None:
        """The words on the frame; each setting of one paints all of the frame, so only what differs is set."""
        if above != self._above:
            self._above, self.border_title = above, Content(above)
        if below != self._below:
            self._below, self.border_subtitle = below, Content(below)

    # -- reading

    def _later(self, name: str, seconds: float) -> None:
        self._due[name] = time.monotonic() + seconds

    def _is_due(self, name: str) -> bool:
        return name not in self._drops and time.monotonic() >= self._due.get(name, 0.0)

    def _ask_logs(self, view: AttemptView) -> None:
        """Which logs there are, until one is open; more of them may come."""
        settled = self._part is not None and (view.outcome is not None or len(self._parts) < 2)
        if (settled and "logs" in self._due and view.stage is not Stage.STARTING) or not self._is_due("logs"):
            return
        self._later("logs", LOGS_AGAIN_S if self._part is None else READ_AGAIN_S)
        settings, attempt = self._link.settings, view.attempt

        def look_for_logs() -> tuple[LogPart, ...]:
            from console.desk import logs

            return logs.parts(settings, attempt)

        def told(answer: "Answer") -> None:
            self._drops.pop("logs", None)
            if answer.error is not None:
                self.logs.set_log(None, empty=answer.error)
                return
            self._parts = answer.value
            best = default_part(self._parts)
            if best is not None and self._chosen_part is None and self._better(best):
                self._open(best)
            elif self._part is None:
                self.logs.set_log(None, empty=self._why_no_log())
                self.tell_log()

        self._drops["logs"] = self._link.work(look_for_logs, told)

    def _better(self, part: str) -> bool:
        """True when nothing is on show yet, or another rank turned out to be the one that speaks."""
        sizes = {item.part: item.size for item in self._parts}
        now = self._part
        return now is None or (part != now and self.logs.window.follow and sizes[part] > 2 * sizes.get(now, 0))

    def _why_no_log(self) -> str:
        view = self.view
        if view is None or view.outcome is not None:
            return "No log of it was stored."
        return f"No container was started yet: {view.doing}."

    def _open(self, part: str) -> None:
        self._part = part
        settings, attempt = self._link.settings, self.attempt
        until = self._world.clock if self._world.replaying else None

        def open_log() -> LogFile:
            from console.desk import logs

            return logs.open_log(settings, attempt or "", part)

        def told(answer: "Answer") -> None:
            self._drops.pop("open", None)
            self.logs.set_log(answer.value, empty=answer.error or "", until=until)
            self.tell_log()

        if (drop := self._drops.pop("open", None)) is not None:
            drop()
        self._drops["open"] = self._link.work(open_log, told)

    def _ask_readings(self, view: AttemptView) -> None:
        ended = view.outcome is not None
        if ended and self._readings is not None:
            if not self._readings.live:
                return
            self._due.pop("readings", None)  # the last word is there now
        if view.started_at_ns is None or not self._is_due("readings"):
            return
        settings, attempt = self._link.settings, view.attempt

        def read_readings() -> tuple[Any, float]:
            from console.desk import readings

            begin = time.monotonic()
            return readings.readings(settings, attempt, live_series.POINTS), time.monotonic() - begin

        def told(answer: "Answer") -> None:
            self._drops.pop("readings", None)
            if answer.error is not None:
                self._why_no_readings = answer.error
                self._later("readings", READ_AGAIN_S)
                return
            self._readings, took_s = answer.value
            if not self._readings.gpus:
                self._why_no_readings = "Nobody read its GPUs while it ran." if ended else ""
            self._later("readings", max(READ_AGAIN_S, COST * took_s))

        self._drops["readings"] = self._link.work(read_readings, told)


def default_part(parts: tuple[LogPart, ...]) -> str | None:
    """The log that most want: of the only part, of the client, else where most was written."""
    names = {item.part: item for item in parts}
    for name in ("main", "client"):
        if name in names:
            return name
    return max(parts, key=lambda item: item.size).part if parts else None
