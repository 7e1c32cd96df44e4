"""A look at hosts for the status table: facts, problems, health beside them, and what differs. Loads no SSH."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from console.desk import health, status, status_diff
from console.desk.errors import DeskError
from console.desk.settings import Settings
from console.fleet.host import Fleet, Host
from console.health.report import HostHealth
from console.model.facts import HostFacts


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of the hosts that answered, and why the others did not."""

    hosts: tuple[Host, ...]
    facts: Mapping[str, HostFacts]
    problems: Mapping[str, str] = {}
    fleet: Fleet | None = None


def of_bundles(settings: Settings, paths: Iterable[Path]) -> Look:
    """Of bundles and folders. Raises CaptureError."""
    hosts, looked, fleet = health.look_bundles(settings, paths)
    return Look(hosts=hosts, facts=looked.facts, fleet=fleet)


def rows(settings: Settings, look: Look) -> tuple[status.StatusRow, ...]:
    """A row for every host, those without an answer first, then the worst."""
    names = [host.name for host in look.hosts]
    return status.rows(names, look.facts, look.problems, verdicts(settings, look))


def verdicts(settings: Settings, look: Look) -> Mapping[str, HostHealth]:
    """The health of every host that answered, by what was read anyway."""
    judging = health.Judging(settings, look.fleet, health.Question())
    looked = health.Looked(facts=look.facts)
    return {host.name: judging.host(host, looked) for host in look.hosts if host.name in look.facts}


def diff(settings: Settings, look: Look, left: str, right: str) -> tuple[status_diff.Difference, ...]:
    """What differs between a host and another, its profile, or most hosts of its kind. Raises DeskError."""
    one = _facts(look, left)
    if right == "fleet":
        return status_diff.against_majority(one, look.facts)
    if right == "profile":
        host = next(host for host in look.hosts if host.name == left)
        judging = health.Judging(settings, look.fleet, health.Question())
        if judging.profile(host, one) is None:
            raise DeskError(f"{left} has no server profile; name one with server = in the fleet file")
        return status_diff.against_profile(judging.host(host, health.Looked(facts={left: one})))
    return status_diff.differences(one, _facts(look, right))


def _facts(look: Look, name: str) -> HostFacts:
    if name in look.facts:
        return look.facts[name]
    if name in look.problems:
        raise DeskError(f"{name} does not answer: {look.problems[name]}")
    raise DeskError(f"{name} was not looked at; there are {', '.join(look.facts) or 'no hosts'}")
