"""What differs between hosts, and between a host and its profile or most of its kind."""

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from console.desk import status
from console.desk.status import UNKNOWN
from console.health.report import HostHealth
from console.health.rules.peers import ASPECTS, kind
from console.model.facts import HostFacts, Unknown, value_or
from console.model.finding import State
from console.model.names import same_text


class Difference(msgspec.Struct, frozen=True):
    """One thing in which two sides differ."""

    what: str
    left: str
    right: str


def differences(left: HostFacts, right: HostFacts) -> tuple[Difference, ...]:
    """What two hosts do not have in common; a value unknown on one side only is a difference too."""
    found = []
    for what, read in COMPARED.items():
        one, other = read(left) or UNKNOWN, read(right) or UNKNOWN
        if not same_text(one, other):
            found.append(Difference(what, one, other))
    return tuple(found)


def against_majority(host: HostFacts, fleet: Mapping[str, HostFacts]) -> tuple[Difference, ...]:
    """What a host does not have in common with most hosts of its kind (itself among them)."""
    alike = [facts for facts in fleet.values() if kind(facts) == kind(host)] or [host]
    found = []
    for what, read in COMPARED.items():
        counts = Counter(value for facts in alike if (value := read(facts)) is not None)
        own = read(host) or UNKNOWN
        if not counts:
            continue
        usual, number = counts.most_common(1)[0]
        if number > len(alike) / 2 and not same_text(own, usual):
            found.append(Difference(what, own, f"{usual} ({number} of {len(alike)})"))
    return tuple(found)


def against_profile(health: HostHealth) -> tuple[Difference, ...]:
    """What a host does not have in common with its profile, published figures and advice included."""
    return tuple(
        Difference(finding.check, finding.seen, finding.expected)
        for finding in health.findings
        if finding.state is not State.PASS and finding.expected and not finding.check.startswith("bios.")
    )


def _cpu_text(facts: HostFacts) -> str | None:
    text = status.cpu(facts)
    return None if text == UNKNOWN else text


COMPARED: Mapping[str, Callable[[HostFacts], str | None]] = {
    "product": lambda facts: value_or(facts.system.product, None),
    "cpu": _cpu_text,
    "gpu models": lambda facts: None if isinstance(facts.gpus, Unknown) else status.models(facts),
    **ASPECTS,
}
