"""How the hosts of one placement reach each other: interface, addresses, rails, RDMA devices and their libraries. Pure.

What is chosen is shown in the plan and may be overruled by parameters of the row.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from console.model.fabric import Rail
from console.model.facts import HostFacts, Known, value_or
from console.model.host_facts import Nic, RdmaDevice, RdmaPort
from console.model.launch import Mount
from console.runs.gids import choose_gid
from console.runs.providers import provider_mounts
from console.workloads.fabric import NO_WISH, FabricWish

PORTS_TRIED = 100

_VIRTUAL = ("docker", "veth", "br-", "virbr", "cni", "flannel", "cali", "lo", "tun", "tap")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Fabric(msgspec.Struct, frozen=True, kw_only=True):
    """One host's way to the others. None and empty where nothing fits; preflight says what that means.

    `unlike_gid` are RDMA devices whose GID table has no usable entry at `gid_index`.
    """

    interface: str | None = None
    ip: str | None = None
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None
    unlike_gid: tuple[str, ...] = ()
    shared: str | None = None
    rails: tuple[Rail, ...] = ()
    provider_mounts: tuple[Mount, ...] = ()


def choose(facts: Sequence[HostFacts], wish: FabricWish = NO_WISH) -> Mapping[str, Fabric]:
    """A fabric for each host, by name. The network is one that every host has an address in; the fastest wins.

    An interface that is wished for is taken on every host that has it with an address, whatever its network.
    """
    network = common_network(facts)
    return {item.host: _of_host(item, network, _shared_cache(facts), wish) for item in facts}


def common_network(facts: Sequence[HostFacts]) -> _Network | None:
    """The network in which every host has its own address; the one whose slowest interface is fastest, IPv4 first."""
    speeds: dict[_Network, list[int]] = {}
    for item in facts:
        best: dict[_Network, int] = {}
        for nic, address in _addresses(item):
            best[address.network] = max(best.get(address.network, 0), nic.speed_mbps or 0)
        for net, speed in best.items():
            speeds.setdefault(net, []).append(speed)
    shared = {net: min(found) for net, found in speeds.items() if len(found) == len(facts)}
    ordered = sorted(shared.items(), key=lambda entry: (entry[0].version, -entry[1], str(entry[0])))
    return ordered[0][0] if ordered else None


def free_port(facts: HostFacts, wanted: int) -> int | None:
    """The first port from the wanted one on that nobody listens on; None when that is not known, or none is near."""
    if not isinstance(facts.listening, Known):
        return None
    near = range(wanted, min(wanted + PORTS_TRIED, 65536))
    return next((port for port in near if port not in facts.listening.value), None)


def _of_host(facts: HostFacts, network: _Network | None, shared: str | None, wish: FabricWish) -> Fabric:
    usable = list(_addresses(facts))
    if wish.interface is None:
        mine = next(((nic, at) for nic, at in usable if at.network == network), None)
    else:
        mine = next(((nic, at) for nic, at in usable if wish.takes_interface(nic.name)), None)
    active = _active(value_or(facts.rdma, ()))
    rails = [_rail(*mine)] if mine else []
    used = {name: device for device, name in active if wish.takes_device(name)}
    for name, device in used.items():
        found = sorted(
            ((nic, at) for nic, at in usable if nic.name in device.netdevs), key=lambda item: item[1].version
        )
        if found:
            # an address is a rail once, whether it was chosen for sockets, for RDMA or for both
            rails = [rail for rail in rails if rail.address != str(found[0][1].ip)] + [_rail(*found[0], name)]
    gid = choose_gid({name: _port_of(device, name) for name, device in used.items()})
    return Fabric(
        interface=mine[0].name if mine else None,
        ip=str(mine[1].ip) if mine else None,
        hcas=tuple(name for _, name in active),
        gid_index=gid.index if wish.gid_index is None else wish.gid_index,
        unlike_gid=gid.unlike if wish.gid_index is None else (),
        shared=shared,
        rails=tuple(rails),
        provider_mounts=provider_mounts(facts, [device for device, _ in active], wish.providers),
    )


def _port_of(device: RdmaDevice, name: str) -> RdmaPort:
    """The port that `device:number` names."""
    return next(port for port in device.ports if name == f"{device.name}:{port.number}")


def _rail(nic: Nic, address: _Address, device: str = "") -> Rail:
    return Rail(interface=nic.name, address=str(address.ip), network=str(address.network), device=device, mtu=nic.mtu)


def _addresses(facts: HostFacts) -> Iterable[tuple[Nic, _Address]]:
    """Addresses on interfaces that carry traffic between hosts, fastest interface first, then by name."""
    nics = value_or(facts.nics, ())
    usable = [nic for nic in nics if nic.operstate in ("up", "unknown", "") and not nic.name.startswith(_VIRTUAL)]
    for nic in sorted(usable, key=lambda item: (-(item.speed_mbps or 0), item.name)):
        for text in nic.addresses:
            try:
                address = ipaddress.ip_interface(text)
            except ValueError:
                continue
            if not (address.is_loopback or address.is_link_local):
                yield nic, address


def _active(devices: Sequence[RdmaDevice]) -> list[tuple[RdmaDevice, str]]:
    """Devices with `device:port` of their first active port; bonds stand for devices named already."""
    found = []
    for device in sorted(devices, key=lambda item: item.name):
        if "bond" in device.name:
            continue
        for port in device.ports:
            if port.state == "ACTIVE":
                found.append((device, f"{device.name}:{port.number}"))
                break
    return found


def _shared_cache(facts: Sequence[HostFacts]) -> str | None:
    """The model cache when all hosts see the same network file system there."""
    places = [item.model_cache.value for item in facts if isinstance(item.model_cache, Known)]
    names = {place.shared_id for place in places}
    return places[0].path if len(places) == len(facts) and len(names) == 1 and None not in names else None
