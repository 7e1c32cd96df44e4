"""One health check of a fleet: which checks, held against which hosts, and what it comes to."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

import console.health.rules  # noqa: F401 - importing it registers every rule
from console.health.check import EXIT_CODES, SEVERITY, check_of, evaluate, registry
from console.model.finding import Case, Check, Finding, State

__all__ = [
    "REACHABLE",
    "HostHealth",
    "Remedy",
    "Report",
    "Selection",
    "UnknownCheck",
    "Waiver",
    "area_of",
    "check_of",
    "checks",
    "choose",
    "exit_code",
    "fails_on",
    "judge",
    "names_a_check",
    "remedies",
    "state_of",
    "unreachable",
]

REACHABLE = "host.reachable"
FailOn = Literal["warn", "unknown", "fail"]


class UnknownCheck(Exception):
    """No check or area is called that; the nearest names are in the message."""


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """A check silenced on purpose, up to and including a day."""

    check: str
    reason: str
    until: date


class HostHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks say of one host. `answered` is false when it could not be looked at."""

    host: str
    findings: tuple[Finding, ...]
    state: State
    answered: bool = True
    simulated: bool = False

    def of(self, *states: State) -> tuple[Finding, ...]:
        """The findings of these states that count."""
        return tuple(item for item in self.findings if item.state in states and not item.waived)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Every host that was asked for, worst first as far as order matters to people. Time is UTC nanoseconds, ours."""

    at_ns: int
    version: str
    hosts: tuple[HostHealth, ...]

    @property
    def state(self) -> State:
        """The worst host's; no host at all is unknown."""
        return max((host.state for host in self.hosts), key=SEVERITY.index, default=State.UNKNOWN)


class Remedy(msgspec.Struct, frozen=True):
    """One step and every host it would help, with the checks it answers."""

    remedy: str
    checks: tuple[str, ...]
    hosts: tuple[str, ...]


class Selection(msgspec.Struct, frozen=True):
    """Which checks are run and shown: names, areas, beginnings of names (`gpu`), and patterns (`pcie.*`)."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def takes(self, check: Check) -> bool:
        """Whether a check is run at all: part of it may be asked for."""
        wanted = not self.only or any(_touches(name, check) for name in self.only)
        return wanted and not any(_covers(name, check.id, check.area) for name in self.skip)

    def shows(self, finding: Finding, area: str) -> bool:
        """Whether a finding of a check that was run is kept."""
        wanted = not self.only or any(_covers(name, finding.check, area) for name in self.only)
        return wanted and not any(_covers(name, finding.check, area) for name in self.skip)


def checks() -> Mapping[str, Check]:
    """Every check by id."""
    return registry()


def choose(selection: Selection) -> tuple[Check, ...]:
    """The checks of a selection. Raises UnknownCheck for a name that fits none."""
    known = registry()
    for name in (*selection.only, *selection.skip):
        if not names_a_check(name):
            names = [*known, *dict.fromkeys(check.area for check in known.values())]
            near = get_close_matches(name, names, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else "; instinct health --explain all lists them"
            raise UnknownCheck(f"no check or area is called {name!r}{hint}")
    chosen = tuple(check for check in known.values() if selection.takes(check))
    if not chosen:
        raise UnknownCheck("what is to be left out leaves no check")
    return chosen


def judge(
    case: Case,
    chosen: Iterable[Check],
    selection: Selection,
    waivers: Sequence[Waiver] = (),
    *,
    today: date | None = None,
) -> HostHealth:
    """The findings of one host and what they come to. A waiver past its day no longer holds, and says so."""
    kept = tuple(_waived(finding, waivers, today) for check in chosen for finding in _asked_for(check, case, selection))
    return HostHealth(host=case.facts.host, findings=kept, state=state_of(kept), simulated=case.facts.simulated)


def _asked_for(check: Check, case: Case, selection: Selection) -> tuple[Finding, ...]:
    """The findings of a check that were asked for; what it says of the whole where none of those turned up."""
    found = evaluate([check], case)
    shown = tuple(finding for finding in found if selection.shows(finding, check.area))
    asked = [name for name in selection.only if name.startswith(f"{check.id}.")]
    whole = tuple(finding for finding in found if finding.check == check.id)
    if shown or whole:
        return shown or whole
    if asked and not check.classes:  # nobody knows whether there is such a thing to find
        return ()
    passed = Finding(
        check=asked[0] if asked else check.id,
        host=case.facts.host,
        state=State.PASS,
        seen=f"{check.id} found nothing of what was asked for",
        expected=check.explain,
        source=check.source,
    )
    return (passed,)


def names_a_check(name: str) -> bool:
    """Whether a name means any check, area, beginning or pattern; a fault class counts by its check."""
    return name == REACHABLE or any(_touches(name, check) for check in registry().values())


def unreachable(host: str, why: str, *, remedy: str = "", state: State = State.FAIL) -> HostHealth:
    """A host that could not be looked at: one finding of its own, and nothing else is claimed of it."""
    finding = Finding(
        check=REACHABLE,
        host=host,
        state=state,
        seen=why,
        expected="an answer",
        source="what cannot be asked is not healthy",
        remedy=remedy,
    )
    return HostHealth(host=host, findings=(finding,), state=state, answered=False)


def state_of(findings: Sequence[Finding]) -> State:
    """The gravest state of those that count. Only waived ones are a pass; none at all is unknown."""
    if not findings:
        return State.UNKNOWN
    counting = [finding.state for finding in findings if not finding.waived]
    return max(counting, key=SEVERITY.index, default=State.PASS)


def exit_code(report: Report) -> int:
    """0 pass, 1 warn, 2 fail, 3 unknown."""
    return EXIT_CODES[report.state]


def fails_on(report: Report, level: FailOn) -> bool:
    """For job prologues: whether the worst is at least this bad; unknown stands between warn and fail."""
    return SEVERITY.index(report.state) >= SEVERITY.index(State(level))


def remedies(report: Report) -> tuple[Remedy, ...]:
    """What to do, one line for all hosts with the same step, the step that helps most hosts first."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for host in report.hosts:
        for finding in host.of(State.FAIL, State.UNKNOWN, State.WARN):
            if finding.remedy:
                names, hosts = found.setdefault(finding.remedy, ({}, {}))
                names[finding.check] = None
                hosts[host.host] = None
    lines = [Remedy(step, tuple(names), tuple(hosts)) for step, (names, hosts) in found.items()]
    return tuple(sorted(lines, key=lambda line: -len(line.hosts)))


def area_of(finding: Finding) -> str:
    """The area of the check a finding belongs to."""
    check = check_of(finding)
    return check.area if check is not None else "host"


def _touches(name: str, check: Check) -> bool:
    if _covers(name, check.id, check.area):
        return True
    inside = name.startswith(f"{check.id}.")
    if not inside or not check.classes:
        return inside
    return any(fnmatchcase(each, name.removeprefix(f"{check.id}.")) for each in check.classes)


def _covers(name: str, check: str, area: str) -> bool:
    return name in (check, area) or check.startswith(f"{name}.") or ("*" in name and fnmatchcase(check, name))


def _waived(finding: Finding, waivers: Sequence[Waiver], today: date | None) -> Finding:
    if finding.state is State.PASS or finding.waived or today is None:
        return finding
    for waiver in waivers:
        if not _covers(waiver.check, finding.check, area_of(finding)):
            continue
        if today <= waiver.until:
            note = f"suppressed until {waiver.until.isoformat()}: {waiver.reason}"
            return msgspec.structs.replace(finding, waived=note)
        ended = f"its suppression ended on {waiver.until.isoformat()} ({waiver.reason})"
        return msgspec.structs.replace(finding, evidence="; ".join(filter(None, (finding.evidence, ended))))
    return finding
