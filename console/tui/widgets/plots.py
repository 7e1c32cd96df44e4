"""Line plots over time, drawn line by line: only lines that differ are painted again.

Drawn here rather than with a library: see `tests/benchmarks/plots.py` for what both cost. Names in a plot come from
whoever sets it and must be clean.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.tui.widgets.plot_raster import MARKS, STYLES, Part, draw
from console.tui.widgets.plot_scale import Curve, Data
from console.tui.widgets.styling import Styles

_NAMES = (*(f"s{number}" for number in range(STYLES)), "line", "moment", "axis", "title")


class Plot(Widget):
    """Up to a dozen curves over one time axis. It never asks for data: `set_series` gives it all there is to show."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"plot--{name}" for name in _NAMES}
    DEFAULT_CSS = """
    Plot { height: 1fr; min-height: 4; background: $background; }
    Plot .plot--s0 { color: $primary; }
    Plot .plot--s1 { color: $accent; }
    Plot .plot--s2 { color: $success; }
    Plot .plot--s3 { color: $secondary; }
    Plot .plot--s4 { color: $warning; }
    Plot .plot--s5 { color: $error; }
    Plot .plot--s6 { color: $primary-lighten-2; }
    Plot .plot--s7 { color: $accent-lighten-2; }
    Plot .plot--line { color: $warning; text-style: bold; }
    Plot .plot--moment { color: $foreground 45%; }
    Plot .plot--axis { color: $foreground 60%; }
    Plot .plot--title { text-style: bold; }
    Plot:ansi .plot--s1 { color: ansi_magenta; }
    Plot:ansi .plot--s6 { color: ansi_bright_blue; }
    Plot:ansi .plot--s7 { color: ansi_bright_magenta; }
    """

    def __init__(self, *, empty: str = "", id: str | None = None, **given: Any) -> None:
        """`empty` is shown while there is nothing to plot: say why."""
        super().__init__(id=id, **given)
        self._data = Data(empty=empty)
        self._lines: list[list[Part]] = []
        self._drawn_for = (0, 0)
        self._styles = Styles(self, "plot")

    def set_series(
        self,
        times_s: Sequence[float],
        series: Mapping[str, Sequence[float]],
        *,
        unit: str,
        title: str = "",
        lines: Mapping[str, float] | None = None,
        moments: Mapping[str, float] | None = None,
        marks: Mapping[str, str] | None = None,
        window: tuple[float, float] | None = None,
        floor: float | None = None,
        ceiling: float | None = None,
        gap_s: float | None = None,
        empty: str | None = None,
    ) -> None:
        """Show these curves, all over the same ascending `times_s` (seconds).

        The owner chooses where time is 0: at a start (0:00, 1:30 …), or now, with the past below 0 (-1:30 … now).
        NaN, or a pause longer than `gap_s`, is a gap. `lines` are horizontal and labelled with their key (a reference),
        `moments` upright ones. `marks` tells curves apart without colour, one character each (GPUs: their number).
        `floor` and `ceiling`: figures the y axis reaches at least. `window` is the span of the time axis.
        """
        given = marks or {}
        curves = tuple(
            Curve(name, values, given.get(name, MARKS[number % len(MARKS)]))
            for number, (name, values) in enumerate(series.items())
        )
        self._data = Data(
            times_s=times_s,
            curves=curves,
            unit=unit,
            title=title,
            lines=tuple((lines or {}).items()),
            moments=tuple((moments or {}).items()),
            window=window,
            floor=floor,
            ceiling=ceiling,
            gap_s=gap_s,
            empty=self._data.empty if empty is None else empty,
        )
        if self._drawn_for != (0, 0):
            self._redraw()

    @property
    def text(self) -> str:
        """What is on show, as plain text."""
        return "\n".join("".join(text for text, _ in line).rstrip() for line in self._lines)

    def _redraw(self) -> None:
        width, height = self._drawn_for
        before, self._lines = self._lines, draw(self._data, width, height)
        for y, line in enumerate(self._lines):
            if y >= len(before):
                self.refresh(Region(0, y, width, 1))
            elif line != before[y]:
                # curves that only grow change at their end alone
                start = _common_start(before[y], line)
                self.refresh(Region(start, y, width - start, 1))

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        self._fit()

    def _fit(self) -> None:
        size = (self.size.width, self.size.height)
        if size != self._drawn_for:
            self._drawn_for = size
            self._lines = draw(self._data, *size)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the plot."""
        self._fit()
        width = self.size.width
        base = self._styles[""]
        line = self._lines[y] if y < len(self._lines) else []
        segments = [Segment(text, base + self._styles[name]) for text, name in line]
        used = sum(cell_len(text) for text, _ in line)
        if used < width:
            segments.append(Segment(" " * (width - used), base))
        return Strip(segments).crop(0, width)

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles.clear()


def _common_start(before: Sequence[Part], now: Sequence[Part]) -> int:
    """How many cells two lines have in common from the left."""
    cells = 0
    for (old, old_style), (new, new_style) in zip(before, now, strict=False):
        if old_style != new_style:
            return cells
        if old == new:
            cells += len(new)
            continue
        for one, other in zip(old, new, strict=False):
            if one != other:
                break
            cells += 1
        return cells
    return cells
