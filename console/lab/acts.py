"""What a played program does: a generator of acts in simulated time, and what it may see of its surroundings."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from console.lab.clock import Clock
from console.lab.faults import DISTURBANCES
from console.lab.files import Files
from console.lab.logs import STDERR, STDOUT
from console.lab.rendezvous import Fabric
from console.lab.specs import Kind


class Wait(NamedTuple):
    """Let simulated seconds pass. `idle`: for want of something to do, which may be long in coming at a high speed."""

    s: float
    idle: bool = False


class Say(NamedTuple):
    """Print bytes on a stream."""

    data: bytes
    stream: int = STDOUT


class Exit(NamedTuple):
    """End with a code; `oom` when the kernel killed it for memory."""

    code: int
    oom: bool = False


class Meet(NamedTuple):
    """Wait until an event happens, or simulated seconds have passed; the program looks which it was.

    `least_s` are real seconds to wait at least, also past the container's deadline: whoever starts or looks after the
    others is not as fast as the lab.
    """

    event: asyncio.Event
    timeout_s: float
    least_s: float = 0.0


Act = Wait | Say | Exit | Meet
Program = Iterator[Act]


class Endpoint(Protocol):
    """A port of the host that a played server listens on."""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """HTTP status, content type and body of a GET."""


@dataclass
class Surroundings:
    """What a program sees. `vllm` is the version in its image, `gpus` how many it has, `wall` simulated seconds.

    `image` is its repository; `rdma` whether the container has the host's RDMA devices; `host_file` reads a file of
    the host by path, empty when there is none; `disturb` makes the host show a failure while it runs; `afflicted` says
    whether a fault speaks of a host and this command line, without using it up.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    host: str
    kind: Kind
    vllm: tuple[int, ...] | None
    rocm: str
    gpus: int
    files: Files
    clock: Clock
    rng: random.Random
    fault: str
    ports: dict[int, Endpoint]
    wall: Callable[[], float]
    fabric: Fabric = field(default_factory=Fabric)
    image: str = ""
    rdma: bool = False
    seed: str = ""
    host_file: Callable[[str], str] = lambda path: ""
    disturb: Callable[[str], None] = lambda name: None
    afflicted: Callable[[str, str], bool] = lambda name, host: False
    token: str = ""
    disturbed: bool = False

    def halfway(self) -> None:
        """Half of the measuring is done: the host shows now, once, what it was asked to show meanwhile."""
        if self.fault in DISTURBANCES and not self.disturbed:
            self.disturbed = True
            self.disturb(self.fault)

    def noisy(self, value: float, spread: float = 0.004) -> float:
        """The value with small noise: normal, `spread` relative, cut at three sigma."""
        return value * (1 + spread * max(-3.0, min(3.0, self.rng.gauss(0.0, 1.0))))


def now() -> str:
    """`MM-DD HH:MM:SS`, as vLLM's logger stamps its lines."""
    return datetime.now(UTC).strftime("%m-%d %H:%M:%S")


def out(text: str) -> Say:
    """A line on stdout."""
    return Say(f"{text}\n".encode())


def err(text: str) -> Say:
    """A line on stderr."""
    return Say(f"{text}\n".encode(), STDERR)


def raw_err(text: str) -> Say:
    """Text on stderr as it is, for progress bars."""
    return Say(text.encode(), STDERR)
