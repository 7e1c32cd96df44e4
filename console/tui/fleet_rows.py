"""Rows of the Fleet screen: pure, from views of hosts and of what runs on them."""

from collections.abc import Mapping, Sequence
from typing import Any

from console.desk.fleet_board import GpuLive, HostView
from console.desk.views import AttemptView
from console.model.attempt import Stage
from console.model.finding import State
from console.tui import marks
from console.tui.marks import Role, Span
from console.tui.widgets.grid import Cell, Column, Row, text_of
from console.tui.words import ago, figure, until

COLUMNS = (
    Column("host", "host", 15, grow=2),
    Column("state", "state", 11),
    Column("health", "health", 9),
    Column("busy", "busy", 8, rank=2),
    Column("vram", "vram", 8, rank=5),
    Column("power", "power", 7, right=True, rank=4),
    Column("hottest", "hot", 5, right=True, rank=3),
    Column("now", "runs now", 18, grow=6),
    Column("amdgpu", "amdgpu", 8, rank=7),
    Column("rocm", "ROCm", 6, rank=8),
    Column("bios", "BIOS", 6, rank=9),
    Column("gpus", "GPUs", 10, rank=6),
    Column("os", "OS", 14, rank=10),
    Column("kernel", "kernel", 18, rank=11),
)
_SORTS = ("", *(column.key for column in COLUMNS))
_GRAVITY = {State.FAIL: 0, State.UNKNOWN: 1, State.WARN: 2, State.PASS: 3}


class FleetTable:
    """How the hosts are ordered, grouped and filtered. The default order is the fleet file's."""

    def __init__(self) -> None:
        self.sort = ""
        self.down = False
        self.grouped = False
        self.filter = ""
        self.shown = 0

    def sort_next(self, by: int) -> None:
        """The next column, or the fleet file's order again."""
        self.sort = _SORTS[(_SORTS.index(self.sort) + by) % len(_SORTS)]
        self.down = self.sort in _LARGEST_FIRST

    def sort_by(self, column: str, *, down: bool | None = None) -> None:
        """By a column; asked for again, the other way around."""
        if down is None:
            down = not self.down if column == self.sort else column in _LARGEST_FIRST
        self.sort, self.down = column, down

    def rows(self, hosts: Sequence[HostView], work: Mapping[str, Sequence[AttemptView]], now_ns: int) -> list[Row]:
        """The rows to show."""
        kept = [host for host in hosts if matches(host, self.filter)]
        self.shown = len(kept)
        if self.sort:
            kept.sort(key=lambda host: _key(host, self.sort, work), reverse=self.down)
            # whoever has nothing to be sorted by comes last either way
            kept.sort(key=lambda host: _key(host, self.sort, work) is _NOTHING)
        if not self.grouped:
            return [row(host, work.get(host.name, ()), now_ns) for host in kept]
        groups: dict[str, list[HostView]] = {}
        for host in kept:
            for group in host.groups or ("",):
                groups.setdefault(group, []).append(host)
        made = []
        for group, members in sorted(groups.items()):
            made.append(Row(f"@{group}", ((f"@{group or 'no group'}  {len(members)}", "bold"),)))
            made += [row(host, work.get(host.name, ()), now_ns) for host in members]
        return made


def matches(host: HostView, text: str) -> bool:
    """Every word must be found in name, state, versions or findings; `!word` must not; `@group`; `state:word`."""
    return all(_matches(host, word) for word in text.lower().split())


def _matches(host: HostView, word: str) -> bool:
    if word.startswith("!") and len(word) > 1:
        return not _matches(host, word[1:])
    if word.startswith("@"):
        return any(group.lower().startswith(word[1:]) for group in host.groups)
    state, health = host.state, host.health.value if host.health else ""
    if word.startswith("state:"):
        return word[6:] in (state, health) or state.startswith(word[6:]) or health.startswith(word[6:])
    row = host.row
    texts = [host.name, state, health, host.why, *host.findings]
    if row is not None:
        texts += [row.gpus, row.bios, row.os, row.kernel, row.amdgpu, row.rocm, row.partition, row.running]
    return any(word in text.lower() for text in texts)


def row(host: HostView, work: Sequence[AttemptView], now_ns: int) -> Row:
    """One host."""
    facts = host.row
    known = facts is not None and host.surveyed_at_ns is not None
    away = host.state in ("no answer", "asking")
    old: Role = "dim" if host.state in ("no answer", "stale") else ""
    cells: tuple[Cell, ...] = (
        (host.name, "bold" if not away else ""),
        marks.HOST[host.state].span,
        health(host),
        (marks.columns([_share(gpu.busy_percent, 100) for gpu in host.gpus]), old or "busy"),
        (marks.columns([_vram(gpu) for gpu in host.gpus]), old or "busy"),
        (f"{facts.power_w / 1000:.2f} kW" if facts and facts.power_w is not None else "", old),
        _hottest(facts.hottest_c if facts else None, old),
        now(host, work, now_ns),
        (facts.amdgpu if facts and known else "", old),
        (facts.rocm if facts and known else "", old),
        (facts.bios if facts and known else "", old),
        (facts.gpus if facts and known else "", old),
        (facts.os if facts and known else "", old),
        (facts.kernel if facts and known else "", old),
    )
    return Row(host.name, cells)


def health(host: HostView) -> Span:
    """The verdict and how many findings it rests on."""
    if host.health is None:
        return ("", "") if host.state == "asking" else ("-", "dim")
    mark = marks.HEALTH[host.health]
    counts = {State.FAIL: host.counts.failed, State.WARN: host.counts.warned, State.UNKNOWN: host.counts.unknown}
    number = counts.get(host.health, 0)
    return f"{mark.text}{f' {number}' if number else ''}", mark.role


def now(host: HostView, work: Sequence[AttemptView], now_ns: int) -> Cell:
    """What runs there, with its tokens/s; else why there is no answer, else the gravest finding."""
    if host.state == "no answer":
        again = f", again {until(host.retry_at_ns, now_ns)}" if host.retry_at_ns else ""
        since = f"for {ago(host.since_ns, now_ns)}" if host.since_ns else ""
        return (f"{since}{again}: ", "dim"), (host.why, "fail")
    if host.state == "asking":
        return f"connecting{f', try {host.tries}' if host.tries > 1 else ''} …", "dim"
    if work:
        return tuple(span for view in work[:1] for span in attempt(view))
    if host.state == "stale":
        return f"no readings: {host.why}", "warn"
    if host.row is not None and host.row.running:
        return host.row.running, "accent"
    if host.findings:
        return host.findings[0], marks.HEALTH[host.health].role if host.health else "dim"
    return "idle", "dim"


def attempt(view: AttemptView) -> tuple[Span, ...]:
    """What an attempt does, in a few words."""
    doing = view.phase.value if view.stage is Stage.RUNNING and view.phase is not None else view.stage.value
    spans: list[Span] = [(f"{marks.ACTIVE.glyph} ", "busy"), (f"{view.cell_id} ", ""), (doing, "dim")]
    if view.rate is not None:
        spans.append((f" {figure(view.rate.value)} {view.rate.unit}", "accent"))
    if view.progress is not None and view.progress.fraction is not None:
        spans.append((f" {view.progress.fraction:.0%}", "dim"))
    return tuple(spans)


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(column.title for column in COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for item in rows:
        if len(item.cells) == len(COLUMNS):
            lines.append("| " + " | ".join(text_of(cell).replace("|", "\\|").strip() for cell in item.cells) + " |")
    return "\n".join(lines) + "\n"


def _share(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of else None


def _vram(gpu: GpuLive) -> float | None:
    return _share(gpu.vram_used_bytes, gpu.vram_total_bytes)


def _hottest(celsius: float | None, old: Role) -> Span:
    if celsius is None:
        return "", ""
    role: Role = "fail" if celsius >= 100 else "warn" if celsius >= 90 else ""
    return f"{celsius:.0f} °C", old or role


class _Nothing:
    """Sorts after everything; alike with itself."""

    def __lt__(self, other: object) -> bool:
        return False


_NOTHING = _Nothing()
_LARGEST_FIRST = ("busy", "vram", "power", "hottest")


def _key(host: HostView, column: str, work: Mapping[str, Sequence[AttemptView]]) -> Any:
    value = _value(host, column, work)
    return _NOTHING if value is None or value == "" else value


def _value(host: HostView, column: str, work: Mapping[str, Sequence[AttemptView]]) -> Any:
    facts = host.row
    if column == "host":
        return host.name
    if column == "state":
        return ("no answer", "stale", "asking", "up", "simulated").index(host.state)
    if column == "health":
        away = host.state == "no answer"
        return (not away, _GRAVITY[host.health] if host.health else 2, -host.counts.failed, -host.counts.warned)
    if column == "busy":
        known = [gpu.busy_percent for gpu in host.gpus if gpu.busy_percent is not None]
        return sum(known) / len(known) if known else None
    if column == "now":
        return not work.get(host.name), host.row.running if host.row else ""
    if facts is None:
        return None
    names = {"vram": "vram_used_bytes", "power": "power_w", "hottest": "hottest_c"}
    return getattr(facts, names.get(column, column))
