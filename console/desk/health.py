"""Hosts held against their profiles: over facts of any origin, of this machine, and of bundles. Loads no SSH."""

import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from console import __version__
from console.catalog.shelf import Catalog
from console.desk import acks as kept_acks
from console.desk import desk
from console.desk.errors import DeskError
from console.desk.loop import finished
from console.desk.settings import Settings
from console.fleet.capture import CaptureError, facts_from
from console.fleet.host import Fleet, Host
from console.fleet.link import LinkError
from console.fleet.local import LocalLink
from console.fleet.probe.survey import survey
from console.health.expectation import adjusted
from console.health.report import (
    HostHealth,
    Report,
    Selection,
    Waiver,
    choose,
    judge,
    names_a_check,
    state_of,
    unreachable,
)
from console.model.facts import HostFacts, Known, value_or
from console.model.finding import Ack, Case, Finding, State
from console.model.names import gpu_name
from console.model.profile import Expectation, GpuSpec, ServerProfile

GRACE_S = 0.5
"""Of a deadline, kept back for judging and printing."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the hosts. `server` holds every host against this profile instead of its own.

    `tools=False` leaves amd-smi out (quicker, and fewer facts). `deadline_s`: what is not known by then is unknown.
    """

    selection: Selection = Selection()
    expect_idle: bool = False
    server: str | None = None
    tools: bool = True
    deadline_s: float | None = None


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """A look at hosts: facts of those that answered, and a verdict of its own for those that did not."""

    facts: Mapping[str, HostFacts]
    failed: Mapping[str, HostHealth] = {}


class Judging:
    """Everything that facts are held against, read once."""

    def __init__(self, settings: Settings, fleet: Fleet | None, question: Question) -> None:
        self._question = question
        self._checks = choose(question.selection)
        self._catalog = desk.catalog(settings, fleet)
        self._settings = settings
        self._acks = kept_acks.load(settings)
        self._server = self._catalog.server(question.server) if question.server else None

    def look_up_acks(self) -> None:
        """Take up what was acknowledged since. Raises DeskError."""
        self._acks = kept_acks.load(self._settings)

    def report(self, hosts: Sequence[Host], looked: Looked) -> Report:
        """The report over these hosts, in their order."""
        healths = [self.host(host, looked) for host in hosts]
        return Report(at_ns=time.time_ns(), version=__version__, hosts=tuple(healths))

    def host(self, host: Host, looked: Looked) -> HostHealth:
        """One host beside the others that were looked at."""
        facts = looked.facts.get(host.name)
        if facts is None:
            return looked.failed.get(host.name) or unreachable(host.name, "it was not looked at", state=State.UNKNOWN)
        spec = gpu_spec(self._catalog, facts)
        case = Case(
            facts=facts,
            profile=profile_of(self._catalog, host, facts, spec, self._server),
            gpu=spec,
            peers=looked.facts,
            acks=self._of(host.name),
            expect_idle=self._question.expect_idle,
        )
        waivers = [Waiver(check=item.check, reason=item.reason, until=item.until) for item in host.suppress]
        health = judge(case, self._checks, self._question.selection, waivers, today=datetime.now(UTC).date())
        return _with_idle_waivers(health, waivers)

    def profile(self, host: Host, facts: HostFacts) -> ServerProfile | None:
        """What a host is held against."""
        return profile_of(self._catalog, host, facts, gpu_spec(self._catalog, facts), self._server)

    def _of(self, host: str) -> tuple[Ack, ...]:
        return tuple(ack for ack in self._acks if ack.host == host)


def _with_idle_waivers(health: HostHealth, waivers: Sequence[Waiver]) -> HostHealth:
    """A suppression that names no check suppresses nothing: its author should know."""
    wrong = tuple(
        Finding(
            check="profile.suppress",
            host=health.host,
            state=State.WARN,
            seen=f"the fleet file suppresses {waiver.check!r}, which is no check",
            expected="a name of `instinct health --explain all`",
            source="the fleet file",
            remedy="instinct health --explain all   # then correct the fleet file",
        )
        for waiver in waivers
        if not names_a_check(waiver.check)
    )
    if not wrong:
        return health
    found = (*health.findings, *wrong)
    return msgspec.structs.replace(health, findings=found, state=state_of(found))


def gpu_spec(catalog: Catalog, facts: HostFacts) -> GpuSpec | None:
    """The specification of a host's GPUs by their device id; None when unknown or mixed."""
    gpus = value_or(facts.gpus, ())
    specs = {spec.name: spec for gpu in gpus if (spec := catalog.gpu_of_device(gpu.device_id)) is not None}
    return next(iter(specs.values())) if len(specs) == 1 else None


def profile_of(
    catalog: Catalog, host: Host, facts: HostFacts, spec: GpuSpec | None, server: ServerProfile | None = None
) -> ServerProfile | None:
    """What a host should be: its server profile with its own exceptions, or those alone. Raises UnknownName."""
    named = server or (catalog.server(host.server) if host.server else None)
    if named is not None:
        return adjusted(named, host.expect) if host.expect else named
    return _own(host.expect, facts, spec) if host.expect else None


def _own(expect: tuple[Expectation, ...], facts: HostFacts, spec: GpuSpec | None) -> ServerProfile:
    """A profile of nothing but a host's own expectations: of all else, what the host has is what it should have."""
    gpus = value_or(facts.gpus, ())
    model = gpus[0].model.value if gpus and isinstance(gpus[0].model, Known) else ""
    return ServerProfile(
        name=facts.host,
        title=f"{facts.host} as the fleet file has it",
        gpu=spec.name if spec else gpu_name(model),
        gpus=len({gpu.device_bdf or gpu.bdf for gpu in gpus}),
        cpu="any",
        sockets=1,
        source="the fleet file",
        expect=expect,
    )


def check_local(settings: Settings, question: Question) -> Report:
    """This machine: no SSH, no agent, no network; the fleet file only when there is one."""
    host, fleet = local_host(settings)
    judging = Judging(settings, fleet, question)
    return judging.report([host], finished(look_local(host, question)))


async def look_local(host: Host, question: Question) -> Looked:
    """The probe on this machine."""
    until = None if question.deadline_s is None else max(0.1, question.deadline_s - GRACE_S)
    try:
        facts = await survey(LocalLink(host), host, tools=question.tools, deadline_s=until)
    except LinkError as error:
        return Looked(facts={}, failed={host.name: unreached(error)})
    return Looked(facts={host.name: facts})


def local_host(settings: Settings) -> tuple[Host, Fleet | None]:
    """This machine as the fleet file has it (address "local", or its name), else as nobody has described it."""
    name = socket.gethostname().partition(".")[0] or "localhost"
    bare = Host(name=name, address="local")
    try:
        present = settings.fleet.value.is_file()
    except OSError:  # a home folder that may not be entered
        return bare, None
    if not present:
        if settings.fleet.origin != "default":
            raise DeskError(f"{settings.fleet.value}: no such fleet file")
        return bare, None
    fleet = desk.fleet(settings)
    found = next((host for host in fleet.hosts if host.local), None)
    found = found or next((host for host in fleet.hosts if host.name == name), None)
    return (msgspec.structs.replace(found, address="local") if found else bare), fleet


def check_bundles(settings: Settings, paths: Iterable[Path], question: Question) -> Report:
    """Hosts of bundles, or of folders laid out as a host's root. Raises CaptureError."""
    hosts, looked, fleet = look_bundles(settings, paths)
    return Judging(settings, fleet, question).report(hosts, looked)


def look_bundles(settings: Settings, paths: Iterable[Path]) -> tuple[tuple[Host, ...], Looked, Fleet | None]:
    """Facts of bundles and folders, and the hosts as the fleet file has them where it does."""
    try:
        fleet = desk.fleet(settings) if settings.fleet.value.is_file() else None
    except OSError:
        fleet = None
    described = {host.name: host for host in fleet.hosts} if fleet else {}
    hosts: dict[str, Host] = {}
    facts: dict[str, HostFacts] = {}
    for path in paths:
        found = facts_from(path, of=described.get(path.name) if path.is_dir() else None)
        if found.host in facts:
            raise CaptureError(
                f"{path}: a second capture of {found.host}; its facts came from {facts[found.host].origin}"
            )
        facts[found.host] = found
        hosts[found.host] = described.get(found.host) or Host(name=found.host, address="local")
    return tuple(hosts.values()), Looked(facts=facts), fleet


def unreached(error: LinkError) -> HostHealth:
    """The verdict over a host that could not be asked: down or away is a failure, not being let in is not knowing."""
    state = State.FAIL if error.transport else State.UNKNOWN
    remedy = error.remedy or f"instinct hosts test {error.host}"
    return unreachable(error.host, error.message, remedy=remedy, state=state)
