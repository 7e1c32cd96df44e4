"""JSON: everything, with a version of its form."""

import json
from datetime import UTC, datetime
from typing import Any

from console.health.report import Report, area_of, exit_code, remedies
from console.model.finding import Finding

SCHEMA_VERSION = 1


def render(report: Report) -> str:
    """The report as one JSON object, ending in a newline."""
    hosts = [
        {
            "host": host.host,
            "state": host.state.value,
            "answered": host.answered,
            "simulated": host.simulated,
            "findings": [_finding(finding) for finding in host.findings],
        }
        for host in report.hosts
    ]
    whole: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "at": datetime.fromtimestamp(report.at_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": report.version,
        "state": report.state.value,
        "exit_code": exit_code(report),
        "hosts": hosts,
        "remedies": [
            {"remedy": line.remedy, "checks": list(line.checks), "hosts": list(line.hosts)} for line in remedies(report)
        ],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "area": area_of(finding),
        "state": finding.state.value,
        "counts": not finding.waived,
        "seen": finding.seen,
        "expected": finding.expected,
        "source": finding.source,
        "evidence": finding.evidence,
        "remedy": finding.remedy,
        "waived": finding.waived,
    }
