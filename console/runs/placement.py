"""Which GPUs, groups and paths of a host an attempt gets. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from console.fleet.host import Host
from console.model.facts import Gpu, HostFacts, Known, value_or
from console.model.launch import GpuSeat, Need, Seat
from console.model.profile import ModelCard, ServerProfile
from console.runs.fabric import Fabric, choose, free_port
from console.workloads.fabric import NO_WISH, FabricWish

FIRST_RENDER_NODE = 128
NO_FABRIC = Fabric()


def seats_of(
    hosts: Sequence[Host],
    facts: Mapping[str, HostFacts],
    need: Need,
    model: ModelCard,
    wish: FabricWish = NO_WISH,
) -> tuple[Seat, ...]:
    """Seats in rank order; several hosts also get what they reach each other by, and the first a free port."""
    if len(hosts) < 2:
        return tuple(seat_of(rank, host, facts[host.name], need, model) for rank, host in enumerate(hosts))
    fabric = choose([facts[host.name] for host in hosts], wish)
    seats = tuple(
        seat_of(rank, host, facts[host.name], need, model, fabric[host.name]) for rank, host in enumerate(hosts)
    )
    port = free_port(facts[hosts[0].name], need.ports[0]) if need.ports else None
    return (msgspec.structs.replace(seats[0], port=port), *seats[1:])


def seat_of(rank: int, host: Host, facts: HostFacts, need: Need, model: ModelCard, fabric: Fabric = NO_FABRIC) -> Seat:
    """The seat of an attempt on a surveyed host: the emptiest GPUs first, then by PCI address.

    A host without known GPUs gets a seat without devices; preflight says what that means.
    """
    known = value_or(facts.gpus, ())
    chosen = _choose(known, need.gpus)
    kfd = value_or(facts.driver.kfd_present, False)
    return Seat(
        rank=rank,
        host=host.name,
        address=None if host.local else host.address,
        gpus=tuple(GpuSeat(gpu.bdf, gpu.render_node.value) for gpu in chosen if isinstance(gpu.render_node, Known)),
        all_gpus=len(chosen) == len(known),
        kfd=kfd and need.gpus > 0,
        groups=_groups(facts, chosen) if kfd and need.gpus > 0 else (),
        model_cache=None if model.inside_image else host.model_cache,
        scratch=host.scratch,
        infiniband=bool(value_or(facts.infiniband, ())),
        interface=fabric.interface,
        ip=fabric.ip,
        hcas=fabric.hcas,
        gid_index=fabric.gid_index,
        shared=fabric.shared,
        rails=fabric.rails,
        provider_mounts=fabric.provider_mounts,
    )


def seat_on_paper(rank: int, server: ServerProfile, need: Need, model: ModelCard, cache: str) -> Seat:
    """The seat on a server that is only described: render nodes in their usual order, groups not known."""
    gpus = tuple(GpuSeat("", f"/dev/dri/renderD{FIRST_RENDER_NODE + index}") for index in range(need.gpus))
    return Seat(
        rank=rank,
        host=server.name if need.nodes == 1 else f"{server.name}-{rank}",
        gpus=gpus,
        all_gpus=need.gpus == server.gpus,
        kfd=need.gpus > 0,
        model_cache=None if model.inside_image else cache,
        infiniband=True,
    )


def _choose(gpus: Iterable[Gpu], count: int) -> tuple[Gpu, ...]:
    ordered = sorted(gpus, key=lambda gpu: (_used(gpu), gpu.bdf))
    return tuple(sorted(ordered[:count], key=lambda gpu: gpu.bdf))


def _used(gpu: Gpu) -> int:
    """Used VRAM in whole GiB, so that a driver's own few MiB do not reorder idle GPUs."""
    return value_or(gpu.vram_used_bytes, 0) >> 30


def _groups(facts: HostFacts, gpus: Iterable[Gpu]) -> tuple[int, ...]:
    found = {gpu.render_gid.value for gpu in gpus if isinstance(gpu.render_gid, Known)}
    if isinstance(facts.driver.kfd_gid, Known):
        found.add(facts.driver.kfd_gid.value)
    # root's group needs no adding
    return tuple(sorted(found - {0}))
