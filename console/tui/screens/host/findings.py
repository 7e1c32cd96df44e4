"""Findings of a host: the list, and one of them in full. Pure."""

from collections.abc import Sequence

from console.health.report import HostHealth
from console.model.finding import Finding, State
from console.model.text import clean_line
from console.tui import marks
from console.tui.marks import Role, Span
from console.tui.remedies import named
from console.tui.widgets.grid import Column, Row
from console.tui.widgets.lines import BLANK, Para, labelled, para

COLUMNS = (
    Column("state", "state", 10),
    Column("check", "check", 24),
    Column("seen", "seen", 28, grow=3),
    Column("expected", "should be", 18, grow=1, rank=1),
)
_RANK = {State.FAIL: 0, State.UNKNOWN: 1, State.WARN: 2, State.PASS: 3}


def ordered(health: HostHealth) -> list[Finding]:
    """Those that count first, the gravest of them on top; then what is waived; then what passed."""
    return sorted(health.findings, key=lambda item: (item.state is State.PASS, bool(item.waived), _RANK[item.state]))


def keyed(health: HostHealth | None, *, only_bad: bool = False, words: str = "") -> dict[str, Finding]:
    """Findings by the key of their row, in order; of one check several are numbered."""
    found: dict[str, Finding] = {}
    for item in ordered(health) if health is not None else ():
        if only_bad and (item.state is State.PASS or item.waived):
            continue
        if not all(word in f"{item.state} {item.check} {item.seen} {item.waived}".lower() for word in words.split()):
            continue
        key, number = item.check, 2
        while key in found:
            key, number = f"{item.check}#{number}", number + 1
        found[key] = item
    return found


def rows(found: dict[str, Finding]) -> list[Row]:
    """One row each."""
    return [row(key, item) for key, item in found.items()]


def row(key: str, item: Finding) -> Row:
    """State, check, what was seen and what it should be."""
    rests: Role = "dim" if item.waived or item.state is State.PASS else ""
    mark = marks.HEALTH[item.state]
    state: Span = (f"{mark.glyph} waived", "dim") if item.waived and item.state is not State.PASS else mark.span
    return Row(
        key,
        (
            state,
            (clean_line(item.check), rests),
            (clean_line(item.seen), rests),
            (clean_line(item.expected), "dim"),
        ),
    )


def detail(item: Finding, explain: str = "", more: str = "") -> list[Para]:
    """Everything a finding says; `explain` and `more` are the check's own words."""
    mark = marks.HEALTH[item.state]
    made = [Para((mark.span, (f"  {clean_line(item.check)}", "bold")), 2)]
    if explain:
        made.append(para(explain, "dim"))
    made += [
        labelled("seen", clean_line(item.seen, 1000), mark.role if not item.waived else ""),
        labelled("should be", clean_line(item.expected, 1000) or "nothing is expected of it"),
    ]
    for label, text, role in (
        ("because", item.source, "dim"),
        ("evidence", item.evidence, ""),
        ("waived", item.waived, "dim"),
    ):
        if text:
            made.append(labelled(label, clean_line(text, 2000), role))
    if item.remedy:
        made.append(labelled("remedy", clean_line(named(item.remedy, item.host), 1000), "accent"))
    elif item.state is not State.PASS:
        made.append(labelled("remedy", "none is known", "dim"))
    return [*made, BLANK, para(more, "dim")] if more else made


def markdown(found: Sequence[Finding], host: str, *, simulated: bool = False) -> str:
    """Findings as a Markdown list, for a ticket."""
    lines = [f"Findings of {host}{' (simulated)' if simulated else ''}:", ""]
    for item in found:
        expected = f" (should be {clean_line(item.expected)})" if item.expected else ""
        waived = f" [waived: {clean_line(item.waived)}]" if item.waived else ""
        lines.append(f"- **{item.state.value}** `{item.check}`: {clean_line(item.seen)}{expected}{waived}")
        if item.remedy:
            lines.append(f"  - `{clean_line(named(item.remedy, host))}`")
    return "\n".join(lines) + "\n"
