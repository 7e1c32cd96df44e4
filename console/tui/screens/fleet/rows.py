"""Rows of the Fleet screen: pure, from views of hosts and of what runs on them."""

from collections.abc import Sequence

from console.desk.fleet_board import FleetTotals, HostView
from console.desk.views import AttemptView
from console.model.attempt import Stage
from console.model.finding import State
from console.model.units import duration
from console.tui import marks
from console.tui.marks import Role, Span
from console.tui.widgets.grid import Cell, Column, Row, text_of
from console.tui.words import figure, until

HOT_C, TOO_HOT_C = 90, 100
"""Where a junction is said to be warm, and where AMD's GPUs begin to slow down."""

COLUMNS = (
    Column("host", "host", 15, grow=2),
    Column("state", "state", 11),
    Column("health", "health", 9),
    Column("busy", "busy", 8),
    Column("vram", "VRAM", 8, rank=5),
    Column("power", "power", 7, right=True, rank=4),
    Column("hottest", "hot", 6, right=True, rank=3),
    Column("now", "runs now", 18, grow=6),
    Column("amdgpu", "amdgpu", 8, rank=6),
    Column("bios", "BIOS", 6, rank=7),
    Column("rocm", "ROCm", 6, rank=8),
    Column("gpus", "GPUs", 10, rank=9),
    Column("draw", "of cap", 8, rank=10),
    Column("nps", "NPS", 3, rank=11),
    Column("os", "OS", 18, rank=12),
    Column("kernel", "kernel", 18, rank=13),
)
"""At 80 columns host, state, health, busy, hot and what runs are left."""
_NOW = ((0, 18), (125, 28), (165, 44))
"""How wide what runs is at least, by the width of the table."""


def columns(width: int) -> tuple[Column, ...]:
    """The columns for a table of so many cells: the wider it is, the more is said of what runs."""
    least = max(wide for from_width, wide in _NOW if width >= from_width)
    return tuple(column._replace(width=least) if column.key == "now" else column for column in COLUMNS)


def row(host: HostView, work: Sequence[AttemptView], now_ns: int, key: str = "") -> Row:
    """One host; `key` when a host has several rows."""
    facts = host.row
    known = facts is not None and host.surveyed_at_ns is not None
    old: Role = "dim" if host.state in ("no answer", "stale") else ""
    cells: tuple[Cell, ...] = (
        (host.name, "dim" if host.state == "asking" else "bold"),
        marks.HOST[host.state].span,
        health(host),
        bars([_share(gpu.busy_percent, 100) for gpu in host.gpus], old),
        bars([_share(gpu.vram_used_bytes, gpu.vram_total_bytes) for gpu in host.gpus], old),
        (f"{facts.power_w / 1000:.2f} kW" if facts and facts.power_w is not None else "", old),
        celsius(facts.hottest_c if facts else None, old),
        now(host, work, now_ns),
        (facts.amdgpu if facts and known else "", old),
        (facts.bios if facts and known else "", old),
        (facts.rocm.partition("-")[0] if facts and known else "", old),
        (facts.gpus if facts and known else "", old),
        bars([_share(gpu.power_w, gpu.power_cap_w) for gpu in host.gpus], old),
        (facts.nps if facts and known else "", old),
        (facts.os if facts and known else "", old),
        (facts.kernel if facts and known else "", old),
    )
    return Row(key or host.name, cells)


def bars(shares: Sequence[float | None], old: Role = "") -> Cell:
    """One level for each GPU; those near the top stand out, those at rest stand back."""
    if old:
        return marks.columns(shares), old
    spans: list[Span] = []
    for share in shares:
        role: Role = "unknown" if share is None else "busy" if share >= 0.05 else "dim"
        if spans and spans[-1][1] == role:
            spans[-1] = spans[-1][0] + marks.column(share), role
        else:
            spans.append((marks.column(share), role))
    return tuple(spans)


def health(host: HostView) -> Span:
    """The verdict and how many findings it rests on."""
    if host.health is None:
        return ("", "") if host.state == "asking" else ("-", "dim")
    mark = marks.HEALTH[host.health]
    counts = {State.FAIL: host.counts.failed, State.WARN: host.counts.warned, State.UNKNOWN: host.counts.unknown}
    number = counts.get(host.health, 0)
    return f"{mark.text}{f' {number}' if number else ''}", mark.role if host.state != "no answer" else "dim"


def now(host: HostView, work: Sequence[AttemptView], now_ns: int) -> Cell:
    """What runs there, with its tokens/s; else why there is no answer, else the gravest finding."""
    if host.state == "no answer":
        return (f"{away(host, now_ns)}: ", "dim"), (host.why, "fail")
    if host.state == "asking":
        return f"connecting{f', try {host.tries}' if host.tries > 1 else ''} …", "dim"
    if work:
        more: tuple[Span, ...] = ((f"  +{len(work) - 1}", "dim"),) if len(work) > 1 else ()
        return (*attempt(work[0]), *more)
    if host.state == "stale":
        return f"no readings: {host.why}", "warn"
    if host.row is not None and host.row.running:
        return host.row.running, "accent"
    if host.findings:
        return short(host.findings[0]), marks.HEALTH[host.health].role if host.health else "dim"
    return "idle", "dim"


def short(finding: str) -> str:
    """A finding of a view without the name of its check."""
    return finding.partition(": ")[2] or finding


def away(host: HostView, now_ns: int) -> str:
    """How long a host has been away, and what is tried."""
    since = duration((now_ns - host.since_ns) / 1e9) if host.since_ns else "away"
    if host.trying:
        return f"{since}, trying now"
    if host.retry_at_ns is None:
        return f"{since}, waits for you"
    return f"{since}, try {host.tries + 1} {until(host.retry_at_ns, now_ns)}"


def attempt(view: AttemptView) -> tuple[Span, ...]:
    """What an attempt does, its speed first: where room is short that is what stays."""
    doing = view.phase.value if view.stage is Stage.RUNNING and view.phase is not None else view.stage.value
    spans: list[Span] = [(f"{marks.ACTIVE.glyph} ", "busy")]
    # a program that warms up says 0 for a while: what it does tells more
    rate = view.rate if view.rate is not None and view.rate.value else None
    if rate is not None:
        spans.append((f"{figure(rate.value)} {rate.unit} ", "accent"))
    else:
        spans.append((f"{doing} ", "busy"))
    if view.progress is not None and view.progress.fraction is not None:
        spans.append((f"{view.progress.fraction:.0%} ", ""))
    spans.append((view.cell_id, ""))
    if rate is not None:
        spans.append((f" {doing}", "dim"))
    return tuple(spans)


def heading(group: str, members: Sequence[HostView], key: str) -> Row:
    """The line above the hosts of a group: what they come to together."""
    up = sum(host.state in ("up", "simulated") for host in members)
    failing = sum(host.counts.failed > 0 and host.state != "no answer" for host in members)
    rows = [host.row for host in members if host.row is not None and host.state != "no answer"]
    powers = [item.power_w for item in rows if item.power_w is not None]
    heats = [item.hottest_c for item in rows if item.hottest_c is not None]
    busy = sum((gpu.busy_percent or 0) >= 50 for host in members for gpu in host.gpus)
    gpus = sum(len(host.gpus) for host in members)
    cells: list[Cell] = [""] * len(COLUMNS)
    cells[0] = (f"{'@' + group if group else 'no group'}", "accent")
    cells[1] = (f"{up}/{len(members)} up", "dim")
    cells[2] = (f"{marks.HEALTH[State.FAIL].glyph} {failing}", "fail") if failing else ("", "")
    cells[3] = (f"{busy}/{gpus}", "dim")
    cells[5] = (f"{sum(powers) / 1000:.1f} kW" if powers else "", "dim")
    cells[6] = celsius(max(heats, default=None), "dim")
    return Row(key, tuple(cells))


def totals(fleet: FleetTotals, running: int) -> list[Span]:
    """The line on top: the whole fleet in figures."""
    line: list[Span] = [(f" {fleet.hosts} host{'s' if fleet.hosts != 1 else ''}  ", "bold")]
    counts: tuple[tuple[int, str, str, Role], ...] = (
        (fleet.up, marks.HOST["up"].glyph, "up", "ok"),
        (fleet.asking, marks.HOST["asking"].glyph, "asking", "dim"),
        (fleet.stale, marks.HOST["stale"].glyph, "stale", "warn"),
        (fleet.missing, marks.HOST["no answer"].glyph, "away", "fail"),
        (fleet.failing, marks.HEALTH[State.FAIL].glyph, "failing", "fail"),
        (fleet.warned, marks.HEALTH[State.WARN].glyph, "warned", "warn"),
    )
    line += [(f"{glyph} {number} {word}  ", role) for number, glyph, word, role in counts if number]
    if fleet.gpus:
        share = fleet.busy_gpus / fleet.gpus
        line += [("GPUs ", "dim"), (marks.bar(share, 10), "busy"), (f" {fleet.busy_gpus}/{fleet.gpus} busy  ", "")]
    if fleet.power_w is not None:
        line.append((f"{fleet.power_w / 1000:.1f} kW  ", ""))
    if running:
        line.append((f"{marks.ACTIVE.glyph} {running} attempt{'s' if running > 1 else ''} at work", "busy"))
    return line


def markdown(rows: Sequence[Row], *, simulated: bool = False) -> str:
    """Rows as a Markdown table; a note of the lab's figures goes with it."""
    lines = ["Simulated: every figure comes from the embedded lab.\n"] if simulated else []
    lines += ["| " + " | ".join(column.title for column in COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for item in rows:
        cells = [text_of(cell).replace("|", "\\|").strip() for cell in item.cells]
        lines.append("| " + " | ".join([*cells, *[""] * (len(COLUMNS) - len(cells))]) + " |")
    return "\n".join(lines) + "\n"


def celsius(value: float | None, old: Role = "") -> Span:
    """A junction's temperature."""
    if value is None:
        return "", ""
    role: Role = "fail" if value >= TOO_HOT_C else "warn" if value >= HOT_C else ""
    return f"{value:.0f} °C", old or role


def _share(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of else None
