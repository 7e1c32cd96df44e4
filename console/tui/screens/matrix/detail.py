"""What the Matrix screen says of the row under the cursor: what is published, what differs, what became of it. Pure."""

from collections.abc import Iterable, Sequence

from console.catalog.columns import row_reference
from console.desk.matrices import Entry
from console.desk.sheet_views import Figure
from console.desk.views import AttemptView
from console.model.attempt import Reason, Stage
from console.model.cell import AnyCell, Reference
from console.model.text import clean_line
from console.model.units import duration
from console.tui import marks
from console.tui.marks import Span
from console.tui.screens.matrix.plan import LABEL
from console.tui.screens.matrix.rows import common_errata, doing
from console.tui.screens.results.words import MEANING, VERDICT, reason_words
from console.tui.widgets.lines import Para, labelled, para
from console.tui.words import figure


def cell_paras(
    entry: Entry, cell: AnyCell, work: Sequence[AttemptView], past: Sequence[Figure], now_ns: int
) -> list[Para]:
    """The row: its reference and errata, its recipe, attempts of now and figures of before."""
    made = [Para(((f"{cell.id}  ", "bold"), (f"{cell.model}  {cell.precision}", "dim")), 2)]
    made += [line for view in work for line in attempt_paras(view, now_ns)]
    told = {view.attempt for view in work}
    for item in past:
        if not any(tried.attempt in told for tried in item.attempts):
            made += past_paras(item)
    made += reference_paras(entry, cell)
    return made


def about_paras(entry: Entry) -> list[Para]:
    """The matrix itself: whose servers its figures are of, and what is to be known of all of them."""
    matrix = entry.matrix
    made = [labelled("source", f"{matrix.source}, {matrix.dated}", width=LABEL)]
    if matrix.platform:
        made.append(labelled("platform", matrix.platform, width=LABEL))
    made += [labelled("errata", text, "warn", width=LABEL) for text in common_errata(entry)]
    made += [labelled("note", text, "dim", width=LABEL) for text in matrix.notes]
    return made


def reference_paras(entry: Entry, cell: AnyCell) -> list[Para]:
    """The published figure with what is wrong about it; other figures of the row; how well its command is known."""
    made: list[Para] = []
    own = row_reference(cell)
    common = common_errata(entry)
    if own is not None:
        made.append(_reference(own.set, own))
        made += [labelled("errata", text, "warn", width=LABEL) for text in own.errata if text not in common]
    for item in cell.references:
        if item is not own and item.set in ("own", "lab", "fleet median") and _gpu_fits(item, entry):
            made.append(_reference(item.set, item))
    notes = [item for item in cell.references if item.set == "release notes"]
    if notes:
        best = max(notes, key=lambda item: item.dated)
        text = f"{len(notes)} figures of other image releases, the newest {best.printed} {best.unit_printed}"
        made.append(labelled("also", f"{text} ({best.under.image or best.dated})", "dim", width=LABEL))
    if cell.recipe != "exact":
        made.append(labelled("recipe", f"{cell.recipe}: {cell.recipe_source}".rstrip(": "), "warn", width=LABEL))
    made += differences(cell.deviations)
    return made


def differences(deviations: Iterable[str]) -> list[Para]:
    """`published X, running Y, because Z`, one line each."""
    return [labelled("differs", clean_line(text, 600), "accent", width=LABEL) for text in deviations]


def _reference(name: str, item: Reference) -> Para:
    spans: tuple[Span, ...] = (
        (f"{name:<{LABEL}}", "dim"),
        (f"{item.printed} {item.unit_printed}", "bold"),
        (f"  {item.source}, {item.dated}", "dim"),
    )
    return Para(spans, LABEL)


def _gpu_fits(item: Reference, entry: Entry) -> bool:
    return item.under.gpu is None or item.under.gpu == entry.gpu


def attempt_paras(view: AttemptView, now_ns: int) -> list[Para]:
    """An attempt of an open run, or of one that has just ended."""
    where = ", ".join(view.hosts) if view.placed or len(view.hosts) <= 2 else f"one of {len(view.hosts)} hosts"
    spans: list[Span] = [(f"{where}{view.which}  ", "bold")]
    if view.outcome is not None:
        mark = marks.attempt_mark(view.outcome, view.stage, spoiled=view.spoiled)
        spans.append(mark.span)
        if view.value is not None:
            ratio = f"  {view.ratio:.3f} of {figure(view.reference)}" if view.ratio is not None else ""
            spans.append((f"  {figure(view.value)}{ratio}", ""))
        made = [Para(tuple(spans), 2)]
        if view.failure_line:
            made.append(
                Para(((f"  {view.failure.value if view.failure else ''}: ", "fail"), (view.failure_line, "")), 4)
            )
        return [*made, *_reasons(view.reasons)]
    if view.stage is Stage.PLANNED:
        return [Para((*spans, ("· waits for its turn" + (", asked to stop" if view.stop_asked else ""), "dim")), 2)]
    spans.append((f"{marks.ACTIVE.glyph} {doing(view)}", "busy"))
    if view.rate is not None:
        spans.append((f"  {figure(view.rate.value)} {view.rate.unit}", "accent"))
    if view.progress is not None and view.progress.fraction is not None:
        spans.append((f"  {view.progress.fraction:.0%}", "accent"))
    left = view.eta_s(now_ns)
    spans.append((f"  {duration(left)} left" if left else "", "dim"))
    made = [Para(tuple(spans), 2)]
    if view.refused is not None:
        made.append(para(f"  {view.refused.sentence}", "warn", hang=4))
    if view.links_lost:
        made.append(para(f"  no answer from {', '.join(view.links_lost)}; it goes on there", "warn"))
    return made


def past_paras(item: Figure) -> list[Para]:
    """A figure of an earlier run, with what it is worth and why."""
    mark = VERDICT.get(item.verdict, marks.WAITING)
    spans: list[Span] = [(f"{', '.join(item.hosts)}  ", "bold"), mark.span]
    if item.text:
        spans.append((f"  {item.text} {item.unit}", ""))
    if item.ratio is not None:
        spans.append((f"  {item.ratio:.3f} of {item.printed} ({item.reference_set})", ""))
    repeats = f", {item.repeats} repeats" if item.repeats > 1 else ""
    simulated = ", simulated" if item.simulated else ""
    spans.append((f"  {item.label or item.run}{repeats}{simulated}", "dim"))
    made = [Para(tuple(spans), 2)]
    if item.failure:
        made.append(Para(((f"  {item.failure}: ", "fail"), (clean_line(item.failure_line, 600), "")), 4))
        made += [labelled("  do", clean_line(item.remedy, 600), "accent", width=LABEL)] if item.remedy else []
    elif item.verdict:
        made.append(para(f"  {MEANING.get(item.verdict, '')}", "dim", hang=2))
    return [*made, *_reasons(item.reasons)]


def _reasons(reasons: Iterable[Reason]) -> list[Para]:
    spoiling = [item for item in reasons if item.spoils]
    return [
        Para(((f"  ▲ {reason_words(item.reason)}", "warn"), (f"  {clean_line(item.detail, 400)}", "dim")), 4)
        for item in spoiling
    ]
