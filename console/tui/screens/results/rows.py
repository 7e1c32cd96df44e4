"""Rows of the Results screen: one matrix as its source prints it, and what was measured beside it. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from console.desk.sheet_views import Figure, Sheet
from console.desk.views import AttemptView
from console.model.attempt import Stage, Validity
from console.tui import marks
from console.tui.marks import Role, Span
from console.tui.screens.results.words import GOES_ON, NOT_ASKED, VERDICT, WAITS, band_role, reason_words
from console.tui.widgets.grid import Cell, Column, Row

UP_TO_MARK = 12
"""Cells of a ratio's bar from nothing to 100 %; the mark stands after them, a quarter as many follow it."""
BEYOND = UP_TO_MARK // 4
BAR = UP_TO_MARK + 1 + BEYOND
MOST = 34
VERDICT_ROOM = 15
"""The longest verdict with its mark, and a sign that there is more to it."""
COUNTING = ("matched", "reproduced", "above", "marginal", "below", "unconfirmed")
"""Verdicts whose ratio counts; every other ratio is shown for orientation only."""

Live = Callable[[str], AttemptView | None]


class Shown(NamedTuple):
    """How figures are chosen and ordered. `unasked`: with references that no cell of the runs belongs to."""

    words: str = ""
    worst_first: bool = False
    unasked: bool = False


def chosen(sheet: Sheet, shown: Shown) -> list[Figure]:
    """The figures to show, in the order of their source or the worst first."""
    kept = [item for item in (*sheet.figures, *(sheet.missing if shown.unasked else ())) if matches(item, shown.words)]
    if shown.worst_first:
        kept.sort(key=_gravity)
        return kept
    place = {item.cell: index for index, item in enumerate(_in_order(sheet))}
    return sorted(kept, key=lambda item: place[item.cell])


def _in_order(sheet: Sheet) -> Sequence[Figure]:
    """Figures and references as the source has them: both lists are in its order, and share no cell."""
    if not sheet.missing:
        return sheet.figures
    order = {cell: index for index, cell in enumerate(sheet.order)}
    return sorted((*sheet.figures, *sheet.missing), key=lambda item: order.get(item.cell, len(order)))


_GRAVEST = ("failed", "not run", "invalid", "incomparable")


def _gravity(item: Figure) -> tuple[int, float]:
    if not item.was_run:
        return 9, 0.0
    if item.verdict in _GRAVEST:
        return _GRAVEST.index(item.verdict), item.ratio or 0.0
    return (5, item.ratio) if item.ratio is not None else (8, 0.0)


def matches(item: Figure, words: str) -> bool:
    """Every word is found in what the row says; `!word` is not; `verdict:below`, `host:name` look there alone."""
    return all(_matches(item, word) for word in words.lower().split())


def _matches(item: Figure, word: str) -> bool:
    if word.startswith("!") and len(word) > 1:
        return not _matches(item, word[1:])
    verdict = item.verdict or ("unfinished" if item.was_run else "not in the run")
    if word.startswith("verdict:"):
        return verdict.replace(" ", "-").startswith(word[8:]) or item.band.startswith(word[8:])
    if word.startswith("host:"):
        return any(host.lower().startswith(word[5:]) for host in item.hosts)
    texts = [item.cell, item.title, item.run, item.label, verdict, item.band, item.failure, item.failure_line]
    texts += [*item.hosts, *item.published, *(f"{one.reason} {reason_words(one.reason)}" for one in item.reasons)]
    return any(word in text.lower() for text in texts)


# -- columns


def columns(sheet: Sheet, figures: Sequence[Figure]) -> tuple[Column, ...]:
    """What tells rows apart, the published columns, then ours. With little room the published ones go first."""
    short = names(item.cell for item in figures)
    wide = min(MOST, max((len(text) for text in short.values()), default=8))
    made = [Column("row", "row", max(8, wide), grow=1)]
    made += _published_columns(sheet, figures)
    if len({item.run for item in figures if item.run}) > 1:
        made.append(Column("run", "run", min(18, widest("run", (run_name(item) for item in figures))), rank=4))
    if len({item.hosts for item in figures if item.hosts}) > 1:
        made.append(Column("hosts", "hosts", min(20, widest("hosts", (hosts(item) for item in figures))), rank=1))
    made.append(Column("repeats", "repeats", 7, right=True, rank=6))
    made.append(Column("reference", "reference", widest("reference", (i.printed for i in figures)), right=True, rank=2))
    made.append(
        Column(
            "measured",
            _measured_title(figures),
            widest(_measured_title(figures), (i.text for i in figures)),
            right=True,
        )
    )
    made += [Column("ratio", "ratio", 6, right=True), Column("bar", bar_title(), BAR, rank=3)]
    made.append(Column("verdict", "verdict", VERDICT_ROOM, grow=9))
    return tuple(made)


def _measured_title(figures: Sequence[Figure]) -> str:
    return "measured" if not any(item.lower_is_better for item in figures) else "measured↓"


def _published_columns(sheet: Sheet, figures: Sequence[Figure]) -> list[Column]:
    made = []
    for place, (key, heading) in enumerate(sheet.columns):
        if key in ("title", "printed", "cell"):
            continue
        texts = [item.published[place] for item in figures]
        if len(set(texts)) < 2 and len(texts) > 1:
            continue  # what every row shares tells them not apart; the line above the table says it
        title = _SHORT.get(key, heading)
        made.append(Column(key, title, min(14, widest(title, texts)), right=_numeric(texts), rank=40 - place))
    return made


def shared(sheet: Sheet, figures: Sequence[Figure]) -> str:
    """What every row has in common among the published columns."""
    said = []
    for place, (key, heading) in enumerate(sheet.columns):
        texts = {item.published[place] for item in figures}
        if key not in ("title", "printed", "cell") and len(texts) == 1 and len(figures) > 1:
            said.append(f"{heading} {texts.pop()}")
    return ", ".join(said)


_SHORT = {
    "precision": "prec.",
    "tensor_parallel": "TP",
    "pipeline_parallel": "PP",
    "context_parallel": "CP",
    "expert_parallel": "EP",
    "input_len": "input",
    "output_len": "output",
    "num_prompts": "prompts",
    "max_num_seqs": "max seqs",
    "batch_size": "batch",
    "sequence_length": "seq. len.",
    "micro_batch_size": "MBS",
    "global_batch_size": "GBS",
}


def widest(title: str, texts: Iterable[str]) -> int:
    """Cells for a heading and the texts under it."""
    return max(len(title), *(len(text) for text in texts), 1)


def _numeric(texts: Sequence[str]) -> bool:
    return all(text.replace(".", "", 1).isdigit() or text == "-" for text in texts)


def names(cells: Iterable[str]) -> Mapping[str, str]:
    """Cell ids without what all of them begin with, up to a dash."""
    known = list(dict.fromkeys(cells))
    if len(known) < 2:
        return {cell: cell for cell in known}
    first, last = min(known), max(known)  # what these two share, all share
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    cut = first.rfind("-", 0, same) + 1
    return {cell: cell[cut:] for cell in known}


# -- rows


def rows(sheet: Sheet, figures: Sequence[Figure], live: Live) -> list[Row]:
    """A row for each figure, in the columns of `columns`."""
    made = []
    short = names(item.cell for item in figures)
    keys = [column.key for column in columns(sheet, figures)]
    published = {key: place for place, (key, _) in enumerate(sheet.columns)}
    for item in figures:
        cells = _cells(item, live)
        cells["row"] = (short[item.cell], "" if item.was_run else "dim")
        made.append(Row(item.key, tuple(cells[key] if key in cells else item.published[published[key]] for key in keys),
                        "" if item.was_run else "dim"))  # fmt: skip
    return made


def _cells(item: Figure, live: Live) -> dict[str, Cell]:
    counts = item.verdict in COUNTING
    return {
        "run": run_name(item),
        "hosts": hosts(item),
        "reference": (item.printed or "none", "" if item.printed else "dim"),
        "measured": (item.text or "-", "bold" if item.text and counts else "dim"),
        "ratio": ratio(item.ratio, item.band, counts=counts),
        "bar": bar(item.ratio, item.band, counts=counts),
        "verdict": verdict(item, live),
        "repeats": repeats(item),
    }


def run_name(item: Figure) -> str:
    """The label of its run, else its id."""
    return item.label or item.run


def hosts(item: Figure) -> str:
    """Its hosts, in rank order."""
    return ",".join(item.hosts)


def ratio(value: float | None, band: str, *, counts: bool) -> Span:
    """A ratio, turned so that above 1 is better."""
    return ("", "") if value is None else (f"{value:.3f}", band_role(band) if counts else "dim")


def bar_title() -> str:
    """A heading whose last word ends where 100 % is."""
    return f"{'100%':>{UP_TO_MARK + 1}}"


def bar(value: float | None, band: str, *, counts: bool = True) -> tuple[Span, ...]:
    """A ratio as a bar with a mark at 100 %; longer is better, whatever the metric. Beyond 125 % it ends in a point."""
    if value is None:
        return (" " * UP_TO_MARK, ""), ("│", "dim")
    role: Role = band_role(band) if counts else "dim"
    before = marks.bar(min(value, 1.0), UP_TO_MARK)
    filled = before.rstrip("░")
    over = (value - 1.0) * UP_TO_MARK / BEYOND
    after = marks.bar(max(0.0, over), BEYOND).replace("░", " ") if over > 0 else ""
    if over > 1.0:
        after = after[:-1] + "▸"
    return (filled, role), ("░" * (len(before) - len(filled)), "dim"), ("│", "bold"), (after, role)


def verdict(item: Figure, live: Live) -> Cell:
    """Mark and word, then what a person must know beside them; or what goes on now."""
    if not item.was_run:
        return NOT_ASKED.span
    mark = VERDICT.get(item.verdict)
    if mark is None:
        return going_on(item, live)
    spans: list[Span] = [mark.span]
    if item.verdict == "unconfirmed" and item.band:
        spans.append((f" {item.band}", band_role(item.band)))
    if item.open:
        spans.append((f" {GOES_ON.glyph} {item.open} more", "busy"))
    said, role = why(item)
    return (*spans, (f"  {said}" if said else "", role))


def going_on(item: Figure, live: Live) -> Cell:
    """What its attempts do now, as far as the board has heard."""
    views = [view for view in (live(tried.attempt) for tried in item.attempts) if view is not None]
    active = [view for view in views if view.outcome is None and view.stage is not Stage.PLANNED]
    if not active:
        return WAITS.span if all(tried.state == "planned" for tried in item.attempts) else GOES_ON.span
    view = active[0]
    doing = view.phase.value if view.stage is Stage.RUNNING and view.phase is not None else view.stage.value
    share = view.progress.fraction if view.progress is not None else None
    return (f"{GOES_ON.glyph} {doing}", "busy"), (f" {share:.0%}" if share is not None else "", "dim")


def repeats(item: Figure) -> Span:
    """How many repeats the figure rests on, of how many attempts; the spread of them stands in the detail."""
    if not item.was_run:
        return "", ""
    total = len(item.attempts)
    if item.repeats == total:
        return (f"{total}", "")
    return f"{item.repeats} of {total}", "warn" if item.failed or item.spoiled else ""


def why(item: Figure) -> Span:
    """Why there is no figure, what spoils it, what keeps it apart, what else was noted; the gravest of these."""
    if item.verdict in ("failed", "not run"):
        said = ": ".join(text for text in (item.failure, item.failure_line) if text)
        return said or item.note, "fail" if item.verdict == "failed" else "unknown"
    spoiling = [reason_words(one.reason) for one in item.reasons if one.spoils]
    if spoiling:
        return "; ".join(spoiling), "warn"
    if said := note(item):
        return said, ""
    return "; ".join(reason_words(one.reason) for one in item.reasons if one.reason not in ORDINARY), "dim"


ORDINARY = (Validity.SIMULATED, Validity.RECIPE_CHANGED)
"""Said of whole tables: of the lab's by their mark, of changed recipes in the detail of each row."""


def note(item: Figure) -> str:
    """The verdict's note without what the verdict column says already."""
    return item.note.removeprefix(f"one repeat, {item.band}").removeprefix("; ")
