"""Prometheus text for the textfile collector of node_exporter."""

from collections.abc import Iterable

from console.health.check import EXIT_CODES, SEVERITY
from console.health.report import HostHealth, Report, area_of
from console.model.finding import State


def render(report: Report) -> str:
    """States as 0 pass, 1 warn, 2 fail, 3 unknown, as the exit code has them; a lab's hosts carry `simulated="1"`."""
    lines = [
        "# HELP instinct_health_host_state State of a host: 0 pass, 1 warn, 2 fail, 3 unknown.",
        "# TYPE instinct_health_host_state gauge",
        *(_line("host_state", _host(host), EXIT_CODES[host.state]) for host in report.hosts),
        "# HELP instinct_health_check_state Worst state of a check that counts: 0 pass, 1 warn, 2 fail, 3 unknown.",
        "# TYPE instinct_health_check_state gauge",
        *_checks(report),
        "# HELP instinct_health_findings Findings that count, by state.",
        "# TYPE instinct_health_findings gauge",
        *(
            _line("findings", {**_host(host), "state": state.value}, len(host.of(state)))
            for host in report.hosts
            for state in SEVERITY
        ),
        "# HELP instinct_health_waived Findings that do not count: suppressed, acknowledged, not checkable.",
        "# TYPE instinct_health_waived gauge",
        *(_line("waived", _host(host), sum(1 for finding in host.findings if finding.waived)) for host in report.hosts),
        "# HELP instinct_health_checked_timestamp_seconds When the hosts were looked at.",
        "# TYPE instinct_health_checked_timestamp_seconds gauge",
        f"instinct_health_checked_timestamp_seconds {report.at_ns // 1_000_000_000}",
    ]
    return "\n".join(lines) + "\n"


def _checks(report: Report) -> Iterable[str]:
    for host in report.hosts:
        worst: dict[tuple[str, str], State] = {}
        for finding in host.findings:
            if not finding.waived:
                key = (finding.check, area_of(finding))
                worst[key] = max(worst.get(key, State.PASS), finding.state, key=SEVERITY.index)
        for (check, area), state in worst.items():
            yield _line("check_state", {**_host(host), "check": check, "area": area}, EXIT_CODES[state])


def _host(host: HostHealth) -> dict[str, str]:
    return {"host": host.host, **({"simulated": "1"} if host.simulated else {})}


def _line(name: str, labels: dict[str, str], value: int) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"instinct_health_{name}{{{inner}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
