"""The line of a Nagios plugin with performance data; more lines follow for people."""

from console.health.report import Report
from console.model.finding import Finding, State
from console.model.text import some

_WORDS = {State.PASS: "OK", State.WARN: "WARNING", State.FAIL: "CRITICAL", State.UNKNOWN: "UNKNOWN"}
_SHOWN = 3


def render(report: Report) -> str:
    """Status word, what is worst, performance data; then one line for each finding that counts."""
    bad = [
        finding
        for state in (State.FAIL, State.UNKNOWN, State.WARN)
        for host in report.hosts
        for finding in host.of(state)
    ]
    total = len(report.hosts)
    healthy = sum(1 for host in report.hosts if host.state is State.PASS)
    text = f"INSTINCT {_WORDS[report.state]} - {healthy} of {total} hosts pass"
    if simulated := sum(1 for host in report.hosts if host.simulated):
        text += f" ({simulated} simulated)"
    if bad:
        text += ": " + some((f"{finding.host} {finding.check}" for finding in bad), _SHOWN)
    counts = {state: sum(1 for host in report.hosts if host.state is state) for state in _WORDS}
    perfdata = [
        f"hosts={total};;;0;",
        f"pass={counts[State.PASS]};;;0;{total}",
        f"warn={counts[State.WARN]};0;;0;{total}",
        f"fail={counts[State.FAIL]};;0;0;{total}",
        f"unknown={counts[State.UNKNOWN]};;;0;{total}",
        f"findings={len(bad)};;;0;",
    ]
    lines = [f"{_plain(text)} | {' '.join(perfdata)}", *(_line(finding) for finding in bad)]
    return "\n".join(lines) + "\n"


def _line(finding: Finding) -> str:
    return _plain(f"{_WORDS[finding.state]} {finding.check}: {finding.sentence()}")


def _plain(text: str) -> str:
    """A bar would begin performance data."""
    return text.replace("|", "/")
