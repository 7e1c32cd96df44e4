"""Hosts of one placement held against each other: what one host alone cannot show. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from console.model.facts import HostFacts, Known, Unknown, value_or
from console.model.finding import Effect, Finding, State
from console.runs.fabric import Fabric, free_port
from console.runs.fabric_wires import wires
from console.workloads.fabric import NO_WISH, FabricWish

NETWORK = "cohort.network"
DRIVER = "cohort.driver"
ROCM = "cohort.rocm"
RDMA = "cohort.rdma"
GID = "cohort.gid"
MTU = "cohort.mtu"
PORT = "cohort.port"
SHARED = "cohort.shared"
CHECKS = (NETWORK, DRIVER, ROCM, RDMA, GID, MTU, PORT, SHARED)


def cohort(
    facts: Sequence[HostFacts],
    fabric: Mapping[str, Fabric],
    *,
    needs_rdma: bool = True,
    wish: FabricWish = NO_WISH,
    ports: Sequence[int] = (),
) -> tuple[Finding, ...]:
    """Findings about the hosts together; nothing to say about a single one."""
    if len(facts) < 2:
        return ()
    rdma = _rdma(facts, fabric) if needs_rdma else ()
    network = _network(facts, fabric) if wish.interface is None else _wished(facts, fabric, wish.interface)
    return (
        *network,
        *_drivers(facts),
        *rdma,
        *(_gid(fabric) if needs_rdma else ()),
        *_mtu(facts, fabric),
        *_ports(facts[0], ports),
        *_shared(facts, fabric),
    )


def _network(facts: Sequence[HostFacts], fabric: Mapping[str, Fabric]) -> list[Finding]:
    first = facts[0].host
    if fabric[first].interface is not None:
        return []
    unknown = [item.host for item in facts if isinstance(item.nics, Unknown)]
    seen = f"network interfaces not readable on {', '.join(unknown)}" if unknown else "no network all hosts are in"
    return [
        Finding(
            check=NETWORK,
            host=first,
            state=State.UNKNOWN if unknown else State.FAIL,
            seen=seen,
            expected="an interface in one network on every host",
            source="NCCL_SOCKET_IFNAME and MASTER_ADDR need it",
            remedy="name it with --set interface=NAME",
            effect=Effect.BLOCK,
        )
    ]


def _wished(facts: Sequence[HostFacts], fabric: Mapping[str, Fabric], interface: str) -> list[Finding]:
    """A name that a row gives is not doubted, but a host without such an interface could never meet the others."""
    found = []
    for item in facts:
        if fabric[item.host].interface is not None or isinstance(item.nics, Unknown):
            continue
        names = ", ".join(nic.name for nic in value_or(item.nics, ()) if nic.addresses)
        found.append(
            Finding(
                check=NETWORK,
                host=item.host,
                state=State.FAIL,
                seen=f"no interface {interface} that is up and has an address; those that have one: {names or 'none'}",
                expected="the interface of --set interface on every host",
                source="NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME name it",
                remedy="name one that every host has, or leave it to the hosts' facts",
                effect=Effect.BLOCK,
            )
        )
    return found


def _mtu(facts: Sequence[HostFacts], fabric: Mapping[str, Fabric]) -> list[Finding]:
    """Both ends of a wire must take the same frames: those that one end cannot take are lost without a word."""
    usual = Counter(rail.mtu for item in facts for rail in fabric[item.host].rails)
    odd: dict[tuple[str, str], Finding] = {}
    for wire in wires([fabric[item.host].rails for item in facts], [item.host for item in facts]):
        if wire.from_rail.mtu is None or wire.to_rail.mtu is None or wire.from_rail.mtu == wire.to_rail.mtu:
            continue
        (host, rail), (other, far) = sorted(
            ((wire.second, wire.to_rail), (wire.first, wire.from_rail)), key=lambda end: usual[end[1].mtu]
        )
        odd[host, rail.interface] = Finding(
            check=MTU,
            host=host,
            state=State.FAIL,
            seen=f"{rail.interface} has MTU {rail.mtu}",
            expected=f"{far.mtu}, as {far.interface} on {other}",
            source="frames larger than the smaller MTU are lost between them",
            remedy=f"ip link set {rail.interface} mtu {far.mtu}, and the same on the switch",
            effect=Effect.SPOIL,
        )
    return list(odd.values())


def _ports(first: HostFacts, ports: Sequence[int]) -> list[Finding]:
    """The ranks meet at a port of the first host; one that is taken is gone round."""
    found = []
    for wanted in ports[:1]:
        port = free_port(first, wanted)
        if port == wanted or not isinstance(first.listening, Known):
            continue
        found.append(
            Finding(
                check=PORT,
                host=first.host,
                state=State.WARN if port else State.FAIL,
                seen=f"port {wanted} is taken by another program",
                source="MASTER_PORT, where rank 0 listens",
                remedy=f"{port} is used instead" if port else "name one that is free with --set port=N",
                effect=Effect.NOTE if port else Effect.BLOCK,
            )
        )
    return found


def _drivers(facts: Sequence[HostFacts]) -> Iterator[Finding]:
    """One driver under all ranks; a version that cannot be read is no agreement. The host's ROCm is only noted."""
    drivers = {item.host: item.driver.amdgpu_version for item in facts}
    yield from _unlike(drivers, DRIVER, "amdgpu", "one job, one driver", Effect.SPOIL)
    rocm = {item.host: item.driver.rocm_version for item in facts}
    yield from _unlike(rocm, ROCM, "host ROCm", "programs use the image's own ROCm", Effect.NOTE)
    if mute := [host for host, version in drivers.items() if isinstance(version, Unknown)]:
        yield Finding(
            check=DRIVER,
            host=mute[0],
            state=State.UNKNOWN,
            seen=f"amdgpu's version is not known on {', '.join(mute)}",
            expected="one driver on every host",
            source="one job, one driver",
            remedy="cat /sys/module/amdgpu/version; modinfo amdgpu",
            effect=Effect.NOTE,
        )


def _unlike(
    found: Mapping[str, Known[str] | Unknown], check: str, what: str, source: str, effect: Effect
) -> Iterator[Finding]:
    """Hosts that differ from the first one that is known."""
    versions = {host: version.value for host, version in found.items() if isinstance(version, Known)}
    first, expected = next(iter(versions.items()), ("", ""))
    for host, version in versions.items():
        if version != expected:
            yield Finding(
                check=check,
                host=host,
                state=State.WARN if effect is Effect.NOTE else State.FAIL,
                seen=f"{what} {version}",
                expected=f"{expected}, as on {first}",
                source=source,
                remedy="bring the hosts to one driver release",
                effect=effect,
            )


def _rdma(facts: Sequence[HostFacts], fabric: Mapping[str, Fabric]) -> list[Finding]:
    counts = {item.host: len(fabric[item.host].hcas) for item in facts}
    most = max(counts.values())
    found = []
    for item in facts:
        count = counts[item.host]
        if count == most and most > 0:
            continue
        unknown = isinstance(item.rdma, Unknown) and not isinstance(item.infiniband, Known)
        found.append(
            Finding(
                check=RDMA,
                host=item.host,
                state=State.UNKNOWN if unknown else State.FAIL,
                seen="RDMA devices not readable" if unknown else f"{count} active RDMA ports",
                expected=f"{most} as on the other hosts" if most else "RDMA between the hosts",
                source="without RDMA the collectives fall back to sockets",
                remedy="look at the ports: rdma link, /sys/class/infiniband/*/ports/*/state",
                effect=Effect.SPOIL,
            )
        )
    return found


def _gid(fabric: Mapping[str, Fabric]) -> list[Finding]:
    """One index serves all devices of a host; those without a routed entry there cannot be reached."""
    return [
        Finding(
            check=GID,
            host=host,
            state=State.WARN,
            seen=f"GID {of.gid_index} is no routed RoCE v2 entry of {', '.join(of.unlike_gid)}",
            expected="one entry with an address for all RDMA devices: NCCL_IB_GID_INDEX is one number",
            source="/sys/class/infiniband/*/ports/*/gids and gid_attrs/types",
            remedy="give their interfaces addresses, name an index with --set gid_index=N, or devices with --set hcas=",
            effect=Effect.NOTE,
        )
        for host, of in fabric.items()
        if of.unlike_gid
    ]


def _shared(facts: Sequence[HostFacts], fabric: Mapping[str, Fabric]) -> list[Finding]:
    if fabric[facts[0].host].shared is not None:
        return []
    return [
        Finding(
            check=SHARED,
            host=facts[0].host,
            state=State.WARN,
            seen="the model cache is no network file system that all hosts share",
            expected="one shared folder for data caches",
            source="Megatron-LM: DATA_CACHE_PATH must be shared between nodes",
            remedy="set model_cache to a shared path in the fleet file",
            effect=Effect.NOTE,
        )
    ]
