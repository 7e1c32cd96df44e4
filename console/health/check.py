"""The registry of checks over a host's facts and profile, their evaluation, and what the worst of it means."""

from collections.abc import Iterable, Mapping, Sequence

from console.model.finding import Case, Check, Finding, State

SEVERITY: tuple[State, ...] = (State.PASS, State.WARN, State.UNKNOWN, State.FAIL)
"""From harmless to worst: what could not be read is worse than a warning and better than a failure."""

EXIT_CODES: Mapping[State, int] = {State.PASS: 0, State.WARN: 1, State.FAIL: 2, State.UNKNOWN: 3}

_REGISTRY: dict[str, Check] = {}


def register(check: Check) -> Check:
    """Add a check under its id. Raises ValueError when the id is taken."""
    if check.id in _REGISTRY:
        raise ValueError(f"check {check.id!r} is registered twice")
    _REGISTRY[check.id] = check
    return check


def registry() -> Mapping[str, Check]:
    """All registered checks by id."""
    return _REGISTRY


def check_of(finding: Finding) -> Check | None:
    """The check a finding belongs to; the finding's name may go further than the check's."""
    name = finding.check
    while name and name not in _REGISTRY:
        name = name.rpartition(".")[0]
    return _REGISTRY.get(name)


def evaluate(checks: Iterable[Check], case: Case) -> tuple[Finding, ...]:
    """Every finding of every check, in the order of the checks.

    A check that yields nothing is an error of that check and becomes an unknown finding: silence is no verdict.
    """
    found: list[Finding] = []
    for check in checks:
        own = tuple(check.run(case))
        found += own or (
            Finding(
                check=check.id,
                host=case.facts.host,
                state=State.UNKNOWN,
                seen="the check said nothing",
                expected=check.explain,
            ),
        )
    return tuple(found)


def worst(findings: Sequence[Finding]) -> State:
    """The gravest state: fail, then unknown, then warn, then pass. Nothing at all is unknown, not a pass."""
    if not findings:
        return State.UNKNOWN
    return max((finding.state for finding in findings), key=SEVERITY.index)
