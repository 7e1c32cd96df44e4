"""A health report for people: what is wrong, what was expected, and one line for all hosts with the same remedy."""

import textwrap
from collections.abc import Sequence

import msgspec

from console.cli import printing
from console.cli.printing import Column
from console.fleet.ranges import fold
from console.health.check import SEVERITY
from console.health.report import HostHealth, Report, area_of, checks, remedies
from console.model.finding import Check, Finding, State

_WORST_FIRST = tuple(reversed(SEVERITY))
_SHOWN_FIRST = (*(state.value for state in _WORST_FIRST), *(f"({state.value})" for state in _WORST_FIRST))
_WAIVED = "does not count: "
_EXPLAINED = ("id", "area", "required", "explain", "detail", "source")


class Line(msgspec.Struct, frozen=True):
    """What is shown of one finding, or of several that could not be read for the same reason."""

    host: str
    state: str
    check: str
    seen: str
    expected: str
    evidence: str


def print_report(report: Report, *, everything: bool = False) -> None:
    """The findings that count (all of them with `everything`), worst hosts and states first; a summary on stderr."""
    hosts = sorted(report.hosts, key=lambda host: -SEVERITY.index(host.state))
    rows = [row for host in hosts for row in _rows(host, everything=everything)]
    width = printing.terminal_width()
    if width is not None:
        _print_blocks(rows, width)
    elif rows:
        printing.table(
            [Column(name) for name in Line.__struct_fields__], [msgspec.structs.astuple(row) for row in rows]
        )
    steps = remedies(report)
    if steps:
        printing.data("")
        for step in steps:
            printing.data(f"{_named(step.hosts)}: {step.remedy}")
    printing.note(summary(report))


def summary(report: Report) -> str:
    """One line: how many hosts are in which state, and what does not count."""
    counts = {state: sum(1 for host in report.hosts if host.state is state) for state in _WORST_FIRST}
    parts = [f"{number} {state.value}" for state, number in counts.items() if number]
    waived = sum(1 for host in report.hosts for finding in host.findings if finding.waived)
    simulated = ", simulated" if any(host.simulated for host in report.hosts) else ""
    hosts = "1 host" if len(report.hosts) == 1 else f"{len(report.hosts)} hosts"
    text = f"{hosts}: {', '.join(parts) or 'none'}{simulated}"
    if not waived:
        return text
    findings = "1 finding does" if waived == 1 else f"{waived} findings do"
    return f"{text}; {findings} not count (suppressed, acknowledged, advised, not checkable): --all shows them"


def print_explanation(check: Check) -> None:
    """What a check looks at and why."""
    required = "what it cannot read counts as unknown" if check.required else "what it cannot read is only shown"
    printing.data(f"{check.id} ({check.area})")
    printing.data(f"  {check.explain}; {required}")
    if check.detail:
        printing.data(f"  {check.detail}")
    if check.source:
        printing.data(f"  source: {check.source}")


def print_checks(chosen: Sequence[Check]) -> None:
    """Every check in a line."""
    columns = [Column("check"), Column("area"), Column("required"), Column("says", shrink=True)]
    printing.table(columns, [(check.id, check.area, check.required, check.explain) for check in chosen])


def print_classes(name: str, *, as_json: bool = False) -> bool:
    """A fault class of the kernel log; False when there is none of that name."""
    from console.health.kernel_log import BY_ID

    rule = BY_ID.get(name.removeprefix("kernel.log."))
    if rule is None:
        return False
    if as_json:
        words = {"id": rule.id, "category": rule.category, "state": rule.state, "means": rule.means}
        printing.json_rows("classes", [{**words, "pattern": rule.pattern.pattern, "remedy": rule.remedy}])
        return True
    printing.data(f"kernel.log.{rule.id} ({rule.category}, {rule.state.value})")
    printing.data(f"  {rule.means}")
    printing.data(f"  lines: {rule.pattern.pattern}")
    printing.data(f"  remedy: {rule.remedy}")
    return True


def explain(name: str, *, as_json: bool = False) -> bool:
    """Print what a check, an area or a fault class means; `all` lists every check. False for an unknown name."""
    known = checks()
    one = [known[name]] if name in known else []
    inside = [check for check in known.values() if check.area == name or check.id.startswith(f"{name}.")]
    chosen = list(known.values()) if name == "all" else one or inside
    if not chosen:
        return print_classes(name, as_json=as_json)
    if as_json:
        printing.json_rows("checks", [{field: getattr(check, field) for field in _EXPLAINED} for check in chosen])
    elif name == "all":
        print_checks(chosen)
    else:
        for check in chosen:
            print_explanation(check)
    return True


def _print_blocks(rows: Sequence[Line], width: int) -> None:
    """For a person at a terminal, gravest first: nothing is cut, and what is the same of several hosts is said once."""
    same: dict[tuple[str, str, str, str], list[Line]] = {}
    for row in sorted(rows, key=lambda row: _SHOWN_FIRST.index(row.state)):
        same.setdefault((row.state, row.check, row.seen, row.expected), []).append(row)
    for (state, check, seen, expected), found in same.items():
        hosts = list(dict.fromkeys(row.host for row in found))
        wanted = expected if expected.startswith(_WAIVED) else f"expected {expected}" if expected != "-" else ""
        proofs = list(dict.fromkeys(row.evidence for row in found if row.evidence != "-" and row.evidence not in seen))
        where = f"{found[0].host}: " if len(proofs) > 1 else ""
        printing.data(textwrap.fill(f"{_named(hosts)}  {state}  {check}", width, subsequent_indent="  "))
        for text in (seen, wanted, f"{where}{proofs[0]}" if proofs else ""):
            if text:
                printing.data(textwrap.fill(text, max(width, 30), initial_indent="  ", subsequent_indent="    "))


def _rows(host: HostHealth, *, everything: bool) -> list[Line]:
    rows: list[Line] = []
    for state in _WORST_FIRST:
        if state is State.PASS and not everything:
            continue
        found = [item for item in host.findings if item.state is state and (everything or not item.waived)]
        rows += _collapsed(host.host, found) if state is State.UNKNOWN and not everything else map(_row, found)
    return rows


def _row(finding: Finding) -> Line:
    state = f"({finding.state.value})" if finding.waived else finding.state.value
    expected = f"{_WAIVED}{finding.waived}" if finding.waived else finding.expected or "-"
    return Line(finding.host, state, finding.check, finding.seen, expected, finding.evidence or "-")


def _collapsed(host: str, found: Sequence[Finding]) -> list[Line]:
    """What could not be read for one and the same reason is one line."""
    reasons: dict[str, list[Finding]] = {}
    for finding in found:
        reasons.setdefault(finding.evidence or finding.check, []).append(finding)
    rows: list[Line] = []
    for reason, several in reasons.items():
        if len(several) == 1:
            rows.append(_row(several[0]))
            continue
        areas = ", ".join(dict.fromkeys(area_of(item) for item in several))
        seen = f"{len(several)} checks could not read anything: {reason}"
        rows.append(Line(host, State.UNKNOWN.value, areas, seen, "-", ", ".join(item.check for item in several)))
    return rows


def _named(hosts: Sequence[str]) -> str:
    return ", ".join(hosts if len(hosts) <= 2 else fold(hosts))
