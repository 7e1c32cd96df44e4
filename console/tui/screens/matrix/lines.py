"""The lines around the table of the Matrix screen, and what its lower pane shows. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.desk.matrices import Entry
from console.model.units import duration
from console.tui.marks import Span
from console.tui.screens.matrix import plan as matrix_plan
from console.tui.screens.matrix.choice import Choice
from console.tui.screens.matrix.detail import differences
from console.tui.screens.matrix.plan import LABEL
from console.tui.screens.matrix.planning import Planning
from console.tui.widgets.lines import BLANK, Para, labelled, para
from console.tui.words import ago

if TYPE_CHECKING:
    from console.desk.views import RunView
    from console.runs.plan import PlannedAttempt

ASKING = "asking the hosts …"


def title(entry: Entry, shown: int, run: "RunView | None") -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """What the table is, and at the right the run of it that goes on."""
    matrix = entry.matrix
    rows = f"{shown} of {len(matrix.cells)} rows" if shown != len(matrix.cells) else f"{shown} rows"
    left: tuple[Span, ...] = ((f" {matrix.title}  ", "bold"), (f"{rows}, {matrix.dated}", "dim"))
    if run is None or run.closed_at_ns is not None:
        return left, ()
    word: Span = ("■ stopping", "warn") if run.stop_asked else ("‖ paused", "warn") if run.paused else ("▶", "busy")
    counts = run.counts
    return left, ((f"{run.label or run.run} ", "dim"), word, (f" {counts.ended}/{counts.total} done ", "dim"))


def chosen(choice: Choice, entry: Entry, hosts: int | str, planning: Planning) -> tuple[Span, ...]:
    """What is chosen, in a line, and whether there is a plan of it. `hosts` is a number, or why there is none."""
    if not choice.ticked:
        return ((" nothing ticked", "warn"), (": space ticks a row, a all of them", "dim"))
    cells = len(choice.ticked)
    spans: list[Span] = [(f" {cells} row{'' if cells == 1 else 's'}", "accent")]
    if isinstance(hosts, str):
        spans.append((f"  {hosts}", "fail"))
        return tuple(spans)
    place = choice.hosts or "every host"
    spans.append((f" on {place}", "accent"))
    spans.append((f" ({hosts})" if place.count(",") or not choice.hosts or place.startswith("@") else "", "dim"))
    spans.append((", spread" if choice.place == "spread" else "", ""))
    spans.append((f", {choice.repeat} times" if choice.repeat > 1 else "", ""))
    spans.append((f", image {choice.image}" if choice.image else "", ""))
    spans.append((f", set {len(choice.changes)}" if choice.changes else "", ""))
    spans.append((f", {choice.if_busy}" if choice.if_busy != "skip" else "", ""))
    if planning.state == "asking" and planning.choice is not None and planning.choice.matrix == choice.matrix:
        spans.append((f"  {ASKING}", "busy"))
    elif planning.stale(choice):
        spans.append(("  plan out of date", "warn"))
    elif planning.about(choice) and planning.planned is not None and planning.digest is not None:
        found = planning.digest.totals
        wall = duration(found.wall_s / planning.planned.speed)
        spans.append((f"  = {found.attempts} attempt{'' if found.attempts == 1 else 's'}, about {wall}  ", "bold"))
        spans += matrix_plan.standing(found)
    return tuple(spans)


def plan_pane(choice: Choice | None, planning: Planning, command: str, now_ns: int) -> list[Para]:
    """The plan, or why there is none."""
    if choice is None:
        return []
    mine = planning.choice is not None and planning.choice.matrix == choice.matrix
    if mine and planning.state == "asking":
        return [para(f"{ASKING} every key goes on working", "busy")]
    if mine and planning.state == "failed":
        return [*(para(line, "fail", hang=2) for line in planning.problem.splitlines()), BLANK, _typed(command)]
    planned = planning.of(choice.matrix)
    if planned is None or planning.digest is None:
        what = "p plans what is ticked" if choice.ticked else "tick rows (space), then plan them (p)"
        none = para(f"no plan yet: {what}; hosts are asked, nothing is started", "dim")
        return [none, _typed(command)] if choice.ticked else [none]
    made = [matrix_plan.STALE, BLANK] if planning.stale(choice) else []
    made += planning.digest.paras
    return [
        *made,
        BLANK,
        _typed(command),
        labelled("planned", f"{ago(planning.at_ns, now_ns)} ago", "dim", width=LABEL),
    ]


def _typed(command: str) -> Para:
    return labelled("typed", command, "accent", width=LABEL)


def run_pane(
    groups: "Sequence[Sequence[PlannedAttempt]]", paper: "PlannedAttempt | str | None", hands: "matrix_plan.Hands"
) -> list[Para]:
    """What exactly would run for a row: from the plan where there is one, else on paper."""
    if groups:
        return [*differences(groups[0][0].cell.deviations), *matrix_plan.cell_paras(groups, hands)]
    if paper is None:
        return []
    if isinstance(paper, str):
        return [labelled("command", paper, "fail", width=LABEL)]
    made = differences(paper.cell.deviations)
    made += [labelled("image", paper.image.ref, width=LABEL)]
    for hand in hands(paper):
        made += matrix_plan.command_paras(hand)
    for item in paper.findings:
        made.append(labelled("cannot", item.sentence(), "fail", width=LABEL))
    return made
