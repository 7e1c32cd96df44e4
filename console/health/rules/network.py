"""RDMA ports: up, at the rate of their sisters, without errors, with large frames where they are Ethernet."""

from collections import Counter
from collections.abc import Iterable

from console.health.rules.base import Say, pairs, rule
from console.model.facts import RdmaPort, Unknown, value_or
from console.model.finding import Finding

_MTU = 9000
_TROUBLE = (
    "link_downed",
    "link_error_recovery",
    "symbol_error",
    "port_rcv_errors",
    "local_link_integrity_errors",
    "excessive_buffer_overrun_errors",
)


def _ports(say: Say) -> dict[str, RdmaPort]:
    devices = value_or(say.facts.rdma, ())
    many = {device.name for device in devices if len(device.ports) > 1}
    return {
        f"{device.name}/{port.number}" if device.name in many else device.name: port
        for device in devices
        for port in device.ports
    }


@rule(
    "network.rdma_ports",
    "network",
    "RDMA ports are up and as fast as their sisters",
    detail="A host without RDMA devices passes: say in the server's profile how many active ports it should have "
    "(fact rdma.active). A port without a cable is a warning.",
    source="gpu-cluster-networking; AMD's node scraper",
    required=False,
)
def ports(say: Say) -> Iterable[Finding]:
    """State and rate of every port."""
    if isinstance(say.facts.rdma, Unknown):
        yield say.unknown("the RDMA ports", say.facts.rdma)
        return
    found = _ports(say)
    if not found:
        yield say.passed("no RDMA devices", evidence=say.facts.rdma.source)
        return
    down = {
        name: f"{port.state or 'unknown'}, {port.phys_state or 'unknown'}"
        for name, port in found.items()
        if port.state != "ACTIVE"
    }
    rates = Counter(port.rate_gbps for port in found.values() if port.state == "ACTIVE" and port.rate_gbps)
    best = max(rates, default=None)
    slow = {
        name: f"{port.rate_gbps:g} Gb/s"
        for name, port in found.items()
        if port.state == "ACTIVE" and port.rate_gbps and best and port.rate_gbps < best and rates[best] > 1
    }
    evidence = "/sys/class/infiniband/*/ports/*/{state,rate}"
    if down:
        yield say.warned(
            f"RDMA ports are not active: {pairs(down)}",
            about="down",
            expected="ACTIVE, LinkUp",
            evidence=evidence,
            remedy="rdma link; sudo ethtool IFACE   # cable, module, switch port",
        )
    if slow:
        yield say.warned(
            f"RDMA ports are slower than their sisters: {pairs(slow)}",
            about="rate",
            expected=f"{best:g} Gb/s, as on the others",
            evidence=evidence,
            remedy="sudo ethtool -m IFACE; sudo mlxlink -d DEVICE   # module, cable; storage ports may differ",
        )
    if not down and not slow:
        yield say.passed(f"{len(found)} RDMA ports active", evidence=evidence)


@rule(
    "network.rdma_errors",
    "network",
    "RDMA ports counted no link errors",
    source="InfiniBand port counters",
    required=False,
)
def errors(say: Say) -> Iterable[Finding]:
    """Counters of trouble since the driver was loaded."""
    if isinstance(say.facts.rdma, Unknown):
        return [say.unknown("the RDMA error counters", say.facts.rdma)]
    seen: dict[str, str] = {}
    for name, port in _ports(say).items():
        counts = [f"{counter} {count}" for counter, count in port.counters if counter in _TROUBLE and count]
        if counts:
            seen[name] = "+".join(counts)
    if seen:
        return [
            say.warned(
                f"RDMA link errors: {pairs(seen)}",
                expected="0",
                evidence="/sys/class/infiniband/*/ports/*/counters",
                remedy="perfquery -x; sudo mlxlink -d DEVICE -c   # does it grow? cable or module",
            )
        ]
    return [say.passed("no RDMA link errors counted")]


@rule(
    "network.mtu",
    "network",
    "Ethernet interfaces behind RDMA carry large frames",
    source="RCCL guide, gpu-cluster-networking: MTU 9000",
    required=False,
)
def mtu(say: Say) -> Iterable[Finding]:
    """MTU of the interfaces of RoCE devices that are up."""
    if isinstance(say.facts.rdma, Unknown):
        return [say.unknown("the RDMA devices", say.facts.rdma)]
    roce = [device for device in say.facts.rdma.value if any(port.link_layer == "Ethernet" for port in device.ports)]
    if not roce:
        return [say.passed("no RDMA over Ethernet")]
    if isinstance(say.facts.nics, Unknown):
        return [say.unknown("the network interfaces", say.facts.nics)]
    behind = {name for device in roce for name in device.netdevs}
    small = {
        nic.name: str(nic.mtu)
        for nic in say.facts.nics.value
        if nic.name in behind and nic.operstate == "up" and nic.mtu is not None and nic.mtu < _MTU
    }
    if small:
        return [
            say.warned(
                f"small MTU on RoCE interfaces: {pairs(small)}",
                expected=f"at least {_MTU}",
                evidence="/sys/class/net/*/mtu",
                remedy="sudo ip link set dev IFACE mtu 9000   # and on the switch",
            )
        ]
    return [say.passed(f"MTU of {len(behind)} RoCE interfaces is large")]
