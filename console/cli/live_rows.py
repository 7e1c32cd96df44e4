"""What a live view says of each attempt, in columns of fixed width, so that nothing moves while figures change."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from console.cli import times
from console.cli.printing import cell_width, figure, shorten, shorten_start
from console.desk.figures import TFLOPS, figure_of, mfu_percent
from console.model.attempt import Outcome, Stage
from console.model.units import binary_size, clock

if TYPE_CHECKING:
    from console.desk.board import Board
    from console.desk.views import AttemptView, Fetch
    from console.model.profile import GpuSpec

HEADINGS = ("cell", "host", "state", "progress", "now", "mean", "left")
RIGHT = ("now", "mean", "left")
NO_FIGURE = (Outcome.FAILED, Outcome.NOT_RUN, Outcome.STOPPED)
_STYLES = {Outcome.OK: "green", Outcome.FAILED: "red", Outcome.STOPPED: "yellow", Outcome.NOT_RUN: "yellow"}


class Layout(msgspec.Struct, frozen=True):
    """Widths of the columns; 0 leaves one out."""

    cell: int
    host: int
    state: int
    progress: int
    now: int
    mean: int
    left: int

    @classmethod
    def fitting(cls, width: int) -> "Layout":
        """The best layout for a terminal of this width; cell and host take what is left over."""
        sizes = (11, 9, 7, 5) if width < 110 else (16, 16, 8, 7) if width < 150 else (24, 20, 9, 8)
        state, progress, figures, left = sizes
        mean = figures if width >= 72 else 0
        columns = 7 if mean else 6
        rest = max(20, width - (state + progress + figures + mean + left) - 2 * (columns - 1))
        host = min(20, max(6, rest // 3))
        # What a wide terminal has left over goes to the reasons at the ends of lines.
        return cls(min(44, rest - host), host, state, progress, figures, mean, left)

    def line(self, cells: Sequence[str]) -> str:
        """One line of cells, one per column."""
        parts = []
        for name, text in zip(self.__struct_fields__, cells, strict=True):
            width: int = getattr(self, name)
            if width:
                # Names of cells and hosts differ in their ends.
                shown = shorten_start(text, width) if name in ("cell", "host") else shorten(text, width)
                padding = " " * (width - cell_width(shown))
                parts.append(padding + shown if name in RIGHT else shown + padding)
        return "  ".join(parts).rstrip()


def attempt_line(view: "AttemptView", now_ns: int, layout: Layout) -> tuple[str, str]:
    """One attempt's line and its style. Without a figure, the reason takes the room of the figures."""
    head = (view.name, hosts_of(view), what_of(view))
    reason = reason_of(view) if view.outcome in NO_FIGURE else holder_of(view)
    if reason:
        blank = layout.line((*head, "", "", "", "")).ljust(layout.cell + layout.host + layout.state + 4)
        return f"{blank}  {reason}", _STYLES[view.outcome] if view.outcome else ""
    eta = view.eta_s(now_ns)
    mean = view.value if view.value is not None else view.rate.mean if view.rate else None
    cells = (
        *head,
        progress_text(view, layout.progress),
        figure(view.rate.value) if view.rate and view.outcome is None else "",
        "" if mean is None else figure(mean),
        "" if view.outcome or eta is None else clock(eta),
    )
    style = _STYLES[view.outcome] if view.outcome else "dim" if view.stage is Stage.PLANNED else ""
    return layout.line(cells), style


Gpus = Callable[[], Mapping[str, "GpuSpec"]]
"""Specifications by name, asked for when a step has TFLOP/s to hold against them: loading them takes a while."""


def details_of(view: "AttemptView", gpus: Gpus) -> Sequence[str]:
    """What a training program says of its latest step beside the rate that is shown, the most telling first.

    With the specification of its GPU the MFU follows from the step's TFLOP/s.
    """
    if view.outcome is not None or view.stage is not Stage.RUNNING:
        return ()
    shown = view.rate.metric if view.rate is not None else ""
    known = {figure.name: figure for figure in view.figures if figure.name != shown}
    if "step_s" not in known:
        return ()
    said = [(name, form) for name, form in _DETAILS if name in known]
    if "gpu_memory_used" in known:
        said = [(name, form) for name, form in said if name != "gpu_memory_bytes"]
    details = [form.format(known[name].text) for name, form in said]
    if view.gpu is None or figure_of(view.figures, TFLOPS) is None:
        return details
    mfu = mfu_percent(view.figures, view.gpu, view.precision, gpus())
    return details if mfu is None else [f"MFU {mfu:.1f} %", *details]


_DETAILS = (
    ("tflops_per_s_per_gpu", "{}"),
    ("tokens_per_s_per_gpu", "{}"),
    ("tokens_per_s_per_node", "{}"),
    ("images_per_s_per_node", "{}"),
    ("step_s", "{}/step"),
    ("loss", "loss {}"),
    ("gpu_memory_used", "memory {}"),
    ("gpu_memory_bytes", "memory {}"),
)


def with_details(line: str, details: Sequence[str], width: int) -> str:
    """The line and as many of the details as fit behind it in `width` columns."""
    for index, detail in enumerate(details):
        longer = line + (", " if index else "  ") + detail
        if cell_width(longer) > width:
            break
        line = longer
    return line


def hosts_of(view: "AttemptView") -> str:
    """The hosts it is on; while it is not placed and several will do, how many those are."""
    if view.placed or len(view.hosts) <= 2:
        return ",".join(view.hosts)
    return f"{len(view.hosts)} hosts"


def what_of(view: "AttemptView") -> str:
    """What it does, and a host that is not heard."""
    if view.outcome is None and view.links_lost:
        return f"{view.doing}, lost {','.join(view.links_lost)}"
    stopping = view.outcome is None and view.stop_asked and view.stage is not Stage.PLANNED
    return f"{view.doing}, stopping" if stopping else view.doing


def reason_of(view: "AttemptView") -> str:
    """Why there is no figure: class and root-cause line."""
    return ": ".join(part for part in (view.failure.value if view.failure else "", view.failure_line) if part)


def progress_text(view: "AttemptView", width: int) -> str:
    """A bar while something can be counted: bytes that arrive, or the program's own progress."""
    if view.outcome is not None:
        return view.unit if view.value is not None else ""
    if view.stage is Stage.FETCHING and view.fetching:
        return _fetch_text(view.fetching[-1], width)
    if view.stage is not Stage.RUNNING or view.progress is None:
        return ""
    share = view.progress.fraction
    if share is None:
        return f"{view.progress.done:g} {view.progress.counts}"
    return bar(share, width)


def _fetch_text(fetch: "Fetch", width: int) -> str:
    if not fetch.total_bytes:
        return binary_size(fetch.done_bytes)
    return bar(min(1.0, fetch.done_bytes / fetch.total_bytes), width)


def bar(share: float, width: int) -> str:
    """`████░░░░ 50%` in `width` columns."""
    room = max(1, width - 5)
    filled = int(share * room)
    return "█" * filled + "░" * (room - filled) + f" {int(share * 100):>3}%"


def status_line(board: "Board", run: str, now_ns: int) -> str:
    """The run in one line: how many attempts stand how, and the time left."""
    view = board.run(run)
    if view is None:
        return run
    counts = view.counts
    parts = [f"{counts.ended}/{counts.total} done"]
    parts += [f"{getattr(counts, name)} {name.replace('_', ' ')}" for name in ("ok", "failed", "stopped", "not_run")
              if getattr(counts, name)]  # fmt: skip
    parts += [f"{counts.active} active"] if counts.active else []
    eta = board.eta_s(run, now_ns)
    if eta is not None and view.closed_at_ns is None:
        parts.append(f"{clock(eta)} left")
    if (view.stop_asked or view.paused) and view.closed_at_ns is None:
        parts.append("stopping" if view.stop_asked else "paused")
    title = f"{run} {view.label}".rstrip() + (" SIMULATED" if view.simulated else "")
    return f"{title}: {', '.join(parts)}"


def worth_showing(views: "Sequence[AttemptView]", room: int) -> "tuple[Sequence[AttemptView], int]":
    """The attempts to show in `room` lines, in their order, and how many are left out.

    What runs comes first, then failures, then what ended last, then what is next.
    """
    if len(views) <= room:
        return views, 0

    def rank(view: "AttemptView") -> tuple[int, int]:
        if view.outcome is None and view.stage is not Stage.PLANNED:
            return 0, view.position
        if view.outcome is Outcome.FAILED:
            return 1, -(view.ended_at_ns or 0)
        if view.outcome is Outcome.OK:
            return 2, -(view.ended_at_ns or 0)
        return (3, view.position) if view.outcome is None else (4, view.position)

    chosen = {view.attempt for view in sorted(views, key=rank)[: room - 1]}
    return [view for view in views if view.attempt in chosen], len(views) - len(chosen)


def holder_of(view: "AttemptView") -> str:
    """Who holds a host that it waits for."""
    if view.refused is None or view.outcome is not None:
        return ""
    return view.refused.sentence


def news_of(view: "AttemptView", gpus: Gpus) -> tuple[object, str]:
    """A line for a log, and what of it is news: a change of state, every tenth of a fetch or of the measuring."""
    at_ns = max(view.stage_since_ns, view.phase_since_ns or 0, view.ended_at_ns or 0)
    what, said = what_of(view), ""
    # What an attempt came to is told once, not again while it is collected and released.
    key: tuple[object, ...] = (what, view.stage if view.outcome is None else None)
    if view.outcome in NO_FIGURE:
        said = reason_of(view)
    elif view.outcome is not None:
        said = f"{figure(view.value)} {view.unit}" + (" (simulated)" if view.simulated else "")
    elif view.stage is Stage.FETCHING and view.fetching:
        fetch = view.fetching[-1]
        share = fetch.done_bytes / fetch.total_bytes if fetch.total_bytes else None
        tenth = int(share * 10) if share is not None else fetch.done_bytes >> 30
        key, at_ns = (*key, fetch.name, tenth), max(at_ns, fetch.at_ns)
        said = f"{fetch.name} {f'{share:.0%}' if share is not None else binary_size(fetch.done_bytes)}"
    elif view.stage is Stage.RUNNING and (view.progress or view.rate):
        key, at_ns, said = _live_news(view, gpus, key, at_ns)
    elif holder_of(view):
        said = holder_of(view)
        key = (*key, said)
    elif view.detail:
        key, said = (*key, view.detail), view.detail
    where = f" on {hosts_of(view)}" if view.hosts else ""
    return key, f"{times.iso(at_ns)} {view.matrix}/{view.name}{where}: {what}" + (f": {said}" if said else "")


def _live_news(
    view: "AttemptView", gpus: Gpus, key: tuple[object, ...], at_ns: int
) -> tuple[tuple[object, ...], int, str]:
    parts = []
    if view.progress is not None and view.progress.fraction is not None:
        key, at_ns = (*key, int(view.progress.fraction * 10)), max(at_ns, view.progress.at_ns)
        parts.append(f"{view.progress.fraction:.0%} of {view.progress.total:g} {view.progress.counts}".rstrip())
    if view.rate is not None:
        mean = f", mean {figure(view.rate.mean)}" if view.rate.mean is not None else ""
        key, at_ns = (*key, "rate"), max(at_ns, view.rate.at_ns)
        parts.append(f"{figure(view.rate.value)} {view.rate.unit}{mean}")
    return key, at_ns, ", ".join([*parts, *details_of(view, gpus)])
