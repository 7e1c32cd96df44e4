"""What a request comes to: every attempt with its containers, times, disk needs and findings. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from console.catalog.errors import suggestion
from console.catalog.selection import select
from console.catalog.shelf import Catalog, adapt
from console.fleet.host import Host
from console.health.check_ids import CheckId
from console.health.expectation import adjusted
from console.health.preflight import preflight
from console.model.cell import AnyCell
from console.model.facts import HostFacts, Known
from console.model.finding import Effect, Finding, State
from console.model.launch import Launch, Need, Placement, Seat
from console.model.profile import Image, ModelCard, ServerProfile
from console.runs.cohort import DRIVER, NETWORK, RDMA, SHARED, cohort
from console.runs.compose import Owner, compose
from console.runs.fabric import choose
from console.runs.placement import seat_on_paper, seats_of
from console.runs.schedule import interleave
from console.workloads.base import Workload, WorkloadError, registry

DOWNLOAD_BYTES_PER_S = 125e6
"""Assumed for fetch estimates: 1 Gbit/s, the slowest link such servers usually have."""

PAPER_CACHE = "/data/huggingface"


class PlanError(Exception):
    """A request that cannot be planned at all: unknown names, nothing selected, no host."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for; journaled with the run so that it can be taken up again."""

    matrices: tuple[str, ...]
    hosts: str | None = None
    only: str | None = None
    image: str | None = None
    changes: Mapping[str, str] = {}
    place: Literal["each", "spread"] = "each"
    repeat: int = 1
    if_busy: str = "skip"
    """`skip`, `wait`, or `wait=SECONDS`."""
    accept: tuple[str, ...] = ()
    all_or_none: bool = False
    until_ns: int | None = None
    label: str = ""
    fetch: bool = False
    server: str | None = None

    @property
    def busy_wait_s(self) -> float:
        """How long to wait for a host that somebody holds; infinite for `wait`."""
        if self.if_busy == "skip":
            return 0.0
        _, _, seconds = self.if_busy.partition("=")
        return float(seconds) if seconds else float("inf")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A cell with all that says what it asks of its hosts."""

    cell: AnyCell
    image: Image
    model: ModelCard
    need: Need


class PlannedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to be. `launch` is None when the cell cannot be composed; a finding says why."""

    cell: AnyCell
    image: Image
    model: ModelCard
    hosts: tuple[str, ...]
    repeat: int
    need: Need | None
    launch: Launch | None
    findings: tuple[Finding, ...]
    fetch_bytes: int = 0

    @property
    def expected_s(self) -> float | None:
        """Measuring time by the reference, seconds; None where there is nothing to estimate from."""
        return self.need.measure_s if self.need else None

    @property
    def startup_s(self) -> float:
        """Start-up time, seconds: an assumption until this host has run the cell."""
        return self.need.startup_s if self.need else 0.0

    @property
    def fetch_s(self) -> float:
        """Time for what is still to be fetched at 1 Gbit/s, seconds."""
        return self.fetch_bytes / DOWNLOAD_BYTES_PER_S

    @property
    def disk_bytes(self) -> int:
        """Room the image and the model take on the host, bytes."""
        return (self.image.unpacked_bytes or 0) + (0 if self.model.inside_image else self.model.disk_bytes or 0)

    def effects(self, effect: Effect, accepted: Sequence[str] = ()) -> tuple[Finding, ...]:
        """Findings of one effect, without those accepted by name."""
        return tuple(item for item in self.findings if item.effect is effect and item.check not in accepted)


class Plan(msgspec.Struct, frozen=True):
    """All attempts, in the order they are tried."""

    request: Request
    attempts: tuple[PlannedAttempt, ...]


def chosen_cells(request: Request, catalog: Catalog) -> tuple[AnyCell, ...]:
    """The cells a request means, under the image and changes it asks for. Raises PlanError, the catalog's errors."""
    _check_accepted(request.accept)
    cells: list[AnyCell] = []
    for name in request.matrices:
        cells.extend(catalog.matrix(name).cells)
    picked = select(cells, request.only) if request.only else tuple(cells)
    adapted = (adapt(catalog, cell, request.image, request.changes) for cell in picked)
    return tuple(_with_deviations(cell, catalog) for cell in adapted)


def _with_deviations(cell: AnyCell, catalog: Catalog) -> AnyCell:
    """The cell with what its workload runs otherwise than published under this image."""
    said = registry()[cell.workload].deviations(cell, catalog.image(cell.image))
    more = tuple(text for text in said if text not in cell.deviations)
    return msgspec.structs.replace(cell, deviations=(*cell.deviations, *more)) if more else cell


def _check_accepted(names: Sequence[str]) -> None:
    """A name that no check has would accept nothing, and the row would be refused after all."""
    known = (*CheckId, NETWORK, DRIVER, RDMA, SHARED)
    for name in names:
        if name not in known and not name.startswith(f"{CheckId.PROFILE}."):
            raise PlanError(f"--accept: no check is called {name!r}{suggestion(name, known)}")


def make(request: Request, catalog: Catalog, hosts: Sequence[Host], surveys: Mapping[str, HostFacts | str]) -> Plan:
    """Plan a request on surveyed hosts; a survey that failed is its error text.

    `each` puts every cell on every host; `spread` puts each once, on the next free host of those that may run it: a
    host that refuses rows at once would be free all the time, and take them from the others.
    Raises PlanError, and the catalog's errors for names and selections.
    """
    if not hosts and request.server is None:
        raise PlanError("no hosts: give --hosts, or --server PROFILE to plan without a fleet")
    groups = []
    for cell in chosen_cells(request, catalog):
        for wish in _wishes(request, cell, hosts):
            fit, left_out = _fit(cell, request, catalog, wish, surveys)
            planned = plan_cell(cell, request, catalog, fit, surveys)
            planned = msgspec.structs.replace(planned, findings=(*planned.findings, *left_out))
            groups.append([msgspec.structs.replace(planned, repeat=index + 1) for index in range(request.repeat)])
    return Plan(request, tuple(interleave(groups)))


def _wishes(request: Request, cell: AnyCell, hosts: Sequence[Host]) -> Sequence[tuple[Host, ...]]:
    if not hosts:
        return [()]
    if request.place == "spread" or cell.nodes > 1:
        return [tuple(hosts)]
    return [(host,) for host in hosts]


def _fit(
    cell: AnyCell,
    request: Request,
    catalog: Catalog,
    wish: tuple[Host, ...],
    surveys: Mapping[str, HostFacts | str],
) -> tuple[tuple[Host, ...], Sequence[Finding]]:
    """The hosts of a wish that may run the cell, and a note on each of the others; all of them when they are too few.

    What passes by itself or is mended on the way (a busy host that is waited for, a model to fetch) is no hindrance.
    """
    if len(wish) <= cell.nodes:
        return wish, ()
    image, model = catalog.image(cell.image), catalog.model(cell.model)
    try:
        need = registry()[cell.workload].need(cell, image, model)
    except WorkloadError:
        return wish, ()  # told by the plan of the cell
    job = Job(cell=cell, image=image, model=model, need=need)
    passing = {CheckId.GPU_FREE, CheckId.GPU_CONTAINERS} if request.busy_wait_s else set()
    passing |= {CheckId.MODEL_CACHED} if request.fetch else set()
    against: dict[str, Finding] = {}
    for host in wish:
        facts = surveys.get(host.name, "not surveyed")
        found = (
            (_block("reachable", host.name, facts),)
            if isinstance(facts, str)
            else _judge_host(job, host, facts, catalog)
        )
        for item in found:
            spoils = item.effect is Effect.SPOIL and item.check not in request.accept
            if (item.effect is Effect.BLOCK or spoils) and item.check not in passing:
                against.setdefault(host.name, item)
    fit = tuple(host for host in wish if host.name not in against)
    if len(fit) < cell.nodes:
        return wish, ()
    return fit, tuple(
        Finding(
            check="hosts",
            host=name,
            state=State.WARN,
            seen=f"left out: {item.seen}",
            remedy=item.remedy,
            effect=Effect.NOTE,
        )
        for name, item in against.items()
    )


def plan_cell(
    cell: AnyCell,
    request: Request,
    catalog: Catalog,
    hosts: Sequence[Host],
    surveys: Mapping[str, HostFacts | str],
) -> PlannedAttempt:
    """One attempt of a cell on the first of its hosts; what stands in its way becomes findings."""
    image, model = catalog.image(cell.image), catalog.model(cell.model)
    workload = registry()[cell.workload]
    names = tuple(host.name for host in hosts)
    base = PlannedAttempt(
        cell=cell, image=image, model=model, hosts=names, repeat=1, need=None, launch=None, findings=()
    )
    first = names[0] if names else (request.server or "")
    try:
        need = workload.need(cell, image, model)
    except WorkloadError as error:
        return msgspec.structs.replace(base, findings=(_block("workload", first, str(error)),))
    findings = list(_support(workload, cell, first))
    server = _server(catalog, request.server)
    if hosts:
        job = Job(cell=cell, image=image, model=model, need=need)
        seats, found = _seats(job, hosts[: need.nodes], surveys, catalog)
        findings.extend(found)
        if len(hosts) < need.nodes:
            findings.append(_block("hosts", first, f"{need.nodes} hosts are needed, {len(hosts)} are selected"))
            seats = ()
    elif server is not None:
        seats = tuple(seat_on_paper(rank, server, need, model, PAPER_CACHE) for rank in range(need.nodes))
    else:
        seats = ()
    launch = None
    if len(seats) == need.nodes:
        try:
            commands = workload.commands(cell, image, model, Placement(seats))
        except WorkloadError as error:
            findings.append(_block("workload", first, str(error)))
        else:
            owner = Owner(run="planned", attempt="planned", attempt_try=1, operator="", version="")
            launch = compose(
                cell,
                image,
                need,
                commands,
                Placement(seats),
                owner,
                image_ref=image.ref,
                image_digest=full_digest(image),
            )
    return msgspec.structs.replace(
        base,
        need=need,
        launch=launch,
        findings=tuple(findings),
        fetch_bytes=_to_fetch(image, model, findings),
    )


def full_digest(image: Image) -> str | None:
    """The repository digest when the catalog knows all of it, not only a prefix."""
    return image.digest if image.digest and len(image.digest) == len("sha256:") + 64 else None


def _server(catalog: Catalog, name: str | None) -> ServerProfile | None:
    return catalog.server(name) if name else None


def _support(workload: Workload, cell: AnyCell, host: str) -> Sequence[Finding]:
    if workload.runnable:
        return ()
    return (_block("workload", host, f"{cell.workload} rows are planned and listed; this version does not run them"),)


def _seats(
    job: Job, hosts: Sequence[Host], surveys: Mapping[str, HostFacts | str], catalog: Catalog
) -> tuple[tuple[Seat, ...], list[Finding]]:
    """Seats on the hosts and what is to be said of them; no seats unless every host was surveyed."""
    answers = {host.name: surveys.get(host.name, "not surveyed") for host in hosts}
    silent = [_block("reachable", name, answer) for name, answer in answers.items() if isinstance(answer, str)]
    facts = {name: answer for name, answer in answers.items() if not isinstance(answer, str)}
    judged = judge_hosts(job, [host for host in hosts if host.name in facts], facts, catalog)
    seats = () if silent else seats_of(hosts, facts, job.need, job.model)
    return seats, [*silent, *judged]


def judge_hosts(
    job: Job, hosts: Sequence[Host], facts: Mapping[str, HostFacts], catalog: Catalog
) -> tuple[Finding, ...]:
    """Preflight of each host, and of the hosts together when there are several."""
    alone = [item for host in hosts for item in _judge_host(job, host, facts[host.name], catalog)]
    group = [facts[host.name] for host in hosts]
    return (*alone, *(cohort(group, choose(group)) if len(group) > 1 else ()))


def _judge_host(job: Job, host: Host, facts: HostFacts, catalog: Catalog) -> tuple[Finding, ...]:
    """With the profile and the GPU specification that apply to the host."""
    server = catalog.servers.get(host.server) if host.server else None
    gpu = catalog.gpus.get(server.gpu) if server else None
    if gpu is None and isinstance(facts.gpus, Known) and facts.gpus.value:
        gpu = catalog.gpu_of_device(facts.gpus.value[0].device_id)
    expected = adjusted(server, host.expect) if server else None
    return preflight(job.need, facts, expected, gpu, job.model, job.image.ref, matrix=job.cell.matrix)


def _block(check: str, host: str, seen: str) -> Finding:
    return Finding(check=check, host=host, state=State.FAIL, seen=seen, effect=Effect.BLOCK)


def _to_fetch(image: Image, model: ModelCard, findings: Sequence[Finding]) -> int:
    missing = {finding.check for finding in findings if finding.state is not State.PASS}
    total = (image.compressed_bytes or 0) if CheckId.IMAGE_PRESENT in missing else 0
    return total + ((model.disk_bytes or 0) if CheckId.MODEL_CACHED in missing else 0)


def as_json(plan: Plan) -> list[dict[str, Any]]:
    """The plan as other programs read it: one object per attempt."""
    return [_attempt_json(attempt) for attempt in plan.attempts]


def _attempt_json(attempt: PlannedAttempt) -> dict[str, Any]:
    parts = attempt.launch.parts if attempt.launch else ()
    return {
        "matrix": attempt.cell.matrix,
        "cell": attempt.cell.id,
        "image": attempt.image.ref,
        "hosts": list(attempt.hosts),
        "repeat": attempt.repeat,
        "recipe": attempt.cell.recipe,
        "nodes": [
            {
                "host": part.host,
                "rank": part.rank,
                "part": part.name,
                "argv": list(part.argv),
                "env": dict(part.env),
                "devices": list(part.devices),
                "groups": list(part.groups),
            }
            for part in parts
        ],
        "expected_s": attempt.expected_s,
        "startup_s": attempt.startup_s,
        "fetch_s": attempt.fetch_s,
        "disk_bytes": attempt.disk_bytes,
        "deviations": list(attempt.cell.deviations),
        "findings": [msgspec.to_builtins(item) for item in attempt.findings],
    }
