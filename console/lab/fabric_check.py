"""The check of a fabric, played: what a container of it would find on this host, by the lab's own network.

Recognised by the first line of the program's text. Files in a shared folder are really written and read.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from console.lab.acts import Act, Meet, Program, Surroundings, Wait, out

TITLE = "instinct fabric check"
MARK = "@@instinct fabric "
PATIENCE_S = 20.0
"""Real seconds to wait for the others at least, however fast the lab plays."""
BAD_RAIL = 3
"""The rail that failures of rails befall."""
RATE = 2.2e9
"""Bytes a second of one Python socket on a fast rail."""


class Board:
    """One check: which ranks came, which wrote their files, and which have read those of the others."""

    def __init__(self, ranks: int) -> None:
        self._left = {name: set(range(ranks)) for name in ("here", "wrote", "read")}
        self.events = {name: asyncio.Event() for name in self._left}

    @property
    def over(self) -> bool:
        """Everybody has been here; who comes now begins anew."""
        return not any(self._left.values())

    def tick(self, name: str, rank: int) -> None:
        """A rank did it; when all have, those who wait go on."""
        self._left[name].discard(rank)
        if not self._left[name]:
            self.events[name].set()


def is_check(argv: tuple[str, ...]) -> bool:
    """Whether a command line is the program of the check."""
    return len(argv) == 4 and argv[1] == "-c" and TITLE in argv[2][:200]


def find(around: Surroundings) -> Program | None:
    """The play of the check; None for anything else."""
    return _play(around, json.loads(around.argv[3])) if is_check(around.argv) else None


def _say(**said: Any) -> Act:
    return out(MARK + json.dumps(said))


def _play(around: Surroundings, asked: dict[str, Any]) -> Iterator[Act]:
    board = around.fabric.board(asked["nonce"], Board, asked["ranks"])
    rank = asked["rank"]
    yield Wait(0.4)
    yield _say(tool=False)
    if asked["devices"]:
        yield _say(**_verbs(around))
    board.tick("here", rank)
    yield Meet(board.events["here"], asked["patience_s"], PATIENCE_S)
    for wire in asked["listen"]:
        if error := _own(around, wire):
            yield _say(wire=wire["wire"], side="listen", error=error)
    for wire in asked["connect"]:
        yield from _call(around, wire, asked)
    if asked["shared"]:
        yield from _folder(around, board, asked)
    for name in ("wrote", "read"):
        board.tick(name, rank)
    yield _say(done=True)


def _verbs(around: Surroundings) -> dict[str, Any]:
    """RDMA devices that open: those with a driver, in a container that was given them and knows their library."""
    nics, provider = around.fabric.nics(around.host), around.kind.nic.provider
    # images have a working library of mlx5; Broadcom's must be brought from the host
    known = provider == "mlx5" or any(f"lib{provider}-rdmav" in mount.target for mount in around.files.mounts)
    if not around.rdma or not known or around.afflicted("no-provider", around.host):
        return {"verbs": [], "error": ""}
    there = [nic.rdma for nic in nics if nic.rdma and around.host_file(f"/sys/class/infiniband/{nic.rdma}/node_type")]
    return {"verbs": there, "error": ""}


def _own(around: Surroundings, wire: dict[str, Any]) -> str:
    """Why this host's end of a wire cannot be opened; empty when it can."""
    nic = next((nic for nic in around.fabric.nics(around.host) if nic.name == wire["interface"]), None)
    if nic is None or around.afflicted("wrong-interface", around.host):
        return "No such device"
    return "" if nic.address == wire["address"] else "Cannot assign requested address"


def _way(around: Surroundings, wire: dict[str, Any]) -> str:
    """How bytes go over a wire: `whole`, `small frames` or `dead`; an address that is nobody's is dead."""
    other = around.fabric.owner(wire["peer"], around.host)
    if other is None or around.afflicted("wrong-interface", other):
        return "dead"
    for host, address in ((around.host, wire["address"]), (other, wire["peer"])):
        nic = next((nic for nic in around.fabric.nics(host) if nic.address == address), None)
        if nic is None or nic.rail != BAD_RAIL:
            continue
        for fault, way in (("rail-dead", "dead"), ("rail-small-frames", "small frames")):
            if around.afflicted(fault, host):
                return way
    return "whole"


def _call(around: Surroundings, wire: dict[str, Any], asked: dict[str, Any]) -> Iterator[Act]:
    said = {"wire": wire["wire"], "side": "connect", "there": 0, "back": 0}
    if error := _own(around, wire):
        yield _say(error=error, **said)
        return
    way = _way(around, wire)
    if way == "dead":
        yield Wait(asked["patience_s"])
        yield _say(error="timed out", **said)
    elif way == "small frames":
        yield Wait(5.0)
        yield _say(error="timed out", connected=True, **said)
    else:
        size = asked["bytes"]
        seconds = around.noisy(2 * size / RATE)
        yield Wait(seconds)
        yield _say(**{**said, "there": size, "back": size, "seconds": seconds, "connected": True})


def _folder(around: Surroundings, board: Board, asked: dict[str, Any]) -> Iterator[Act]:
    rank, shared = asked["rank"], asked["shared"]
    found = around.files.on_host(f"{shared}/.instinct-check-{asked['nonce']}")
    if found is None or found[1]:
        yield _say(shared=shared, missing=[], error="Read-only file system")
        return
    place = found[0]
    place.mkdir(parents=True, exist_ok=True)
    (place / f"from-{rank}").write_text(asked["nonce"])
    board.tick("wrote", rank)
    yield Meet(board.events["wrote"], asked["patience_s"], PATIENCE_S)
    missing = [other for other in range(asked["ranks"]) if not (place / f"from-{other}").is_file()]
    board.tick("read", rank)
    yield Meet(board.events["read"], asked["patience_s"], PATIENCE_S)
    (place / f"from-{rank}").unlink(missing_ok=True)
    if not any(place.iterdir()):
        place.rmdir()
    yield _say(shared=shared, missing=missing, error="")
