"""JUnit XML: a suite per host, a case per finding. Unknown is an error, a warning is told in the case's output."""

import re
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from console.health.report import HostHealth, Report, area_of
from console.model.finding import Finding, State

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> str:
    """The report as JUnit XML."""
    suites = [_suite(host, report.at_ns) for host in report.hosts]
    tests = sum(len(host.findings) for host in report.hosts)
    totals = f'tests="{tests}" failures="{_count(report, State.FAIL)}" errors="{_count(report, State.UNKNOWN)}"'
    body = "\n".join(suites)
    body = _NOT_XML.sub("\ufffd", body)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="instinct health" {totals}>\n{body}\n</testsuites>\n'
    )


def _suite(host: HostHealth, at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    waived = sum(1 for finding in host.findings if finding.waived)
    head = (
        f"  <testsuite name={quoteattr(host.host)} hostname={quoteattr(host.host)} timestamp={quoteattr(at)} "
        f'tests="{len(host.findings)}" failures="{len(host.of(State.FAIL))}" errors="{len(host.of(State.UNKNOWN))}" '
        f'skipped="{waived}">'
    )
    lab = ['    <properties><property name="simulated" value="true"/></properties>'] if host.simulated else []
    return "\n".join([head, *lab, *(_case(host, finding) for finding in host.findings), "  </testsuite>"])


def _case(host: HostHealth, finding: Finding) -> str:
    name = quoteattr(finding.check)
    head = f"    <testcase classname={quoteattr(f'{host.host}.{area_of(finding)}')} name={name}"
    inner = _inner(finding)
    return f"{head}>{inner}</testcase>" if inner else f"{head}/>"


def _inner(finding: Finding) -> str:
    if finding.state is State.PASS:
        return ""
    text = escape(_text(finding))
    if finding.waived:
        return f"<skipped message={quoteattr(finding.waived)}/><system-out>{text}</system-out>"
    if finding.state is State.WARN:
        return f"<system-out>warning: {text}</system-out>"
    tag = "failure" if finding.state is State.FAIL else "error"
    return f"<{tag} type={quoteattr(finding.state.value)} message={quoteattr(finding.seen)}>{text}</{tag}>"


def _text(finding: Finding) -> str:
    parts = {
        "seen": finding.seen,
        "expected": finding.expected,
        "why": finding.source,
        "evidence": finding.evidence,
        "remedy": finding.remedy,
    }
    return "\n".join(f"{key}: {value}" for key, value in parts.items() if value)


def _count(report: Report, state: State) -> int:
    return sum(len(host.of(state)) for host in report.hosts)
