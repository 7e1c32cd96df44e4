"""Hosts of one placement held against each other: what one host alone cannot show. Pure."""

from collections.abc import Mapping, Sequence

from console.model.facts import HostFacts, Known, Unknown
from console.model.finding import Effect, Finding, State
from console.runs.fabric import Fabric

NETWORK = "cohort.network"
DRIVER = "cohort.driver"
RDMA = "cohort.rdma"
SHARED = "cohort.shared"


def cohort(facts: Sequence[HostFacts], fabric: Mapping[str, Fabric], *, needs_rdma: bool = True) -> tuple[Finding, ...]:
    """Findings about the hosts together; nothing to say about a single one."""
    if len(facts) < 2:
        return ()
    rdma = _rdma(facts, fabric) if needs_rdma else ()
    return (*_network(facts, fabric), *_drivers(facts), *rdma, *_shared(facts, fabric))


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


def _drivers(facts: Sequence[HostFacts]) -> list[Finding]:
    versions = {
        item.host: item.driver.amdgpu_version.value for item in facts if isinstance(item.driver.amdgpu_version, Known)
    }
    if len(set(versions.values())) < 2:
        return []
    first = facts[0].host
    expected = versions.get(first, "")
    return [
        Finding(
            check=DRIVER,
            host=host,
            state=State.FAIL,
            seen=f"amdgpu {version}",
            expected=f"{expected}, as on {first}",
            source="one job, one driver",
            remedy="bring the hosts to one driver release",
            effect=Effect.SPOIL,
        )
        for host, version in versions.items()
        if version != expected
    ]


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
