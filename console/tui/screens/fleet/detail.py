"""What the Fleet screen says of the host under the cursor, beside its table. Pure."""

from collections.abc import Sequence

from console.desk.fleet_board import HostView
from console.desk.views import AttemptView
from console.health.report import HostHealth
from console.model.finding import Finding, State
from console.model.text import clean_line
from console.model.units import duration
from console.tui import marks
from console.tui.marks import Span
from console.tui.remedies import named
from console.tui.screens.fleet.rows import attempt
from console.tui.widgets.lines import BLANK, Para, labelled, para
from console.tui.words import ago, until

GRAVEST = (State.FAIL, State.UNKNOWN, State.WARN)
_LABEL = 9


def detail(
    host: HostView, health: HostHealth | None, work: Sequence[AttemptView], now_ns: int, again: str = "r"
) -> list[Para]:
    """State, what runs, findings with their remedies, what the host is. `again` is the key that looks again."""
    made = [headline(host, now_ns), *absence(host, now_ns, again)]
    made += [Para((*attempt(view),), 2) for view in work]
    found = gravest(health)
    if found:
        made.append(BLANK)
        for item in found:
            made += finding(item)
    elif host.health is not None and host.state != "no answer":
        made += [BLANK, para(f"{marks.HEALTH[State.PASS].glyph} nothing found that counts", "ok")]
    return [*made, BLANK, *hardware(host)]


def headline(host: HostView, now_ns: int) -> Para:
    """Name, state and since when, health."""
    mark = marks.HOST[host.state]
    spans: list[Span] = [(f"{host.name}  ", "bold"), mark.span]
    if host.since_ns:
        spans.append((f" for {ago(host.since_ns, now_ns)}", "dim"))
    if host.health is not None:
        spans.append(("  ", ""))
        spans.append(marks.HEALTH[host.health].span)
        if host.state == "no answer":
            spans.append((" when last seen", "dim"))
    return Para(tuple(spans), 2)


def absence(host: HostView, now_ns: int, again: str = "r") -> list[Para]:
    """Why a host does not answer, how often it was asked, when it is asked again and what a person can do."""
    if host.state not in ("no answer", "stale", "asking"):
        return []
    made = []
    if host.why:
        made.append(labelled("why", host.why, "fail" if host.state == "no answer" else "warn", width=_LABEL))
    if host.remedy:
        made.append(labelled("do", host.remedy, "accent", width=_LABEL))
    if host.trying or host.state == "asking":
        tried = f"being asked now, try {max(1, host.tries)}"
    elif host.retry_at_ns is not None:
        tried = f"asked {host.tries} times, again {until(host.retry_at_ns, now_ns)}; {again} asks now"
    else:
        tried = f"asked {host.tries} times, not again by itself; {again} asks now"
    made.append(labelled("tried", tried, "dim", width=_LABEL))
    return made


def gravest(health: HostHealth | None) -> list[Finding]:
    """Findings that count and are no pass, the gravest first."""
    return [item for state in GRAVEST for item in health.of(state)] if health is not None else []


def finding(item: Finding) -> list[Para]:
    """One finding: what was seen, what it should be, what to do."""
    mark = marks.HEALTH[item.state]
    made = [Para(((f"{mark.glyph} ", mark.role), (clean_line(item.seen, 600), ""), (f"  {item.check}", "dim")), 2)]
    if item.expected:
        made.append(labelled("  should", clean_line(item.expected, 600), width=_LABEL))
    if item.remedy:
        made.append(labelled("  do", clean_line(named(item.remedy, item.host), 600), "accent", width=_LABEL))
    return made


def hardware(host: HostView) -> list[Para]:
    """What it is, from the last look."""
    row = host.row
    if row is None or host.surveyed_at_ns is None:
        return [para("nothing is known of it yet: it has not been looked at", "dim")]
    parts = [
        f"{row.gpus} {row.partition}",
        f"{row.cpu} NPS{row.nps}",
        f"BIOS {row.bios}",
        row.os,
        f"kernel {row.kernel}",
        f"amdgpu {row.amdgpu}",
        f"ROCm {row.rocm}",
        f"Docker {row.docker}",
    ]
    return [para(" · ".join(parts) + _clock(host), "dim")]


def _clock(host: HostView) -> str:
    offset = host.clock_offset_ns
    if offset is None or abs(offset) < 1_000_000_000 + (host.round_trip_ns or 0) // 2:
        return ""  # half of the way there and back is uncertainty
    return f" · its clock is {duration(abs(offset) / 1e9)} {'ahead' if offset > 0 else 'behind'}"
