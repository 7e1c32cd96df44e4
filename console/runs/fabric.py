"""How the hosts of one placement reach each other: interface, addresses, RDMA devices. Pure.

What is chosen is shown in the plan and may be overruled by parameters of the row.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from console.model.facts import HostFacts, Known
from console.model.host_facts import Nic, RdmaDevice

ROCE_V2_GID_INDEX = 3
"""The RoCE v2 entry for IPv4 on Broadcom and ConnectX-7 adapters (AMD's multi-node documents)."""

_VIRTUAL = ("docker", "veth", "br-", "virbr", "cni", "flannel", "cali", "lo", "tun", "tap")


class Fabric(msgspec.Struct, frozen=True, kw_only=True):
    """One host's way to the others. None and empty where nothing fits; preflight says what that means."""

    interface: str | None = None
    ip: str | None = None
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None
    shared: str | None = None


def choose(facts: Sequence[HostFacts]) -> Mapping[str, Fabric]:
    """A fabric for each host, by name. The network is one that every host has an address in; the fastest wins."""
    network = common_network(facts)
    return {item.host: _of_host(item, network, _shared_cache(facts)) for item in facts}


def common_network(facts: Sequence[HostFacts]) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network in which every host has its own address; the one whose slowest interface is fastest, IPv4 first."""
    speeds: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, list[int]] = {}
    for item in facts:
        best: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, int] = {}
        for nic, address in _addresses(item):
            best[address.network] = max(best.get(address.network, 0), nic.speed_mbps or 0)
        for net, speed in best.items():
            speeds.setdefault(net, []).append(speed)
    shared = {net: min(found) for net, found in speeds.items() if len(found) == len(facts)}
    ordered = sorted(shared.items(), key=lambda entry: (entry[0].version, -entry[1], str(entry[0])))
    return ordered[0][0] if ordered else None


def _of_host(
    facts: HostFacts, network: ipaddress.IPv4Network | ipaddress.IPv6Network | None, shared: str | None
) -> Fabric:
    mine = next(((nic.name, str(address.ip)) for nic, address in _addresses(facts) if address.network == network), None)
    hcas = _active(facts.rdma.value if isinstance(facts.rdma, Known) else ())
    ethernet = any(layer == "Ethernet" for _, layer in hcas)
    return Fabric(
        interface=mine[0] if mine else None,
        ip=mine[1] if mine else None,
        hcas=tuple(name for name, _ in hcas),
        gid_index=ROCE_V2_GID_INDEX if ethernet else None,
        shared=shared,
    )


def _addresses(
    facts: HostFacts,
) -> Iterable[tuple[Nic, ipaddress.IPv4Interface | ipaddress.IPv6Interface]]:
    """Addresses on interfaces that carry traffic between hosts, fastest interface first, then by name."""
    nics = facts.nics.value if isinstance(facts.nics, Known) else ()
    usable = [nic for nic in nics if nic.operstate in ("up", "unknown", "") and not nic.name.startswith(_VIRTUAL)]
    for nic in sorted(usable, key=lambda item: (-(item.speed_mbps or 0), item.name)):
        for text in nic.addresses:
            try:
                address = ipaddress.ip_interface(text)
            except ValueError:
                continue
            if not (address.is_loopback or address.is_link_local):
                yield nic, address


def _active(devices: Sequence[RdmaDevice]) -> list[tuple[str, str]]:
    """`device:port` and link layer of the first active port of each device; bonds stand for devices named already."""
    found = []
    for device in sorted(devices, key=lambda item: item.name):
        if "bond" in device.name:
            continue
        for port in device.ports:
            if port.state == "ACTIVE":
                found.append((f"{device.name}:{port.number}", port.link_layer))
                break
    return found


def _shared_cache(facts: Sequence[HostFacts]) -> str | None:
    """The model cache when all hosts see the same network file system there."""
    places = [item.model_cache.value for item in facts if isinstance(item.model_cache, Known)]
    names = {place.shared_id for place in places}
    return places[0].path if len(places) == len(facts) and len(names) == 1 and None not in names else None
