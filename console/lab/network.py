"""Interfaces and RDMA devices of the played hosts: files under /sys, and what `ip` would print.

Every host has one front interface and eight rails, each rail a network of its own with an RDMA device behind it.
"""

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RAILS = 8
FRONT_MBPS, RAIL_MBPS = 25_000, 400_000
MTU = 9000


@dataclass(frozen=True)
class NicKind:
    """What a server model has: names of its front interface, rails and RDMA devices, and their maker's words."""

    front: str
    rail: str
    rdma: str
    driver: str
    hca_type: str
    firmware: str
    board_id: str
    provider: str
    provider_folder: str


BROADCOM = NicKind(
    "ens51f0np0", "benic{n}p1", "bnxt_re{n}", "bnxt_en", "BCM57608", "231.2.63.0", "N2200G", "bnxt_re", "usr/local/lib"
)
CONNECTX = NicKind(
    "enp129s0f0np0",
    "rail{n}",
    "rdma{n}",
    "mlx5_core",
    "MT4129",
    "28.39.2048",
    "MT_0000000838",
    "mlx5",
    "usr/lib/x86_64-linux-gnu/libibverbs",
)


@dataclass(frozen=True)
class Nic:
    """One interface of a host. `rdma` is the RDMA device behind it, `rail` its number; None for the front one."""

    name: str
    address: str
    prefix: int
    mac: str
    mbps: int
    rail: int | None = None
    rdma: str = ""

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The network it is in."""
        return ipaddress.IPv4Interface(f"{self.address}/{self.prefix}").network

    @property
    def gid(self) -> str:
        """The GID of its address, as the kernel prints it."""
        packed = ipaddress.IPv4Address(self.address).packed.hex()
        return f"0000:0000:0000:0000:0000:ffff:{packed[:4]}:{packed[4:]}"


def nics_of(kind: NicKind, host: str, index: int) -> tuple[Nic, ...]:
    """The interfaces of the host with this number (from 0), the front one first."""
    low = f"{index // 200}.{10 + index % 200}"
    front = Nic(kind.front, f"10.99.{low}", 16, _mac(host, 0xF), FRONT_MBPS)
    rails = (
        Nic(
            kind.rail.format(n=n + (kind is BROADCOM)),
            f"10.{100 + n}.{low}",
            16,
            _mac(host, n),
            RAIL_MBPS,
            n,
            kind.rdma.format(n=n),
        )
        for n in range(RAILS)
    )
    return (front, *rails)


def _mac(host: str, number: int) -> str:
    made = hashlib.sha256(f"lab nic {host} {number}".encode()).hexdigest()
    return "02:" + ":".join(made[at : at + 2] for at in range(0, 10, 2))


ZERO_GID = "0000:0000:0000:0000:0000:0000:0000:0000"
LINK_LOCAL = "fe80:0000:0000:0000:0000:00ff:fe00:0001"
GID_TYPES = ("IB/RoCE v1", "RoCE v2", "IB/RoCE v1", "RoCE v2")
PORT_COUNTERS = (
    "symbol_error", "link_error_recovery", "link_downed", "port_rcv_errors", "port_rcv_remote_physical_errors",
    "port_xmit_discards", "local_link_integrity_errors", "excessive_buffer_overrun_errors", "port_xmit_wait",
)  # fmt: skip
HW_COUNTERS = (
    "out_of_sequence", "packet_seq_err", "local_ack_timeout_err", "rnr_nak_retry_err", "implied_nak_seq_err",
    "out_of_buffer", "rx_icrc_encapsulated",
)  # fmt: skip
NET_COUNTERS = ("rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "rx_crc_errors")


def common_files(kind: NicKind, nodes: int) -> Iterator[tuple[str, str]]:
    """Files that all hosts of a kind have alike."""
    for nic in nics_of(kind, "", 0):
        net = f"sys/class/net/{nic.name}"
        node = 0 if nic.rail is None else nic.rail * nodes // RAILS
        yield f"{net}/operstate", "up\n"
        yield f"{net}/speed", f"{nic.mbps}\n"
        yield f"{net}/mtu", f"{MTU if nic.rail is not None else 1500}\n"
        yield f"{net}/carrier", "1\n"
        yield f"{net}/type", "1\n"
        yield f"{net}/device/numa_node", f"{node}\n"
        yield f"{net}/device/uevent", f"DRIVER={kind.driver}\n"
        for name in NET_COUNTERS:
            yield f"{net}/statistics/{name}", "0\n"
        if nic.rail is not None:
            yield from _rdma_files(kind, nic, node)
            yield f"dev/infiniband/uverbs{nic.rail}", ""
    yield "dev/infiniband/rdma_cm", ""
    yield "proc/net/tcp", listening((22,))
    yield f"etc/libibverbs.d/{kind.provider}.driver", f"driver {kind.provider}\n"
    yield f"{kind.provider_folder}/lib{kind.provider}-rdmav34.so", ""
    for name, mtu in (("lo", 65536), ("docker0", 1500)):
        yield f"sys/class/net/{name}/operstate", "unknown\n" if name == "lo" else "down\n"
        yield f"sys/class/net/{name}/mtu", f"{mtu}\n"
        yield f"sys/class/net/{name}/type", "772\n" if name == "lo" else "1\n"
    yield "sys/class/net/docker0/bridge/bridge_id", "8000.024200000001\n"
    yield "sys/class/net/lo/address", "00:00:00:00:00:00\n"
    yield "sys/class/net/docker0/address", "02:42:00:00:00:01\n"


def _rdma_files(kind: NicKind, nic: Nic, node: int) -> Iterator[tuple[str, str]]:
    card = f"sys/class/infiniband/{nic.rdma}"
    port = f"{card}/ports/1"
    for path, value in {
        f"{card}/node_type": "1: CA",
        f"{card}/fw_ver": kind.firmware,
        f"{card}/hca_type": kind.hca_type,
        f"{card}/board_id": kind.board_id,
        f"{card}/device/numa_node": str(node),
        f"{card}/device/net/{nic.name}/ifindex": str(3 + (nic.rail or 0)),
        f"{port}/state": "4: ACTIVE",
        f"{port}/phys_state": "5: LinkUp",
        f"{port}/rate": "400 Gb/sec (4X NDR)",
        f"{port}/link_layer": "Ethernet",
        f"{port}/gids/0": LINK_LOCAL,
        f"{port}/gids/1": LINK_LOCAL,
        f"{port}/gids/4": ZERO_GID,
    }.items():
        yield path, f"{value}\n"
    for index, kind_of_gid in enumerate(GID_TYPES):
        yield f"{port}/gid_attrs/types/{index}", f"{kind_of_gid}\n"
        yield f"{port}/gid_attrs/ndevs/{index}", f"{nic.name}\n"
    for name in PORT_COUNTERS:
        yield f"{port}/counters/{name}", "0\n"
    for name in HW_COUNTERS:
        yield f"{port}/hw_counters/{name}", "0\n"


def own_files(nics: tuple[Nic, ...]) -> Iterator[tuple[str, str]]:
    """Files that only this host has: hardware addresses, GIDs."""
    for nic in nics:
        yield f"sys/class/net/{nic.name}/address", f"{nic.mac}\n"
        if nic.rail is not None:
            card = f"sys/class/infiniband/{nic.rdma}"
            guid = nic.mac.replace(":", "")
            yield f"{card}/node_guid", f"{guid[:4]}:{guid[4:6]}ff:fe{guid[6:8]}:{guid[8:]}\n"
            for index in (2, 3):
                yield f"{card}/ports/1/gids/{index}", f"{nic.gid}\n"


def listening(ports: Sequence[int]) -> str:
    """/proc/net/tcp of a host whose programs listen on these ports, on every address."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rest = (
        "00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10600 1 0000000000000000 100 0 0 10 0"
    )
    return head + "".join(f"{number:4}: 00000000:{port:04X} {rest}\n" for number, port in enumerate(ports))


def ip_addresses(nics: tuple[Nic, ...]) -> str:
    """`ip -o addr show up scope global` of a host."""
    named = [(nic.name, nic.address, nic.prefix) for nic in nics] + [("docker0", "172.17.0.1", 16)]
    return "".join(
        f"{number}: {name}    inet {address}/{prefix} scope global {name}\\"
        "       valid_lft forever preferred_lft forever\n"
        for number, (name, address, prefix) in enumerate(named, 2)
    )
