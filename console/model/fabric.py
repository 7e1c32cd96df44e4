"""How hosts of one attempt reach each other: addresses to move bytes over, and what came of moving them."""

import msgspec

from console.model.finding import Finding


class Rail(msgspec.Struct, frozen=True, kw_only=True):
    """An interface of a host that carries an attempt's data, with one address of it and the network that is in.

    `device` is the RDMA device behind it with its port (`mlx5_0:1`); empty for one that has none.
    """

    interface: str
    address: str
    network: str
    device: str = ""
    mtu: int | None = None


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """A rail of one host and the rail of the next host that it leads to."""

    number: int
    first: str
    second: str
    from_rail: Rail
    to_rail: Rail


class WireProof(msgspec.Struct, frozen=True, kw_only=True):
    """What came through a wire: payload bytes there and back, in seconds; `error` says why it was less.

    `rdma_gbps` is what perftest moved over the RDMA devices at its ends; None where it was not tried.
    """

    wire: Wire
    there_bytes: int = 0
    back_bytes: int = 0
    seconds: float | None = None
    error: str = ""
    rdma_gbps: float | None = None


class FabricProof(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the hosts of an attempt. `key` is equal for what was proven already; `text` is for people.

    `opened` are the RDMA devices that libibverbs could open inside a container of the image, by host.
    """

    key: str
    wires: tuple[WireProof, ...]
    opened: dict[str, tuple[str, ...]] = {}
    findings: tuple[Finding, ...] = ()
    text: str = ""
