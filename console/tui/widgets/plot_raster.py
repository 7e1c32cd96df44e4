"""A line plot as text: braille dots for curves, labelled axes, horizontal and vertical marks. Pure, no Textual.

A curve is drawn column of dots by column of dots with everything between its lowest and highest value there, so that a
spike is never lost however many readings fall on one column. A NaN, or a pause longer than `gap_s`, breaks the curve.
"""

import math
from collections.abc import Mapping, Sequence

from console.tui.widgets.plot_scale import Data, Scale, nice_step, scale_of, short, time_label, time_step

Part = tuple[str, str]
"""Text and the name of its style: `s0` to `s7` for curves, `line`, `moment`, `axis`, `title` or empty."""

GUTTER = 7
"""Cells left of every plot, for the figures of the y axis; the same everywhere, so that stacked plots line up."""
STYLES = 8
MARKS = "●▲■○×+◌‖"
"""All different in ASCII too."""
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_RUNS = tuple(
    tuple(tuple(sum(_BITS[y][side] for y in range(first, last + 1)) for last in range(4)) for first in range(4))
    for side in range(2)
)
"""The dots of one side of a cell from one line of dots to another."""
_MARK_EVERY = 14
"""Cells between two marks of the same curve."""


class _Canvas:
    """Dots of several curves in `width` by `height` cells."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.dots = [[0] * width for _ in range(height)]
        self.styles = [[""] * width for _ in range(height)]
        self.text: list[list[str]] = [[""] * width for _ in range(height)]

    def dot(self, x: int, y: int, style: str) -> None:
        """Set a dot; y counts from the top, in dots."""
        self.dots[y >> 2][x >> 1] |= _BITS[y & 3][x & 1]
        self.styles[y >> 2][x >> 1] = style

    def run(self, x: int, top: int, bottom: int, style: str) -> None:
        """Set every dot of a column from `top` to `bottom`, cell by cell: spikes are most of what noisy curves draw."""
        column, side = x >> 1, x & 1
        for row in range(top >> 2, (bottom >> 2) + 1):
            first, last = max(top - 4 * row, 0), min(bottom - 4 * row, 3)
            self.dots[row][column] |= _RUNS[side][first][last]
            self.styles[row][column] = style

    def write(self, row: int, column: int, text: str, style: str) -> None:
        """Put text over whatever is there."""
        for place, char in enumerate(text, column):
            if 0 <= place < self.width:
                self.text[row][place], self.styles[row][place] = char, style

    def covered(self, row: int, start: int, stop: int) -> int:
        """How many cells of a stretch hold dots or text."""
        dots, text = self.dots[row], self.text[row]
        return sum(bool(dots[place] or text[place]) for place in range(max(0, start), min(stop, self.width)))

    def row(self, number: int) -> list[Part]:
        """A line of it, neighbours of one style together."""
        parts: list[Part] = []
        text, style = "", ""
        cells = zip(self.dots[number], self.styles[number], self.text[number], strict=True)
        for dots, name, char in cells:
            cell = char or (chr(0x2800 + dots) if dots else " ")
            if cell != " " and name != style and text:
                parts.append((text, style))
                text = ""
            if cell != " ":
                style = name
            text += cell
        parts.append((text, style))
        return parts


def draw(data: Data, width: int, height: int) -> list[list[Part]]:
    """The plot in `width` by `height` cells: legend, canvas, time axis. Never wider or higher than asked for."""
    if width < GUTTER + 4 or height < 3:
        return [_cut([(data.title or data.unit, "title")], width)] + [[]] * (height - 1) if height else []
    columns, rows = width - GUTTER, height - 2
    scale = scale_of(data, columns, rows)
    head = _cut(_legend(data, width), width)
    if scale is None:
        return [head, *_nothing(data.empty or "nothing to plot yet", width, rows), []]
    canvas = _Canvas(columns, rows)
    for label, time_s in data.moments:
        _moment(canvas, scale, label, time_s)
    drawn = [_extents(data.times_s, curve.values, scale, data.gap_s) for curve in data.curves]
    for number, extents in enumerate(drawn):
        style = f"s{number % STYLES}"
        for x, (top, bottom) in extents.items():
            canvas.run(x, top, bottom, style)
    for number, curve in enumerate(data.curves if len(drawn) > 1 else ()):
        _mark(canvas, drawn[number], curve.mark, number, len(drawn))
    for label, value in data.lines:
        _line(canvas, scale, label, value)
    ticks = _ticks(scale)
    body = [[(_tick(ticks.get(row)), "axis"), *canvas.row(row)] for row in range(rows)]
    return [head, *body, _time_axis(scale)]


def _nothing(why: str, width: int, rows: int) -> list[list[Part]]:
    middle = (rows - 1) // 2
    lines = why.splitlines()[: rows - middle]
    body: list[list[Part]] = [[] for _ in range(rows)]
    for number, line in enumerate(lines):
        body[middle + number] = _cut([(f"  {line}", "axis")], width)
    return body


def _extents(
    times: Sequence[float], values: Sequence[float], scale: Scale, gap_s: float | None
) -> dict[int, tuple[int, int]]:
    """Top and bottom dot of a curve in every column of dots that it touches."""
    found: dict[int, tuple[int, int]] = {}
    x0 = y0 = -1
    before_s = 0.0

    def touch(x: int, top: int, bottom: int) -> None:
        known = found.get(x)
        found[x] = (min(top, known[0]), max(bottom, known[1])) if known else (top, bottom)

    for time_s, value in zip(times, values, strict=False):
        if not math.isfinite(value):
            x0 = -1
            continue
        if time_s < scale.start or time_s > scale.stop:
            continue
        x, y = scale.x(time_s), scale.y(value)
        if x0 < 0 or (gap_s is not None and time_s - before_s > gap_s):
            touch(x, y, y)
        elif x == x0:
            touch(x, min(y, y0), max(y, y0))
        else:
            last = y0
            for column in range(x0 + 1, x + 1):
                here = round(y0 + (y - y0) * (column - x0) / (x - x0))
                # the upright part of a step belongs to the later column, without doubling the dot before it
                edge = last + (here > last) - (here < last)
                touch(column, min(here, edge), max(here, edge))
                last = here
        x0, y0, before_s = x, y, time_s
    return found


def _mark(canvas: _Canvas, extents: Mapping[int, tuple[int, int]], mark: str, number: int, of: int) -> None:
    """The curve's own mark on it now and then, each curve's at other places."""
    if not extents:
        return
    style = f"s{number % STYLES}"
    offset = number * _MARK_EVERY // max(1, of)
    for x in sorted(extents):
        if (x >> 1) % _MARK_EVERY == offset and not x & 1:
            canvas.write(extents[x][0] >> 2, x >> 1, mark, style)
    last = max(extents)
    canvas.write(extents[last][0] >> 2, last >> 1, mark, style)


def _line(canvas: _Canvas, scale: Scale, label: str, value: float) -> None:
    """A dashed line with its label where it hides least; an arrow at the edge when it lies outside."""
    outside = "↑ " if value > scale.high else "↓ " if value < scale.low else ""
    y = scale.y(value)
    row = y >> 2
    if not outside:
        for x in range(canvas.width * 2):
            if x % 6 < 4 and not canvas.dots[row][x >> 1]:
                canvas.text[row][x >> 1] = canvas.text[row][x >> 1] or chr(0x2800 + sum(_BITS[y & 3]))
                canvas.styles[row][x >> 1] = "line"
    text = f" {outside}{label} "[: canvas.width]
    # beside the line when there is room: above it, or below it at the top
    for beside in (row - 1, row + 1, row) if canvas.height > 3 else (row,):
        if 0 <= beside < canvas.height:
            places = (canvas.width - len(text), 0)
            best = min(places, key=lambda start: canvas.covered(beside, start, start + len(text)))
            if beside == row or not canvas.covered(beside, best, best + len(text)):
                canvas.write(beside, best, text, "line")
                return


def _moment(canvas: _Canvas, scale: Scale, label: str, time_s: float) -> None:
    """A thin upright line with its label at the top."""
    if not scale.start <= time_s <= scale.stop:
        return
    column = scale.x(time_s) >> 1
    for row in range(canvas.height):
        if not canvas.text[row][column]:
            canvas.write(row, column, "┊", "moment")
    room = canvas.width - column - 1
    if canvas.height < 5:
        return
    start = column + 1 if len(label) <= room else column - len(label)
    if start >= 0 and not canvas.covered(0, start, start + len(label)):
        canvas.write(0, start, label, "moment")


def _ticks(scale: Scale) -> dict[int, str]:
    """Labels of the y axis by row of cells; a single one would not tell a scale, so a finer step is then taken."""
    most = max(1, scale.rows // 2)
    ticks: dict[int, str] = {}
    for pieces in (most, most * 2, most * 4):
        step = nice_step(scale.high - scale.low, pieces)
        first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
        ticks = {scale.y(number * step) >> 2: short(round(number * step, 12)) for number in range(first, last + 1)}
        if len(ticks) > 1:
            break
    return ticks


def _tick(label: str | None) -> str:
    return f"{label:>{GUTTER - 1}}┤" if label is not None else " " * (GUTTER - 1) + "│"


def _time_axis(scale: Scale) -> list[Part]:
    cells = [" "] * (GUTTER + scale.columns)
    step = time_step(scale.stop - scale.start, max(2, scale.columns // 14))
    for number in range(math.ceil(scale.start / step - 1e-9), math.floor(scale.stop / step + 1e-9) + 1):
        time_s = number * step
        text = "now" if time_s == 0 and scale.start < 0 else time_label(time_s)
        place = GUTTER + (scale.x(time_s) >> 1)
        start = min(max(GUTTER - 1, place - len(text) // 2), len(cells) - len(text))
        if all(cell == " " for cell in cells[max(0, start - 1) : start + len(text) + 1]):
            cells[start : start + len(text)] = text
    return [("".join(cells), "axis")]


def _legend(data: Data, width: int) -> list[Part]:
    """Title, each curve with its mark and its newest figure, the unit. Figures go first when room is short."""
    for figures in (True, False):
        parts: list[Part] = [(f"{data.title}  ", "title")] if data.title else []
        for number, curve in enumerate(data.curves):
            newest = next((value for value in reversed(curve.values) if math.isfinite(value)), None)
            mark = f"{curve.mark} " if len(data.curves) > 1 else ""
            figure = f" {short(newest)}" if figures and newest is not None else ""
            if mark or curve.name or figure:
                parts.append((f"{mark}{curve.name}{figure}  ", f"s{number % STYLES}"))
        if data.unit:
            parts.append((data.unit, "axis"))
        if sum(len(text) for text, _ in parts) <= width:
            break
    return parts


def _cut(parts: Sequence[Part], width: int) -> list[Part]:
    kept: list[Part] = []
    room = width
    for text, style in parts:
        if len(text) > room:
            kept.append((text[: max(0, room - 1)] + "…" if room > 0 else "", style))
            break
        kept.append((text, style))
        room -= len(text)
    return kept
