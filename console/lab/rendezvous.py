"""Jobs of several nodes: ranks on different hosts that find each other by master address and port.

As torchrun's static rendezvous: node 0 listens on its own host, the others come to MASTER_ADDR:MASTER_PORT, and nobody
goes on before all are there. Everything is in memory and in one event loop.
"""

import asyncio
import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from console.lab.network import Nic

T = TypeVar("T")


@dataclass
class Job:
    """One job. `stops` says at which step a rank's node will stop of itself; nobody can pass that step without it."""

    nodes: int
    seed: str
    hosts: dict[int, str] = field(default_factory=dict)
    stops: dict[int, float] = field(default_factory=dict)
    slow: bool = False
    stalls: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    done: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)

    def stuck(self, rank: int, step: int) -> bool:
        """Whether another node is not there for the collective of this step: it stopped before, or it is gone."""
        stopped = any(other != rank and step >= at for other, at in self.stops.items())
        return stopped or bool(self.left - self.stops.keys() - {rank})

    def leave(self, rank: int, *, finished: bool) -> None:
        """A node's program ended; unless it had `finished`, the others wait for it in vain."""
        (self.done if finished else self.left).add(rank)

    @property
    def over(self) -> bool:
        """Nobody is in it any more."""
        return len(self.done | self.left) >= len(self.hosts)


class Fabric:
    """The network of a lab: which host has which address, and who listens where."""

    def __init__(self) -> None:
        self._nics: dict[str, tuple[Nic, ...]] = {}
        self._jobs: dict[tuple[str, int], Job] = {}
        self._listening: set[tuple[str, int]] = set()
        self._counts: dict[str, int] = {}
        self._boards: dict[str, Any] = {}

    def add(self, host: str, nics: tuple[Nic, ...]) -> None:
        """A host with its interfaces."""
        self._nics[host] = nics

    def nics(self, host: str) -> tuple[Nic, ...]:
        """The interfaces of a host; none for a host that is not in the lab."""
        return self._nics.get(host, ())

    def board(self, name: str, make: Callable[[int], T], ranks: int) -> T:
        """Where programs of one kind that belong together find each other; made by the first of them."""
        if name not in self._boards or self._boards[name].over:
            self._boards[name] = make(ranks)
        board: T = self._boards[name]
        return board

    def owner(self, address: str, asking: str) -> str | None:
        """The host that an address or name leads to from another one; None when it leads nowhere."""
        if address in ("localhost", "0.0.0.0", "::1", asking) or address.startswith("127."):  # noqa: S104 - compared
            return asking
        if address in self._nics:
            return address
        return next((host for host, nics in self._nics.items() if any(nic.address == address for nic in nics)), None)

    @staticmethod
    def is_address(text: str) -> bool:
        """Whether a text is an address rather than a name."""
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return True

    def turn(self, text: str) -> int:
        """How many jobs of this text there were before; part of the seed, so that repeats differ."""
        self._counts[text] = self._counts.get(text, -1) + 1
        return self._counts[text]

    def listen(self, host: str, port: int) -> bool:
        """Take a port of a host; False when it is taken."""
        if (host, port) in self._listening:
            return False
        self._listening.add((host, port))
        return True

    def unlisten(self, host: str, port: int) -> None:
        """Give a port back."""
        self._listening.discard((host, port))

    def join(self, host: str, owner: str, port: int, *, rank: int, nodes: int, seed: str, stops: float) -> Job:
        """Come to a rendezvous at a host's port, as node `rank` of `nodes`. A finished job there is forgotten."""
        key = (owner, port)
        job = self._jobs.get(key)
        if job is None or job.over or job.nodes != nodes or rank in job.hosts:
            job = self._jobs[key] = Job(nodes, f"{seed} {self.turn(seed)}")
        job.hosts[rank] = host
        if stops < math.inf:
            job.stops[rank] = stops
        if len(job.hosts) == nodes and job.hosts.get(0) == owner:
            job.ready.set()
        return job

    def listening(self, owner: str, port: int) -> bool:
        """Whether somebody listens there."""
        return (owner, port) in self._listening
