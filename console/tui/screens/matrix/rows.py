"""Rows of the Matrix screen: the matrices by source, and a published table with what is known of each row. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
from rich.cells import cell_len

from console.catalog.columns import row_reference
from console.desk.matrices import Entry, published
from console.desk.sheet_views import Figure
from console.desk.views import AttemptView
from console.model.attempt import Stage
from console.model.cell import Column as Printed
from console.tui import marks
from console.tui.marks import Span
from console.tui.screens.results.words import VERDICT
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.words import figure

LIST = (Column("title", "matrix", 22, grow=1), Column("gpu", "GPU", 6), Column("rows", "rows", 4, right=True, rank=1))

TICKED, UNTICKED = "[x]", "[ ]"

_SHORT = {
    "title": "model",
    "precision": "prec.",
    "tensor_parallel": "TP",
    "input_len": "in",
    "output_len": "out",
    "num_prompts": "prompts",
    "max_num_seqs": "seqs",
    "batch_size": "batch",
    "sequence_length": "seq.",
    "nodes": "nodes",
    "gpus": "GPUs",
}
"""Headings where the printed ones would cost columns; the published figure then goes by its unit."""

_GRAVEST = ("failed", "below", "invalid", "not run", "incomparable", "marginal", "no reference", "unconfirmed")


class Stand(msgspec.Struct, frozen=True):
    """How a cell stands: what was measured (or is being), against what is expected, and in a word."""

    measured: Span = ("", "")
    ratio: Span = ("", "")
    state: tuple[Span, ...] = (("", ""),)
    goes_on: bool = False


# -- the matrices


def groups(entries: Sequence[Entry]) -> Sequence[tuple[str, Sequence[Entry]]]:
    """Entries by the page and section they come from, in their order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(heading(entry), []).append(entry)
    return list(found.items())


def heading(entry: Entry) -> str:
    """Where a matrix comes from, in a few words: AMD's page names its section after a comma."""
    if entry.kind == "lab":
        return "the lab's own"
    if entry.kind == "own":
        return "your own"
    page, _, section = entry.matrix.source.partition(",")
    return section.partition(",")[0].strip() or page


def list_rows(entries: Sequence[Entry], running: Collection[str], ticked: Mapping[str, int]) -> list[Row]:
    """The matrices under their sources; marked while a run of them is open, with how many cells are ticked."""
    rows = []
    for name, members in groups(entries):
        rows.append(Row(f"@{name}", ((name, "dim"),)))
        for entry in members:
            matrix = entry.matrix
            title = matrix.title.removesuffix(f", {entry.gpu}")
            spans: list[Span] = [(f"{marks.ACTIVE.glyph} ", "busy")] if matrix.name in running else [("  ", "")]
            spans.append((title, ""))
            chosen = ticked.get(matrix.name, 0)
            count: Span = (f"{chosen}/{len(matrix.cells)}", "accent") if chosen else (str(len(matrix.cells)), "dim")
            rows.append(Row(matrix.name, (tuple(spans), (entry.gpu, "dim"), count)))
    return rows


# -- the table


class Layout(NamedTuple):
    """Columns, and the texts of the published ones, row by row."""

    columns: tuple[Column, ...]
    texts: Sequence[Sequence[str]]


def layout(entry: Entry, room: int, *, simulated: bool) -> Layout:
    """The published columns and ours in `room` cells; where it is short, texts shrink before columns go."""
    ours = _ours(simulated=simulated)
    for names, headings in ((False, False), (True, False), (True, True)):
        texts = published(entry.matrix, short=names)
        made = _published_columns(entry, texts, short=headings)
        every = (Column("tick", "", 3), *made, *ours)
        if sum(column.width + 2 for column in every) <= room - 1:
            break
    return Layout(every, texts)


def _ours(*, simulated: bool) -> tuple[Column, ...]:
    return (
        Column("measured", "measured", 9, right=True, rank=3),
        Column("ratio", "vs lab" if simulated else "ratio", 6, right=True, rank=4),
        Column("state", "state", 13, grow=3),
    )


def _published_columns(entry: Entry, texts: Sequence[Sequence[str]], *, short: bool) -> list[Column]:
    made: list[Column] = []
    telling = 0
    for place, printed in enumerate(entry.matrix.columns):
        column = [row[place] for row in texts]
        title = _short_heading(entry, printed) if short else printed.heading
        marked = 1 if printed.key == "printed" else 0
        width = max(cell_len(title), *(cell_len(text) + marked for text in column))
        constant = len(texts) > 1 and len(set(column)) == 1
        # What is the same in every row goes first; the first two that tell rows apart stay longest.
        rank = (
            0 if place == 0 or printed.key == "printed" else 20 + place if constant else 2 if telling < 2 else 6 + place
        )
        telling += rank == 2
        made.append(Column(printed.key, title, min(width, 52), right=place > 0 and _is_number(column), rank=rank))
    return made


def _short_heading(entry: Entry, printed: Printed) -> str:
    if printed.key != "printed":
        return _SHORT.get(printed.key, printed.heading)
    reference = next((found for cell in entry.matrix.cells if (found := row_reference(cell))), None)
    return reference.unit_printed if reference else printed.heading


def _is_number(texts: Sequence[str]) -> bool:
    return any(char.isdigit() for text in texts for char in text) and all(
        text == "-" or text.replace(",", "").replace(".", "", 1).isdigit() for text in texts
    )


def common_errata(entry: Entry) -> tuple[str, ...]:
    """What is to be said of every published figure of the matrix."""
    said = [reference.errata for cell in entry.matrix.cells if (reference := row_reference(cell))]
    return tuple(text for text in said[0] if all(text in errata for errata in said)) if len(said) > 1 else ()


def table_rows(
    entry: Entry,
    texts: Sequence[Sequence[str]],
    shown: Collection[str],
    ticked: Collection[str],
    stands: Mapping[str, Stand],
    plans: Mapping[str, Span] | None = None,
) -> list[Row]:
    """The rows of the table that are shown, in the order of its source; `texts` are those of its layout.

    `plans` is what a plan says of its cells; what runs already comes before it.
    """
    common = common_errata(entry)
    rows: list[Row] = []
    before = ""
    for cell, printed in zip(entry.matrix.cells, texts, strict=True):
        if cell.id not in shown:
            continue
        reference = row_reference(cell)
        own = [text for text in reference.errata if text not in common] if reference else []
        cells: list[Cell] = [(TICKED, "accent") if cell.id in ticked else (UNTICKED, "dim")]
        for place, (column, text) in enumerate(zip(entry.matrix.columns, printed, strict=True)):
            if column.key == "printed":
                cells.append(((text, "bold"), ("*", "warn")) if own else ((text, "bold"), (" ", "")))
            else:
                cells.append((text, "dim") if place == 0 and text == before else text)
        before = printed[0]
        stand = stands.get(cell.id, Stand())
        planned = plans.get(cell.id) if plans is not None and not stand.goes_on else None
        rows.append(Row(cell.id, (*cells, stand.measured, stand.ratio, planned or stand.state)))
    return rows


# -- how a cell stands


def stand(work: Sequence[AttemptView], past: Sequence[Figure], *, paused: bool = False) -> Stand:
    """What runs comes first, then what waits, then the latest figures."""
    active = [view for view in work if view.outcome is None and view.stage is not Stage.PLANNED]
    waiting = [view for view in work if view.outcome is None and view.stage is Stage.PLANNED]
    before = _past(past) if past else Stand()
    if active:
        return _active(active, len(waiting), before)
    if waiting:
        mark = marks.RUN["paused"] if paused else marks.WAITING
        return Stand(before.measured, before.ratio, (mark.span, (_times(len(waiting)), "dim")), goes_on=True)
    told = {tried.attempt for item in past for tried in item.attempts}
    fresh = [view for view in work if view.attempt not in told]
    return _ended(fresh) if fresh else before


def doing(view: AttemptView) -> str:
    """What an attempt does, in a word or two."""
    return f"{view.doing}, stopping" if view.stop_asked else view.doing


def _active(views: Sequence[AttemptView], waiting: int, before: Stand) -> Stand:
    first = next((view for view in views if view.rate is not None), views[0])
    spans: list[Span] = [(f"{marks.ACTIVE.glyph} {doing(first)}", "busy")]
    if first.progress is not None and first.progress.fraction is not None:
        spans.append((f" {first.progress.fraction:.0%}", "accent"))
    more = len(views) - 1 + waiting
    spans.append((f" +{more}" if more else "", "dim"))
    if first.rate is None:
        return Stand(before.measured, before.ratio, tuple(spans), goes_on=True)
    return Stand((figure(first.rate.value), "accent"), ("", ""), tuple(spans), goes_on=True)


def _ended(views: Sequence[AttemptView]) -> Stand:
    shown = [marks.attempt_mark(view.outcome, view.stage, spoiled=view.spoiled) for view in views]
    worst = max(shown, key=lambda mark: ("ok", "unknown", "warn", "fail").index(str(mark.role) or "ok"))
    ratios = [view.ratio for view in views if view.ratio is not None]
    valued = [view for view in views if view.value is not None]
    lowest = min(valued, key=lambda view: view.ratio if view.ratio is not None else 9e9) if valued else None
    return Stand(
        (figure(lowest.value), "") if lowest else ("", ""),
        (f"{min(ratios):.3f}", "") if ratios else ("", ""),
        (worst.span, (_share(sum(mark == worst for mark in shown), len(shown)), "dim")),
    )


def _past(figures: Sequence[Figure]) -> Stand:
    verdicts = Counter(item.verdict or "not run" for item in figures)
    worst = min(verdicts, key=lambda word: _GRAVEST.index(word) if word in _GRAVEST else len(_GRAVEST))
    mark = VERDICT.get(worst, marks.WAITING)
    ratios = sorted((item for item in figures if item.ratio is not None), key=lambda item: item.ratio or 0.0)
    lowest = ratios[0] if ratios else next((item for item in figures if item.text), figures[0])
    return Stand(
        (lowest.text, ""),
        (f"{lowest.ratio:.3f}", mark.role if worst in ("below", "marginal") else "") if lowest.ratio else ("", ""),
        (mark.span, (_share(verdicts[worst], len(figures)), "dim")),
    )


def _share(count: int, of: int) -> str:
    return "" if of == 1 else f" x{of}" if count == of else f" {count} of {of}"


def _times(count: int) -> str:
    return f" x{count}" if count > 1 else ""


def image_options(entry: Entry) -> list[tuple[str, str]]:
    """Images to choose from: as published first, then those its program lives in, the newest first."""
    published = dict.fromkeys(cell.image for cell in entry.matrix.cells)
    options = [("", f"as published: {', '.join(published)}")]
    for image in entry.images:
        said = [image.name, image.released or "", "published" if image.name in published else ""]
        options.append((image.name, "  ".join(filter(None, said))))
    return options
