"""Which entry of their GID tables the RDMA devices of a host are to use. NCCL_IB_GID_INDEX is one for all. Pure."""

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from console.model.host_facts import Gid, RdmaPort

USUAL = 3
"""The RoCE v2 entry for IPv4 on Broadcom and ConnectX-7 adapters (AMD's multi-node documents); others differ."""

ROCE_V2 = "RoCE v2"


class GidChoice(msgspec.Struct, frozen=True):
    """The index, None where none is needed (InfiniBand). `unlike`: devices that have no usable entry there."""

    index: int | None = None
    unlike: tuple[str, ...] = ()


def choose_gid(ports: Mapping[str, RdmaPort]) -> GidChoice:
    """For active ports by the name of their device: the RoCE v2 entry of an IPv4 address that all of them share.

    Without such an entry that of another address that is routed. The usual index where no table could be read.
    """
    tables = {name: port.gids for name, port in ports.items() if port.link_layer == "Ethernet"}
    if not tables:
        return GidChoice()
    usable = {name: _best(gids) for name, gids in tables.items() if gids}
    counts = Counter(index for indices in usable.values() for index in indices)
    if not counts:
        return GidChoice(USUAL, tuple(usable))
    most = max(counts.values())
    tied = [index for index, count in counts.items() if count == most]
    index = USUAL if USUAL in tied else min(tied)
    return GidChoice(index, tuple(name for name, indices in usable.items() if index not in indices))


def _best(gids: Sequence[Gid]) -> frozenset[int]:
    """Indices of the entries that serve best; none for a table without a routed RoCE v2 entry."""
    ranked = [(_rank(gid), gid.index) for gid in gids if gid.kind == ROCE_V2]
    best = min((rank for rank, _ in ranked if rank is not None), default=None)
    return frozenset(index for rank, index in ranked if rank is not None and rank == best)


def _rank(gid: Gid) -> int | None:
    """0 for an IPv4 address, 1 for a routed IPv6 one; None for what leads nowhere."""
    try:
        address = ipaddress.IPv6Address(gid.gid)
    except ValueError:
        return None
    if address.ipv4_mapped is not None:
        return 0
    return None if address.is_link_local or address.is_unspecified else 1
