"""Several nodes: where rank 0 is, which rank a node is, and how RCCL and gloo reach the others.

What a person sets by --set wins over what the hosts' facts say; what neither knows is left to the program.
"""

from typing import Any, Protocol

import msgspec

from console.model.launch import Placement, Seat
from console.workloads.places import SHARED_PATH

TRANSPORT_LOG = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET"}
"""RCCL says which network it uses: a run that fell back to sockets is known by it."""


class FabricChoice(Protocol):
    """What the parameters of a row may say of its fabric; None leaves it to the hosts' facts."""

    @property
    def interface(self) -> str | None:
        """Network interface of NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME, the same on every node."""

    @property
    def hcas(self) -> str | None:
        """NCCL_IB_HCA, `mlx5_0:1,mlx5_1:1,…`."""

    @property
    def gid_index(self) -> int | None:
        """NCCL_IB_GID_INDEX."""

    @property
    def master_address(self) -> str | None:
        """MASTER_ADDR."""


class FabricWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a row wants of its fabric before hosts are looked at: as the parameters have it.

    `providers` are libibverbs providers to bring from the hosts: None for the usual ones, `none`, or names.
    """

    interface: str | None = None
    hcas: str | None = None
    gid_index: int | None = None
    providers: str | None = None
    check: bool = True

    def takes_interface(self, name: str) -> bool:
        """Whether NCCL_SOCKET_IFNAME of this value takes an interface."""
        return self.interface is None or _takes(self.interface, name)

    def takes_device(self, name: str) -> bool:
        """Whether NCCL_IB_HCA of this value takes a device with its port (`mlx5_0:1`)."""
        return self.hcas is None or _takes(self.hcas, name)


NO_WISH = FabricWish()


def wish_of(params: Any) -> FabricWish:
    """The wish of a row's parameters, whatever its workload; those of one node have none."""
    return FabricWish(
        interface=getattr(params, "interface", None),
        hcas=getattr(params, "hcas", None),
        gid_index=getattr(params, "gid_index", None),
        providers=getattr(params, "providers", None),
        check=getattr(params, "check_fabric", True),
    )


def _takes(spec: str, name: str) -> bool:
    """RCCL's own reading: names with commas are beginnings, after `=` whole names, after `^` those not to take."""
    without, exact = spec.startswith("^"), spec.lstrip("^").startswith("=")
    words = [word.strip() for word in spec.lstrip("^=").split(",") if word.strip()]
    taken = any(
        name == word or name.partition(":")[0] == word or (not exact and name.startswith(word)) for word in words
    )
    return taken != without


def rank_env(choice: FabricChoice, at: Placement, seat: Seat, port: int) -> dict[str, str]:
    """Environment of one node of several. `port` is wanted; rank 0's seat may name another that is free there."""
    first = min(at.seats, key=lambda other: other.rank)
    env = {
        "MASTER_ADDR": choice.master_address or first.ip or first.address or first.host,
        "MASTER_PORT": str(first.port or port),
        "NNODES": str(len(at.seats)),
        "NODE_RANK": str(seat.rank),
        **TRANSPORT_LOG,
    }
    interface = choice.interface or seat.interface
    if interface:
        env |= {"NCCL_SOCKET_IFNAME": interface, "GLOO_SOCKET_IFNAME": interface}
    hcas = choice.hcas or ",".join(seat.hcas)
    if hcas:
        env["NCCL_IB_HCA"] = hcas
    index = choice.gid_index if choice.gid_index is not None else seat.gid_index
    if index is not None:
        env["NCCL_IB_GID_INDEX"] = str(index)
    if seat.shared:
        env["DATA_CACHE_PATH"] = f"{SHARED_PATH}/megatron-cache"
    return env


def part_of(rank: int, nodes: int, alone: str) -> str:
    """Name of the part on a node: `rank0`, `rank1`, …; the only one of one node has the usual name."""
    return alone if nodes == 1 else f"rank{rank}"
