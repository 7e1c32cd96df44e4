"""What a request comes to: every attempt with its containers, times, disk needs and findings. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from console.catalog.errors import suggestion
from console.catalog.selection import select
from console.catalog.shelf import Catalog, adapt
from console.fleet.host import Host
from console.health.check_ids import CheckId
from console.model.cell import AnyCell
from console.model.facts import HostFacts
from console.model.finding import Effect, Finding, State
from console.model.launch import Launch, Need, Placement, Seat
from console.model.profile import Image, ModelCard, ServerProfile
from console.runs.by_hand import by_hand
from console.runs.cohort import CHECKS as COHORT_CHECKS
from console.runs.compose import Owner, compose
from console.runs.fabric_report import CHECKS as FABRIC_CHECKS
from console.runs.fitness import Job, block, fitting, judge_hosts
from console.runs.placement import seat_on_paper, seats_of
from console.runs.request import Request
from console.runs.schedule import interleave
from console.workloads.base import WorkloadError, registry
from console.workloads.fabric import wish_of

DOWNLOAD_BYTES_PER_S = 125e6
"""Assumed for fetch estimates: 1 Gbit/s, the slowest link such servers usually have."""

PAPER_CACHE = "/data/huggingface"


class PlanError(Exception):
    """A request that cannot be planned at all: unknown names, nothing selected, no host."""


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

    @property
    def unsized(self) -> tuple[str, ...]:
        """Of image and model, what takes room that no source states: `disk_bytes` and `fetch_bytes` lack it."""
        needs_model = self.need is not None and self.need.model_files and not self.model.inside_image
        found = (
            ("image", self.image.unpacked_bytes is None),
            ("model", needs_model and self.model.disk_bytes is None),
        )
        return tuple(name for name, lacks in found if lacks)

    @property
    def fetches_unsized(self) -> bool:
        """Something that no source states the size of is still to be fetched."""
        missing = {finding.check for finding in self.findings if finding.state is not State.PASS}
        return (CheckId.IMAGE_PRESENT in missing and self.image.compressed_bytes is None) or (
            CheckId.MODEL_CACHED in missing and "model" in self.unsized
        )

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
    for name in dict.fromkeys(request.matrices):  # named twice is meant once: --repeat makes repeats
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
    known = (*CheckId, *COHORT_CHECKS, *FABRIC_CHECKS)
    for name in names:
        if name not in known and not name.startswith(f"{CheckId.PROFILE}."):
            raise PlanError(f"--accept: no check is called {name!r}{suggestion(name, known, len(known))}")


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
            fit, left_out = fitting(cell, request, catalog, wish, surveys)
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
        return msgspec.structs.replace(base, findings=(block("workload", first, str(error)),))
    findings: list[Finding] = []
    server = _server(catalog, request.server)
    if hosts:
        job = Job(cell=cell, image=image, model=model, need=need)
        seats, found = _seats(job, hosts[: need.nodes], surveys, catalog)
        findings.extend(found)
        if len(hosts) < need.nodes:
            findings.append(block("hosts", first, f"{need.nodes} hosts are needed, {len(hosts)} are selected"))
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
            findings.append(block("workload", first, str(error)))
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


def _seats(
    job: Job, hosts: Sequence[Host], surveys: Mapping[str, HostFacts | str], catalog: Catalog
) -> tuple[tuple[Seat, ...], list[Finding]]:
    """Seats on the hosts and what is to be said of them; no seats unless every host was surveyed."""
    answers = {host.name: surveys.get(host.name, "not surveyed") for host in hosts}
    silent = [block("reachable", name, answer) for name, answer in answers.items() if isinstance(answer, str)]
    facts = {name: answer for name, answer in answers.items() if not isinstance(answer, str)}
    judged = judge_hosts(job, [host for host in hosts if host.name in facts], facts, catalog)
    seats = () if silent else seats_of(hosts, facts, job.need, job.model, wish_of(job.cell.params))
    return seats, [*silent, *judged]


def _to_fetch(image: Image, model: ModelCard, findings: Sequence[Finding]) -> int:
    missing = {finding.check for finding in findings if finding.state is not State.PASS}
    total = (image.compressed_bytes or 0) if CheckId.IMAGE_PRESENT in missing else 0
    return total + ((model.disk_bytes or 0) if CheckId.MODEL_CACHED in missing else 0)


def as_json(plan: Plan) -> list[dict[str, Any]]:
    """The plan as other programs read it: one object per attempt."""
    return [_attempt_json(attempt) for attempt in plan.attempts]


def _seats_of(attempt: PlannedAttempt) -> tuple[Seat, ...]:
    """How several hosts reach each other; nothing for one."""
    seats = attempt.launch.placement.seats if attempt.launch else ()
    return seats if len(seats) > 1 else ()


def _attempt_json(attempt: PlannedAttempt) -> dict[str, Any]:
    parts = attempt.launch.parts if attempt.launch else ()
    hands = by_hand(attempt.launch) if attempt.launch else ()
    return {
        "matrix": attempt.cell.matrix,
        "cell": attempt.cell.id,
        "image": attempt.image.ref,
        "hosts": list(attempt.hosts),
        "repeat": attempt.repeat,
        "recipe": attempt.cell.recipe,
        "recipe_source": attempt.cell.recipe_source,
        "fabric": [msgspec.to_builtins(seat) for seat in _seats_of(attempt)],
        "nodes": [
            {
                "host": part.host,
                "rank": part.rank,
                "part": part.name,
                "argv": list(part.argv),
                "env": dict(part.env),
                "devices": list(part.devices),
                "groups": list(part.groups),
                "by_hand": {"start": hand.start, "lines": list(hand.lines)},
            }
            for part, hand in zip(parts, hands, strict=True)
        ],
        "expected_s": attempt.expected_s,
        "startup_s": attempt.startup_s,
        "fetch_s": attempt.fetch_s,
        "disk_bytes": attempt.disk_bytes,
        "unsized": list(attempt.unsized),
        "deviations": list(attempt.cell.deviations),
        "findings": [msgspec.to_builtins(item) for item in attempt.findings],
    }
