"""RCCL on a played node: which interface and which network it chooses, its INFO lines, and how it refuses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from console.lab.network import Nic
from console.lab.rendezvous import Fabric

LOOPBACK = Nic("lo", "127.0.0.1", 8, "", 0)


@dataclass(frozen=True)
class Network:
    """What RCCL found on a node. `error` is the line it gives up with; `loopback`: it waits for the others in vain."""

    bootstrap: Nic | None
    devices: tuple[str, ...]
    error: str = ""

    @property
    def loopback(self) -> bool:
        """Its bootstrap is on an interface that leads nowhere."""
        return self.bootstrap is not None and self.bootstrap.name == "lo"


def chosen(spec: str, nics: Sequence[Nic]) -> list[Nic]:
    """Interfaces that NCCL_SOCKET_IFNAME names: prefixes with commas, `=` for whole names, `^` for all others."""
    everything = [*nics, LOOPBACK]
    if not spec:
        return list(nics[:1])
    exact, without = spec.startswith(("=", "^=")), spec.startswith("^")
    names = [name.strip() for name in spec.lstrip("^=").split(",") if name.strip()]

    def named(nic: Nic) -> bool:
        return any(nic.name == name if exact else nic.name.startswith(name) for name in names)

    return [nic for nic in everything if named(nic) != without]


def found(
    env: Mapping[str, str], nics: Sequence[Nic], up: Mapping[str, bool], *, master: str, nodes: int, rdma: bool
) -> Network:
    """The networks of a node. `up` says which RDMA devices have an active port; `rdma`: the container has them."""
    interfaces = chosen(env.get("NCCL_SOCKET_IFNAME", ""), nics)
    if not interfaces:
        return Network(None, (), "Bootstrap : no socket interface found")
    first = interfaces[0]
    if nodes > 1 and first.name != "lo" and Fabric.is_address(master) and not _reaches(first, master):
        text = f"Net : No interface found in the same subnet as remote address {master}<{45000 + nodes}>"
        return Network(first, (), text)
    devices = _devices(env, nics, up) if rdma and env.get("NCCL_IB_DISABLE", "0") != "1" else ()
    index = env.get("NCCL_IB_GID_INDEX", "")
    if nodes > 1 and devices and index not in ("", "3"):
        return Network(
            first, devices, f"NET/IB : Got completion from peer {master}<41234> with status=12 opcode=0 len=0"
        )
    return Network(first, devices)


def _reaches(nic: Nic, master: str) -> bool:
    return any(
        int(part) == int(other)
        for part, other in zip(nic.address.split(".")[1:2], master.split(".")[1:2], strict=False)
    )


def _devices(env: Mapping[str, str], nics: Sequence[Nic], up: Mapping[str, bool]) -> tuple[str, ...]:
    there = [nic.rdma for nic in nics if nic.rdma and up.get(nic.rdma)]
    spec = env.get("NCCL_IB_HCA", "")
    named = [one.partition(":")[0] for one in spec.lstrip("^=").split(",") if one]
    return tuple(name for name in there if not named or (name in named) != spec.startswith("^"))


def lines(
    host: str, env: Mapping[str, str], network: Network, *, rank: int, nodes: int, gpus: int, sockets: bool
) -> Iterator[str]:
    """What a node's ranks say with NCCL_DEBUG=INFO while the communicator is made, without its end."""
    oob = f"{network.bootstrap.name}:{network.bootstrap.address}<0>" if network.bootstrap else ""
    world, comm = nodes * gpus, "0x55d2c1a0"
    for local in range(gpus):
        who = _who(host, local)
        if local == 0:
            if spec := env.get("NCCL_SOCKET_IFNAME"):
                yield f"{who}NCCL_SOCKET_IFNAME set by environment to {spec}"
            yield f"{who}Bootstrap : Using {oob}"
            yield f"{who}NET/Plugin : No plugin found (librccl-net.so), using internal implementation"
            yield f"{who}RCCL version 2.22.3+hip6.3 HEAD:lab-simulated"
            if hcas := env.get("NCCL_IB_HCA"):
                yield f"{who}NCCL_IB_HCA set to {hcas}"
        if sockets:
            yield f"{who}NET/IB : No device found."
            yield f"{who}NET/Socket : Using [0]{oob}"
            yield f"{who}Using network Socket"
        else:
            cards = " ".join(f"[{n}]{name}:1/RoCE" for n, name in enumerate(network.devices))
            if cards:
                yield f"{who}NET/IB : Using {cards} [RO]; OOB {oob}"
            yield f"{who}Using network {'IB' if cards else 'Socket'}"
        number = rank * gpus + local
        yield (
            f"{who}comm {comm}{number:04x} rank {number} nRanks {world} nNodes {nodes} localRanks {gpus} "
            f"localRank {local} MNNVL 0"
        )


def channels(host: str, *, rank: int, nodes: int, gpus: int, sockets: bool) -> Iterator[str]:
    """The end of the same: how the channels go, and that it is complete."""
    world = nodes * gpus
    via = "NET/Socket/{n}" if sockets else "NET/IB/{n}/GDRDMA"
    for local in range(gpus):
        who, number = _who(host, local), rank * gpus + local
        if nodes > 1 and local in (0, gpus - 1):
            other = (number + 1) % world if local else (number - 1) % world
            way = via.format(n=local)
            arrow = (number, local, other, other % gpus) if local else (other, other % gpus, number, local)
            kind = "send" if local else "receive"
            yield f"{who}Channel 00/0 : {arrow[0]}[{arrow[1]}] -> {arrow[2]}[{arrow[3]}] [{kind}] via {way}"
        else:
            yield f"{who}Channel 00/0 : {number}[{local}] -> {(number + 1) % world}[{(local + 1) % gpus}] via P2P/IPC"
        yield (
            f"{who}ncclCommInitRank comm 0x55d2c1a0{number:04x} rank {number} nranks {world} cudaDev {local} "
            f"nvmlDev {local} busId {5 + 33 * local:x}000 commId 0x9d1ab0 - Init COMPLETE"
        )


def warning(host: str, text: str) -> str:
    """A line of NCCL_DEBUG=WARN and above."""
    return f"{host}:{_PID}:{_PID} [0] {_SOURCE} NCCL WARN {text}"


_PID = 1180
_SOURCE = "/long_pathname_so_that_rpms_can_package_the_debug_info/src/rccl/src/bootstrap.cc:98"


def _who(host: str, local: int) -> str:
    return f"{host}:{_PID + local}:{_PID + local} [{local}] NCCL INFO "
