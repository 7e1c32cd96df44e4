"""What runs on a host: our attempts, what ran before, and whoever else holds its GPUs. Pure."""

from collections.abc import Sequence

from console.desk.views import AttemptView
from console.model.facts import GpuContainer, GpuProcess, HostFacts, Unknown, value_or
from console.model.text import clean_line
from console.model.units import duration
from console.tui import marks
from console.tui.marks import Span
from console.tui.screens.fleet.rows import attempt
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.widgets.lines import Para, labelled, para
from console.tui.words import figure, size, utc

COLUMNS = (
    Column("what", "what", 12),
    Column("name", "name", 30, grow=2),
    Column("doing", "now", 24, grow=2),
    Column("since", "since", 20, rank=1),
    Column("whose", "whose", 14, rank=2),
)
BEFORE = 20
"""How many attempts of before are shown."""
_ALIVE = ("running", "paused", "restarting")


def rows(
    active: Sequence[AttemptView], before: Sequence[AttemptView], facts: HostFacts | None, now_ns: int
) -> list[Row]:
    """Attempts at work, containers and processes of others, then attempts that ended here."""
    made = [_attempt(view, now_ns) for view in active]
    running = {view.run for view in active} | {view.attempt for view in active}
    made += [_container(item) for item in containers(facts) if item.attempt not in running]
    made += [_process(item) for item in processes(facts)]
    return made + [_attempt(view, now_ns) for view in before[:BEFORE]]


def containers(facts: HostFacts | None) -> tuple[GpuContainer, ...]:
    """Containers that have the GPUs and are not stopped, as of the last look."""
    if facts is None or isinstance(facts.engine, Unknown):
        return ()
    return tuple(item for item in facts.engine.value.gpu_containers if item.state in _ALIVE)


def processes(facts: HostFacts | None) -> tuple[GpuProcess, ...]:
    """Processes that hold a GPU, as of the last look."""
    if facts is None:
        return ()
    told = facts.driver.processes
    return value_or(told, ())


def attempt_of(key: str) -> str | None:
    """The attempt of a row, None for what is not ours."""
    kind, _, name = key.partition(" ")
    return name if kind == "attempt" else None


def _attempt(view: AttemptView, now_ns: int) -> Row:
    mark = marks.attempt_mark(view.outcome, view.stage, spoiled=view.spoiled)
    if view.outcome is None:
        doing: tuple[Span, ...] = attempt(view)
    elif view.value is not None:
        doing = ((f"{figure(view.value)} {view.metric}", "accent" if not view.spoiled else "warn"),)
    else:
        doing = ((view.failure_line or (view.failure.value if view.failure is not None else ""), "dim"),)
    since = utc(view.started_at_ns or view.planned_at_ns)
    elapsed = view.elapsed_s(now_ns)
    took: Span = (f" {duration(elapsed)}" if elapsed is not None else "", "dim")
    name: Cell = ((view.cell_id, ""), (f"  {view.matrix}", "dim"))
    state: Span = (mark.text if mark.word else f"{mark.glyph} attempt", mark.role)
    cells: tuple[Cell, ...] = (state, name, (*doing, took), (since, "dim"), ("we", "dim"))
    return Row(f"attempt {view.attempt}", cells)


def _container(item: GpuContainer) -> Row:
    whose = item.owner or "we" if item.ours else "someone else"
    since = clean_line(item.since.partition(".")[0].replace("T", " "), 20)
    doing: Span = (clean_line(f"{item.state}, {item.access}" if item.access else item.state), "dim")
    name: Cell = ((clean_line(item.name), "accent"), (f"  {clean_line(item.image)}", "dim"))
    cells: tuple[Cell, ...] = (("○ container", "warn"), name, doing, (since, "dim"), clean_line(whose))
    return Row(f"container {item.id}", cells)


def _process(item: GpuProcess) -> Row:
    held = f"holds {size(item.vram_bytes)}" if item.vram_bytes is not None else "holds a GPU"
    where = ""
    if item.gpus:
        where = f" of {len(item.gpus)} GPUs" if len(item.gpus) > 1 else f" of {clean_line(item.gpus[0])}"
    inside = f" in container {clean_line(item.container[:12])}" if item.container else ""
    name: Cell = ((clean_line(item.name) or "process", "accent"), (f"  pid {item.pid}", "dim"))
    cells: tuple[Cell, ...] = (("○ process", "warn"), name, f"{held}{where}{inside}", "", clean_line(item.user))
    return Row(f"process {item.pid}", cells)


def detail(
    key: str, active: Sequence[AttemptView], before: Sequence[AttemptView], facts: HostFacts | None
) -> list[Para]:
    """One of them in full."""
    name = attempt_of(key)
    for view in (*active, *before):
        if view.attempt == name:
            return _about(view)
    for item in containers(facts):
        if key == f"container {item.id}":
            return [
                para(clean_line(item.name), "bold"),
                labelled("image", clean_line(item.image)),
                labelled("state", clean_line(f"{item.state} since {item.since}")),
                labelled("GPUs", clean_line(item.access or "not told")),
                labelled(
                    "whose", clean_line(f"ours, {item.owner} {item.run} {item.attempt}" if item.ours else "not ours")
                ),
                labelled("remedy", clean_line(f"docker logs --tail 50 {item.name}"), "accent"),
            ]
    for process in processes(facts):
        if key == f"process {process.pid}":
            gpus = ", ".join(process.gpus) or "not told"
            return [
                para(clean_line(f"{process.name or 'process'} {process.pid}"), "bold"),
                labelled("user", clean_line(process.user) or "not told"),
                labelled("holds", f"{size(process.vram_bytes) or 'an unknown amount'} of VRAM"),
                labelled("GPUs", clean_line(gpus)),
                labelled("container", clean_line(process.container) or "none"),
                labelled("remedy", f"ps -o pid,user,lstart,args -p {process.pid}", "accent"),
            ]
    return []


def _about(view: AttemptView) -> list[Para]:
    made = [
        para(clean_line(view.title or view.cell_id), "bold"),
        labelled("cell", f"{view.matrix} {view.cell_id}, repeat {view.repeat}, try {view.attempt_try}"),
        labelled("hosts", ", ".join(view.hosts)),
        labelled("state", f"{view.state}{f': {view.detail}' if view.detail else ''}"),
    ]
    if view.failure is not None:
        made.append(labelled("failure", f"{view.failure.value}: {view.failure_line}", "fail"))
    if view.value is not None:
        ratio = f", {view.ratio:.2f} of the reference" if view.ratio is not None else ""
        made.append(labelled("figure", f"{figure(view.value)} {view.metric}{ratio}", "accent"))
    for reason in view.reasons:
        label = "spoiled" if reason.spoils else "note"
        made.append(labelled(label, clean_line(f"{reason.reason.value} {reason.detail}".rstrip(), 600), "warn"))
    return made


def why_none(facts: HostFacts | None) -> str:
    """Why the list is empty."""
    if facts is None:
        return "The host has not been looked at yet."
    told = facts.driver.processes
    if isinstance(facts.engine, Unknown) and isinstance(told, Unknown):
        return f"No attempt of ours runs here; of others nothing is known: {clean_line(told.why)}."
    return "Nothing runs on this host, and nobody holds its GPUs.\nm goes to the matrices."
