"""What each host of an attempt is told to try before the ranks start, as launches are told what to run. Pure.

The check is a launch like any other: it holds the hosts by the same claim, ends by its own deadline and is cleaned up
by the same labels. It gets the network, the mounts and the RDMA devices that the ranks will get, and no GPU.
"""

import functools
import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from console.model.fabric import Rail, Wire
from console.model.facts import HostFacts, Known
from console.model.launch import Command, Launch, Need, Placement, Seat
from console.runs.compose import Owner, compose
from console.runs.fabric_wires import wires
from console.runs.office import Subject
from console.runs.site import ImageSeen
from console.workloads.fabric import FabricWish, wish_of
from console.workloads.places import SHARED_PATH

PART = "check"
PORT, PORT_STEP, PORTS_TRIED = 28400, 100, 20
"""The first port to listen on for the check, below those that kernels give out; RDMA tests take some after it."""

PAYLOAD_BYTES = 4 * 1024 * 1024
"""Each way over each wire: enough to fill frames of any MTU many times over."""

PATIENCE_S = 30.0
"""How long a host waits for the others: containers do not start at the same moment everywhere."""

DEADLINE_S = 120


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """A check that is about to be made: what is run, over which wires, and what is expected to open."""

    launch: Launch
    wires: tuple[Wire, ...]
    seats: tuple[Seat, ...]
    devices: Mapping[str, tuple[str, ...]]
    key: str
    needs_folder: bool


def errand(
    subject: Subject, need: Need, seats: Sequence[Seat], owner: Owner, seen: ImageSeen, facts: Mapping[str, HostFacts]
) -> Errand:
    """The check of an attempt's seats. `key` covers all that what was proven depends on."""
    wish = wish_of(subject.cell.params)
    found = wires([seat.rails for seat in seats], [seat.host for seat in seats])
    devices = {seat.host: _devices(seat, wish) if subject.image.container.infiniband else () for seat in seats}
    commands = tuple(_command(seat, seats, found, devices[seat.host], wish, owner, _port(facts)) for seat in seats)
    bare = tuple(msgspec.structs.replace(seat, kfd=False, gpus=(), groups=()) for seat in seats)
    launch = compose(
        subject.cell,
        subject.image,
        msgspec.structs.replace(need, deadline_s=DEADLINE_S),
        commands,
        Placement(bare),
        owner,
        image_ref=subject.image.ref if seen.digest else seen.id,
        image_digest=seen.digest,
    )
    indices = {seat.rank: seat.gid_index for seat in seats}
    lasting = [
        (part.host, part.image, part.devices, part.mounts, part.options, indices[part.rank]) for part in launch.parts
    ]
    key = hashlib.sha256(msgspec.json.encode((lasting, found, devices))).hexdigest()[:16]
    return Errand(
        launch=launch, wires=found, seats=tuple(seats), devices=devices, key=key, needs_folder=need.shared_folder
    )


@functools.cache
def source() -> str:
    """The program's own text."""
    return importlib.resources.files("console.runs").joinpath("fabric_program.py").read_text("utf-8")


def _devices(seat: Seat, wish: FabricWish) -> tuple[str, ...]:
    """RDMA devices that the ranks of a seat will use."""
    return tuple(name.partition(":")[0] for name in seat.hcas if wish.takes_device(name))


def _port(facts: Mapping[str, HostFacts]) -> int:
    """A port that nobody listens on on any of the hosts, as far as that is known."""
    taken = {port for item in facts.values() if isinstance(item.listening, Known) for port in item.listening.value}
    tried = range(PORT, PORT + PORTS_TRIED * PORT_STEP, PORT_STEP)
    return next((port for port in tried if port not in taken), PORT)


def _command(
    seat: Seat,
    seats: Sequence[Seat],
    found: Sequence[Wire],
    devices: tuple[str, ...],
    wish: FabricWish,
    owner: Owner,
    port: int,
) -> Command:
    asked: dict[str, Any] = {
        "nonce": hashlib.sha256(f"{owner.run} {owner.attempt}".encode()).hexdigest()[:24],
        "rank": seat.rank,
        "ranks": len(seats),
        "port": port,
        "patience_s": PATIENCE_S,
        "bytes": PAYLOAD_BYTES,
        "gid_index": seat.gid_index,
        "devices": list(devices),
        "shared": SHARED_PATH if seat.shared else None,
        "listen": [_end(wire, wire.to_rail) for wire in found if wire.second == seat.host],
        "connect": [
            {**_end(wire, wire.from_rail), "peer": wire.to_rail.address} for wire in found if wire.first == seat.host
        ],
    }
    argv = ("python3", "-c", source(), msgspec.json.encode(asked).decode())
    return Command(part=f"{PART}{seat.rank}", seat=seat.rank, argv=argv, env={"PYTHONUNBUFFERED": "1"})


def _end(wire: Wire, rail: Rail) -> dict[str, Any]:
    return {"wire": wire.number, "interface": rail.interface, "address": rail.address, "device": rail.device}
