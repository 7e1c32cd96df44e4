"""What the Live screen says of attempts: rows of its table and the lines above the plots. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from console.desk.board import AttemptView
from console.desk.figures import TFLOPS, mfu_percent
from console.desk.views import Fetch
from console.model.attempt import Stage
from console.model.units import METRICS, clock, duration
from console.tui import marks
from console.tui.marks import Role, Span
from console.tui.screens.results.words import reason_words
from console.tui.widgets.grid import Cell, Column, Row
from console.tui.widgets.lines import Para
from console.tui.words import figure, size

if TYPE_CHECKING:
    from console.model.profile import GpuSpec

COLUMNS = (
    Column("tick", "", 1),
    Column("cell", "cell", 18, grow=5),
    Column("host", "host", 13, grow=2),
    Column("doing", "doing", 12),
    Column("progress", "progress", 12, rank=6),
    Column("percent", "%", 4, right=True),
    Column("now", "now", 8, right=True),
    Column("mean", "mean", 8, right=True, rank=3),
    Column("unit", "unit", 12, rank=4),
    Column("ratio", "of ref.", 7, right=True, rank=5),
    Column("elapsed", "elapsed", 8, right=True, rank=7),
    Column("left", "left", 8, right=True),
    Column("run", "run", 14, rank=8),
)
TICKED = "◆"
_HEARD_S = 30.0
"""A figure that old is no longer called now."""


def row(view: AttemptView, now_ns: int, *, ticked: bool, label: str = "") -> Row:
    """One attempt in the table."""
    mark = marks.attempt_mark(view.outcome, view.stage, spoiled=view.spoiled)
    share = share_of(view)
    left_s = view.eta_s(now_ns)
    elapsed_s = view.elapsed_s(now_ns)
    ended = view.outcome is not None
    value = view.value if ended else view.rate.mean if view.rate else None
    cells: tuple[Cell, ...] = (
        (TICKED if ticked else " ", "accent"),
        (view.name, "bold" if not ended else ""),
        hosts_of(view),
        (f"{mark.glyph} {view.doing}", mark.role),
        (marks.bar(share, 12), "busy") if share is not None and not ended else "",
        f"{share:.0%}" if share is not None and not ended else "",
        (figure(view.rate.value), "accent" if _fresh(view, now_ns) else "dim") if view.rate and not ended else "",
        figure(value),
        (unit_of(view), "dim") if (view.rate and not ended) or value is not None else "",
        ratio_cell(view),
        clock(elapsed_s) if elapsed_s is not None else "",
        clock(left_s) if left_s is not None and not ended else "",
        (label, "dim"),
    )
    return Row(view.attempt, cells, "dim" if view.outcome is None and view.stage is Stage.PLANNED else "")


def hosts_of(view: AttemptView) -> str:
    """Where it runs; how many hosts would do while it waits for one of several."""
    if view.placed or len(view.hosts) <= 2:
        return ", ".join(view.hosts)
    return f"{view.nodes} of {len(view.hosts)} hosts" if view.nodes < len(view.hosts) else f"{view.nodes} hosts"


def unit_of(view: AttemptView) -> str:
    """The unit of the figures that are shown."""
    if view.outcome is None and view.rate is not None:
        return view.rate.unit
    return view.unit


def share_of(view: AttemptView) -> float | None:
    """How much of what it does now is done: bytes that arrive, or the program's own progress."""
    if view.stage is Stage.FETCHING and view.fetching:
        total = sum(item.total_bytes or 0 for item in view.fetching)
        return min(1.0, sum(item.done_bytes for item in view.fetching) / total) if total else None
    if view.stage is Stage.RUNNING and view.progress is not None:
        return view.progress.fraction
    return None


def live_ratio(view: AttemptView) -> float | None:
    """The mean beside the reference while it runs, when both are of one metric; the result's afterwards."""
    if view.outcome is not None:
        return view.ratio
    rate = view.rate
    if rate is None or rate.mean is None or not view.reference or rate.metric != view.metric:
        return None
    return rate.mean / view.reference


def ratio_cell(view: AttemptView) -> Cell:
    """The share of the reference in per cent."""
    ratio = live_ratio(view)
    return "" if ratio is None else (f"{ratio:.0%}", "dim" if view.spoiled else "")


def reference_lines(view: AttemptView) -> Mapping[str, float]:
    """Horizontal lines of the rate plot: the reference where it is of the same metric, and the mean so far."""
    rate = view.rate
    if rate is None:
        return {}
    lines: dict[str, float] = {}
    if view.reference is not None and rate.metric == view.metric:
        lines[f"reference {figure(view.reference)}"] = view.reference
    if rate.mean is not None:
        lines[f"mean {figure(rate.mean)}"] = rate.mean
    return lines


def rate_title(view: AttemptView) -> tuple[str, str]:
    """What the rate plot shows, and its unit where the name does not say it."""
    rate = view.rate
    if rate is None:
        return "Rate", ""
    label = METRICS[rate.metric].label if rate.metric in METRICS else rate.metric.replace("_", " ")
    return label, "" if rate.unit in label else rate.unit


# -- the lines above the plots


def head(view: AttemptView, now_ns: int, gpus: Mapping[str, "GpuSpec"]) -> list[Para]:
    """An attempt as a person wants to know it: what it does, how fast, how well, what is wrong."""
    paras = [Para(tuple(_doing_line(view, now_ns)), keep=True), Para(tuple(_rate_line(view, now_ns)), hang=2)]
    if view.outcome is None and (steps := details(view, gpus)):
        paras.append(Para((("  " + "   ".join(steps), ""),), hang=2))
    if view.outcome is None:
        paras += [Para((("  " + fetch_text(item), "busy"),), hang=4) for item in view.fetching]
    paras += [Para((("  " + text, role),), hang=4, keep=role == "dim") for text, role in troubles(view, now_ns)]
    return [para for para in paras if para.spans]


def _doing_line(view: AttemptView, now_ns: int) -> Iterable[Span]:
    mark = marks.attempt_mark(view.outcome, view.stage, spoiled=view.spoiled)
    yield f"{mark.glyph} {view.doing}", mark.role
    share = share_of(view)
    if view.outcome is None and share is not None:
        yield f" {marks.bar(share, 16)}", "busy"
        yield f" {share:.0%}", ""
    if view.outcome is None and view.progress is not None and view.stage is Stage.RUNNING:
        total = f"/{view.progress.total:g}" if view.progress.total else ""
        yield f"  {view.progress.done:g}{total} {view.progress.counts}", "dim"
    elapsed_s, left_s = view.elapsed_s(now_ns), view.eta_s(now_ns)
    if elapsed_s is not None:
        yield f"  {'after ' if view.outcome else ''}{clock(elapsed_s)}", "dim"
    if view.outcome is None and left_s:
        yield f", {clock(left_s)} left", "dim"
    if view.outcome is None and view.stage is not Stage.RUNNING and view.detail:
        yield f"  {view.detail}", "dim"


def _rate_line(view: AttemptView, now_ns: int) -> Iterable[Span]:
    if view.outcome is not None:
        if view.value is None:
            return
        yield f"  {figure(view.value)} {unit_of(view)}", "dim" if view.spoiled else "accent"
        if view.reference is not None:
            yield f"  {(view.reference and view.ratio) or 0:.2f} of the reference {figure(view.reference)}", ""
        return
    rate = view.rate
    if rate is None:
        return
    age_s = rate.age_s(now_ns)
    yield f"  now {figure(rate.value)} {rate.unit}", "accent" if _fresh(view, now_ns) else "dim"
    if age_s > _HEARD_S:
        yield f" (said {duration(age_s)} ago)", "dim"
    if rate.mean is not None:
        yield f"   mean {figure(rate.mean)}", ""
    ratio = live_ratio(view)
    if ratio is not None and view.reference is not None:
        yield f"   {ratio:.0%} of the reference {figure(view.reference)} so far", ""
    elif view.reference is not None and view.metric in METRICS:
        yield f"   reference {figure(view.reference)} {METRICS[view.metric].unit}", "dim"


_SHOWN = {
    "tflops_per_s_per_gpu": "{}",
    "tokens_per_s_per_gpu": "{}",
    "images_per_s_per_gpu": "{}",
    "tokens_per_s_per_node": "{}",
    "step_s": "{} a step",
    "loss": "loss {}",
    "gpu_memory_used": "memory {}",
    "gpu_memory_bytes": "memory {}",
    "running": "{} running",
    "waiting": "{} waiting",
    "kv_cache_used": "KV cache {}",
    "prompt_tokens_per_s": "prompts at {}",
}

_COUNTS = ("running", "waiting")


def details(view: AttemptView, gpus: Mapping[str, "GpuSpec"]) -> list[str]:
    """What the program said last beside the rate on show: of a step in training, of requests in serving."""
    shown = view.rate.metric if view.rate is not None else ""
    known = {item.name: item for item in view.figures if item.name != shown}
    if "gpu_memory_used" in known:
        known.pop("gpu_memory_bytes", None)
    said = [
        form.format(f"{known[name].value:.0f}" if name in _COUNTS else known[name].text)
        for name, form in _SHOWN.items()
        if name in known and known[name].value
    ]
    mfu = mfu_percent(view.figures, view.gpu, view.precision, gpus)
    if mfu is not None:
        said.insert(0, f"MFU {mfu:.1f} %")
    return said


def wants_specs(views: Iterable[AttemptView]) -> bool:
    """True when a GPU's specification would tell more of one of these: its MFU."""
    return any(item.name == TFLOPS for view in views for item in view.figures)


def fetch_text(fetch: Fetch) -> str:
    """What arrives on a host and how much of it is there."""
    done = size(fetch.done_bytes)
    if fetch.total_bytes:
        done = f"{marks.bar(fetch.done_bytes / fetch.total_bytes, 10)} {done} of {size(fetch.total_bytes)}"
    return f"{fetch.what} {fetch.name} on {fetch.host}: {done} {fetch.status}".rstrip()


def troubles(view: AttemptView, now_ns: int) -> list[Span]:
    """What a person should know beside the figures, the gravest first."""
    told: list[Span] = []
    if view.failure is not None:
        told.append((f"{view.failure.value}: {view.failure_line or 'no line of the log says why'}", "fail"))
    for link in view.links if view.outcome is None else ():
        if link.state != "up":
            since = duration((now_ns - link.since_ns) / 1e9)
            why = f": {link.detail}" if link.detail else ""
            told.append((f"{link.host} cannot be heard for {since}{why}; its container goes on", "fail"))
    if view.refused is not None and view.outcome is None:
        told.append((view.refused.sentence, "warn"))
    if view.stop_asked and view.outcome is None:
        told.append(("asked to stop: what runs is ended and collected", "warn"))
    if view.notice is not None and view.failure is None:
        roles: Mapping[str, Role] = {"error": "fail", "warning": "warn", "info": "dim"}
        told.append((view.notice.text, roles[view.notice.level]))
    for reason in view.reasons:
        label, role = ("spoiled: ", "warn") if reason.spoils else ("noted: ", "dim")
        detail = f": {reason.detail}" if reason.detail else ""
        told.append((f"{label}{reason_words(reason.reason)}{detail}", role))  # type: ignore[arg-type]
    return told


def _fresh(view: AttemptView, now_ns: int) -> bool:
    return view.rate is not None and view.rate.age_s(now_ns) <= _HEARD_S


# -- which attempts, and how the panes stand


def worth_showing(
    views: Sequence[AttemptView], kept: Collection[str], now_ns: int, *, everything: bool
) -> list[AttemptView]:
    """Attempts at work first, then those kept or just ended; with `everything` planned and older ones as well."""
    lately_ns = now_ns - 120_000_000_000
    active = [view for view in views if view.outcome is None and view.stage is not Stage.PLANNED]
    ended = [
        view
        for view in views
        if view.outcome is not None
        and (everything or view.attempt in kept or ((view.ended_at_ns or 0) >= lately_ns and not view.superseded))
    ]
    ended.sort(key=lambda view: -(view.ended_at_ns or 0))
    planned = [
        view
        for view in views
        if view.outcome is None and view.stage is Stage.PLANNED and (everything or view.attempt in kept)
    ]
    return [*active, *ended, *planned]


MOST_PANES = 4
PANE_WIDTH, PANE_HEIGHT = 56, 16


def layout(wanted: int, width: int, height: int) -> tuple[int, int]:
    """Columns and rows of panes that there is room for, at most as many as are wanted and at least one."""
    wanted = min(max(1, wanted), MOST_PANES)
    across = max(1, min(wanted, width // PANE_WIDTH))
    if wanted == MOST_PANES and across == MOST_PANES - 1:
        across = 2
    down = max(1, min(-(-wanted // across), height // PANE_HEIGHT))
    return across, down


def why_empty(*, has_runs: bool, waiting: int) -> str:
    """Why nothing is at work, and what to press."""
    if waiting:
        return f"Nothing is at work now; {waiting} planned.\na shows them, 6 shows who conducts the run."
    if has_runs:
        return "Nothing is at work now.\na shows what has ended, 3 starts a matrix, 6 shows runs of before."
    return "No run goes on in this store.\n3 starts a matrix on hosts, 6 shows runs of before."
