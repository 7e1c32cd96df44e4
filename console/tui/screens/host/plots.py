"""The telemetry view of the Host screen: all GPUs in one plot, a strip of each below."""

import math

from textual.app import ComposeResult

from console.desk.fleet_board import History
from console.tui.screens.host import telemetry as host_telemetry
from console.tui.screens.host.listing import Copied, Pane
from console.tui.screens.host.subject import Subject
from console.tui.screens.host.telemetry import METRICS, Metric
from console.tui.widgets.grid import Grid, text_of
from console.tui.widgets.plots import Plot

_LEAST_S = 60.0
"""The time axis is at least so long, however young the readings are."""


class TelemetryPane(Pane):
    """One metric of all GPUs over the last minutes, or of one GPU alone."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._metric = 0
        self._only: str | None = None
        self._subject: Subject | None = None
        self._history: History | None = None

    def compose(self) -> ComposeResult:
        """The plot above, a row for each GPU below."""
        yield Plot(empty="No readings yet: the first come within seconds of an answer.")
        yield Grid(host_telemetry.columns(80))

    @property
    def metric(self) -> Metric:
        """What is plotted."""
        return METRICS[self._metric]

    def next_metric(self, by: int) -> None:
        """Another figure."""
        self._metric = (self._metric + by) % len(METRICS)
        self._draw()

    def alone(self) -> None:
        """The GPU under the cursor alone, or all of them again."""
        self._only = None if self._only is not None else self.query_one(Grid).current
        self._draw()

    def show_history(self, subject: Subject, history: History | None) -> None:
        """Draw the readings of a host."""
        if self._subject is None or self._subject.name != subject.name:
            self._only = None
        self._subject, self._history = subject, history
        self._draw()

    def _draw(self) -> None:
        subject, history, metric = self._subject, self._history, self.metric
        if subject is None:
            return
        plot, grid = self.query_one(Plot), self.query_one(Grid)
        if history is None or not history.gpus:
            plot.set_series((), {}, unit=metric.unit, empty=subject.why_empty or "No readings yet.")
            grid.set_rows((), empty="")
            return
        times = host_telemetry.times_s(history, subject.now_ns)
        curves = host_telemetry.series(history, metric, self._only)
        known = [at for at, *values in zip(times, *curves.values(), strict=False) if not all(map(math.isnan, values))]
        top = host_telemetry.limit(subject.view.gpus, metric)
        title = f"{metric.title}{f' of {self._only}' if self._only else ''}{', simulated' if subject.simulated else ''}"
        start_s = min(-_LEAST_S, min(known, default=0.0))
        plot.set_series(
            times,
            curves,
            unit=metric.unit,
            title=title,
            marks={name: name.rpartition(" ")[2][-1:] for name in curves},
            window=(start_s, 0.0),
            floor=0.0 if metric.name != "junction_c" else None,
            ceiling=top if metric.name in ("busy_percent", "throttle") else None,
            lines={"cap": top} if metric.name in ("power_w", "vram_used_bytes") and top else None,
            gap_s=5.0,
        )
        width = grid.size.width or 80
        grid.set_columns(host_telemetry.columns(width))
        grid.set_rows(host_telemetry.rows(history, metric, subject.view.gpus, width, round(-start_s)))

    def copied_all(self) -> Copied | None:
        """The figures of every GPU."""
        subject, rows = self._subject, self.query_one(Grid).rows
        if subject is None or not rows:
            return None
        head = f"{self.metric.title} of {subject.name}{' (simulated)' if subject.simulated else ''}"
        lines = [head, "", "| GPU | address | now | least | mean | most |", "| --- | --- | --- | --- | --- | --- |"]
        lines += ["| " + " | ".join(text_of(cell).strip() for cell in row.cells[:-1]) + " |" for row in rows]
        return "\n".join(lines) + "\n", f"{self.metric.title} of {len(rows)} GPUs"
