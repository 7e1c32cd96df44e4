"""What the Runs screen says of the run under the cursor: how it stands, who conducts it, what to do next. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from console.desk.views import RunView
from console.model.units import duration
from console.tui.screens.runs.rows import Now, state_mark
from console.tui.widgets.lines import BLANK, Para, labelled, para
from console.tui.words import ago, utc

if TYPE_CHECKING:
    from console.desk.cleaning import Leftover
    from console.desk.history import RunSummary

_LABEL = 11


def detail(
    run: "RunSummary", standing: Now, view: RunView | None, now_ns: int, keys: Mapping[str, str], *, may_act: bool
) -> list[Para]:
    """One run. `keys` are the screen's by action; `may_act`: runs may be started and stopped here."""
    mark = state_mark(standing.state)
    name = f"{run.run}  {run.label}".rstrip()
    made = [Para(((f"{name}  ", "bold"), mark.span, (f"  {meaning(standing.state)}", "dim")), 2)]
    if run.simulated:
        made.append(para("simulated by the embedded lab: its figures say nothing about any hardware", "simulated"))
    made.append(labelled("opened", f"{utc(run.opened_at_ns)}, {ago(run.opened_at_ns, now_ns)} ago", width=_LABEL))
    if run.closed_at_ns is not None:
        took = duration((run.closed_at_ns - run.opened_at_ns) / 1e9)
        made.append(labelled("closed", f"{utc(run.closed_at_ns)}, {run.why}, after {took}", width=_LABEL))
    made.append(labelled("by", run.operator, width=_LABEL))
    made.append(labelled("matrices", ", ".join(run.matrices), width=_LABEL))
    made.append(labelled("hosts", ", ".join(run.hosts), width=_LABEL))
    made.append(labelled("attempts", attempts(standing), width=_LABEL))
    made += conductor(run, standing)
    lost = [link.host for link in view.links if link.state != "up"] if view is not None and standing.open else []
    if lost:
        made.append(labelled("unheard", f"{', '.join(lost)}: their containers run on", "warn", width=_LABEL))
    if view is not None and view.notice is not None:
        role = "dim" if view.notice.level == "info" else "warn" if view.notice.level == "warning" else "fail"
        made.append(labelled("said", view.notice.text, role, width=_LABEL))
    made += [BLANK, para("what to do next", "bold"), *next_steps(run, standing, keys, may_act=may_act)]
    return made


def meaning(state: str) -> str:
    """What a state means, in a few words."""
    return {
        "running": "its conductor works on it",
        "paused": "what has begun goes on, nothing new is started",
        "stopping": "its attempts are ended and collected",
        "left": "nobody conducts it, though attempts are open; containers that run go on by themselves",
        "finished": "every attempt has ended",
        "stopped": "it was ended on request",
        "ended": "it was broken off",
    }.get(state, "")


def attempts(standing: Now) -> str:
    """How its attempts stand, what there is none of left out."""
    counts = (
        (standing.ok, "ok"),
        (standing.failed, "failed"),
        (standing.not_run, "not run or stopped"),
        (standing.active, "at work"),
        (standing.open - standing.active, "waiting" if standing.state in ("running", "paused") else "open"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count > 0)
    return f"{standing.total}: {said}" if said else str(standing.total)


def conductor(run: "RunSummary", standing: Now) -> list[Para]:
    """Which process conducts it, or did last."""
    if run.conductor_pid is None:
        return [labelled("conductor", "none so far", "dim", width=_LABEL)]
    who = f"process {run.conductor_pid} on {run.conductor_machine or 'this machine'}"
    if standing.state == "left":
        return [labelled("conductor", f"{who} was the last and is gone", "warn", width=_LABEL)]
    return [labelled("conductor", who if run.closed_at_ns is None else f"{who}, gone since", "", width=_LABEL)]


def next_steps(run: "RunSummary", standing: Now, keys: Mapping[str, str], *, may_act: bool) -> list[Para]:
    """The keys that make sense now, and the same from a shell."""
    steps: list[tuple[str, str]] = []
    if run.closed_at_ns is None and standing.state != "left":
        steps.append(("watch", "watch it live"))
    if standing.state == "left" and may_act:
        steps.append(("resume", f"resume it: {standing.open} attempts are open (instinct run --resume {run.run})"))
        steps.append(("stop", "stop it for good: what runs of it is ended and collected"))
    elif run.closed_at_ns is None and standing.state != "stopping" and may_act:
        steps.append(("stop", "stop it"))
    elif run.closed_at_ns is not None and standing.open and may_act:
        steps.append(("resume", f"carry on with the {standing.open} attempts that are open"))
    steps.append(("open", "its results" + (" so far" if standing.open else "")))
    if standing.ended:
        steps.append(("export", f"write them to a file (instinct export {run.run} -o FILE)"))
    if standing.ended:
        steps.append(("replay", f"play it again: instinct watch {run.run} --replay 20x"))
    if (run.closed_at_ns is not None and run.why != "finished") and may_act:
        steps.append(("clean", "look what it left on its hosts (instinct clean --dry-run)"))
    return [Para(((f"  {keys[action]:<7}", "accent"), (text, "")), 9) for action, text in steps]


def leftovers(found: "tuple[Leftover, ...]", problems: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Lines of what would be removed, and of what is left alone and why."""
    ours = [item for item in found if item.standing == "left"]
    others = [item for item in found if item.standing != "left"]
    going = [f"{item.host}  {item.container}  {item.container_state}, run {item.run}: {item.why}" for item in ours]
    staying = [f"{item.host}  {item.container}  {item.standing}: {item.why}" for item in others]
    return going, [*staying, *(f"{host}: {problem}" for host, problem in problems.items())]
