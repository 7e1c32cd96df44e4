"""Which hosts a cell may be placed on, and what preflight says of them. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from console.catalog.shelf import Catalog
from console.fleet.host import Host
from console.health.check_ids import CheckId
from console.health.expectation import adjusted
from console.health.preflight import preflight
from console.model.cell import AnyCell
from console.model.facts import HostFacts, Known, value_or
from console.model.finding import Effect, Finding, State
from console.model.launch import Need
from console.model.profile import Image, ModelCard
from console.runs.cohort import cohort
from console.runs.fabric import choose
from console.runs.request import Request
from console.workloads.base import WorkloadError, registry
from console.workloads.fabric import wish_of


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A cell with all that says what it asks of its hosts."""

    cell: AnyCell
    image: Image
    model: ModelCard
    need: Need


def fitting(
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
    hindrances = {host.name: _hindrance(job, request, host, surveys, catalog) for host in wish}
    fit = [host for host in wish if hindrances[host.name] is None]
    facts = {name: item for name, item in surveys.items() if not isinstance(item, str)}
    kin = _alike(cell, fit, facts, catalog)
    if len(kin) < cell.nodes:
        return wish, ()
    notes = [_left_out(name, item) for name, item in hindrances.items() if item is not None]
    other = [host for host in fit if host not in kin]
    return kin, [*notes, *(_unlike(host, facts[host.name], catalog) for host in other)]


def _hindrance(
    job: Job, request: Request, host: Host, surveys: Mapping[str, HostFacts | str], catalog: Catalog
) -> Finding | None:
    """Why a host would refuse the cell as things are, or None."""
    facts = surveys.get(host.name, "not surveyed")
    if isinstance(facts, str):
        return block("reachable", host.name, facts)
    passing = {CheckId.GPU_FREE, CheckId.GPU_CONTAINERS} if request.busy_wait_s else set()
    passing |= {CheckId.MODEL_CACHED} if request.fetch else set()
    for item in _judge_host(job, host, facts, catalog):
        spoils = item.effect is Effect.SPOIL and item.check not in request.accept
        if (item.effect is Effect.BLOCK or spoils) and item.check not in passing:
            return item
    return None


def _left_out(host: str, why: Finding) -> Finding:
    return Finding(
        check="hosts",
        host=host,
        state=State.WARN,
        seen=f"left out: {why.seen}",
        remedy=why.remedy,
        effect=Effect.NOTE,
    )


def _unlike(host: Host, facts: HostFacts, catalog: Catalog) -> Finding:
    driver = value_or(facts.driver.amdgpu_version, "unknown")
    return Finding(
        check="hosts",
        host=host.name,
        state=State.WARN,
        seen=f"left out: {_gpu(host, facts, catalog) or 'its GPU'} with amdgpu {driver} is unlike the others",
        remedy=f"--hosts {host.name} runs it there",
        effect=Effect.NOTE,
    )


def _alike(cell: AnyCell, hosts: Sequence[Host], facts: Mapping[str, HostFacts], catalog: Catalog) -> tuple[Host, ...]:
    """Hosts with the GPU the matrix is about, where there are any; for several nodes the most that share a driver."""
    matrix = catalog.matrices.get(cell.matrix)
    server = catalog.servers.get(matrix.server) if matrix else None
    same_gpu = [host for host in hosts if server and _gpu(host, facts[host.name], catalog) == server.gpu]
    chosen = same_gpu if len(same_gpu) >= cell.nodes else list(hosts)
    if cell.nodes == 1:
        return tuple(chosen)
    groups: dict[tuple[str | None, str | None], list[Host]] = {}
    for host in chosen:
        driver = value_or(facts[host.name].driver.amdgpu_version, "")
        groups.setdefault((_gpu(host, facts[host.name], catalog), driver), []).append(host)
    largest = max(groups.values(), key=len, default=[])  # no host may have answered
    return tuple(largest if len(largest) >= cell.nodes else chosen)


def _gpu(host: Host, facts: HostFacts, catalog: Catalog) -> str | None:
    """The GPU model of a host by its devices, else by its profile."""
    if isinstance(facts.gpus, Known) and facts.gpus.value:
        spec = catalog.gpu_of_device(facts.gpus.value[0].device_id)
        if spec is not None:
            return spec.name
    profile = catalog.servers.get(host.server) if host.server else None
    return profile.gpu if profile else None


def judge_hosts(
    job: Job, hosts: Sequence[Host], facts: Mapping[str, HostFacts], catalog: Catalog
) -> tuple[Finding, ...]:
    """Preflight of each host, and of the hosts together when there are several."""
    alone = [item for host in hosts for item in _judge_host(job, host, facts[host.name], catalog)]
    group = [facts[host.name] for host in hosts]
    wish = wish_of(job.cell.params)
    return (
        *alone,
        *cohort(group, choose(group, wish), needs_rdma=job.need.needs_rdma, wish=wish, ports=job.need.ports),
    )


def _judge_host(job: Job, host: Host, facts: HostFacts, catalog: Catalog) -> tuple[Finding, ...]:
    """With the profile and the GPU specification that apply to the host."""
    server = catalog.servers.get(host.server) if host.server else None
    gpu = catalog.gpus.get(server.gpu) if server else None
    if gpu is None and isinstance(facts.gpus, Known) and facts.gpus.value:
        gpu = catalog.gpu_of_device(facts.gpus.value[0].device_id)
    expected = adjusted(server, host.expect) if server else None
    return preflight(job.need, facts, expected, gpu, job.model, job.image.ref, matrix=job.cell.matrix)


def block(check: str, host: str, seen: str) -> Finding:
    """A finding of the plan itself that keeps a row from starting."""
    return Finding(check=check, host=host, state=State.FAIL, seen=seen, effect=Effect.BLOCK)
