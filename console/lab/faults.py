"""Named failures: which host, which program, how often. Read from `faults.toml` of the lab folder at each use.

A container may also ask for a program failure itself: environment `INSTINCT_LAB_FAULT` or label `instinct-lab.fault`.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

HOST_FAULTS = {
    "no-docker-permission": "the login may not open the engine's socket",
    "kfd-missing": "amdgpu is not loaded: no /dev/kfd, no GPUs",
    "numa-balancing": "automatic NUMA balancing is on",
    "busy-gpu": "a foreign process holds most memory of GPU 0",
    "model-missing": "the model cache is empty",
    "model-incomplete": "the second weight file of each model is only half downloaded",
    "disk-full": "model cache and scratch have no room left",
    "no-image": "no image is there; it has to be pulled",
    "no-boot": "the host refuses connections",
    "ras-uncorrectable": "a GPU counted two uncorrectable memory errors",
    "ras-correctable": "a GPU counted correctable errors",
    "xgmi-errors": "a GPU's xGMI block counted an uncorrectable error",
    "bad-pages": "memory pages of a GPU wait for the next reset to be retired",
    "pcie-width": "a GPU's PCIe link runs with 8 lanes",
    "pcie-speed": "a GPU's PCIe link runs at 16 GT/s",
    "pcie-errors": "a GPU's PCIe link counted non-fatal errors",
    "power-cap": "a GPU's power cap is lowered to 70 %",
    "hot-gpu": "a GPU is 60 degrees hotter than the others",
    "throttle": "a GPU throttles because of its power limit",
    "gpu-missing": "one GPU is not on the bus",
    "driver-mixed": "another amdgpu version than on the other hosts",
    "wrong-nps": "the BIOS splits the sockets into other NUMA nodes",
    "wrong-partition": "one GPU is in DPX",
    "memlock-low": "sessions may lock 64 MiB of memory only",
    "rdma-port-down": "one RDMA port is down",
    "mtu-mixed": "one rail has a smaller MTU than on the other hosts",
    "unshared-cache": "the folder that should be shared is the host's own, whatever its mount table says",
    "port-taken": "another program listens on the ports that training programs meet at",
    "clock-skew": "the host's clock is a minute and a half ahead",
    "log-gpu-reset": "the kernel log tells of a GPU reset",
    "log-gpu-lost": "the kernel log tells of a GPU that left the bus",
    "log-ras": "the kernel log tells of an uncorrectable GPU error",
    "log-correctable": "the kernel log tells of corrected GPU errors",
    "log-page-fault": "the kernel log tells of a GPU page fault",
    "log-pcie": "the kernel log tells of a fatal PCIe error",
    "log-throttled": "the kernel log tells of a throttled GPU",
    "log-oversubscribed": "the kernel log tells of too many work queues",
    "log-nic": "the kernel log tells of a network adapter's fault",
}
"""Failures a host has from the start."""

ENGINE_FAULTS = {
    "pull-denied": "the registry refuses the pull",
    "no-space": "the disk fills up during the pull",
    "no-network": "the registry cannot be reached",
}

PROGRAM_FAULTS = {
    "dies-at-once": "exit 1 after an import error",
    "oom": "out of GPU memory while the weights load, or in the first training step",
    "killed-for-memory": "the kernel kills it while measuring: exit 137, OOMKilled",
    "gpu-hang": "a GPU memory access fault while measuring, exit 134",
    "hang": "silence after the engine is ready, until the deadline",
    "no-result-file": "ends well, but writes no result file",
    "truncated-result": "the result file is cut in the middle",
    "not-json": "the result file holds an error page",
    "port-in-use": "the server's port is taken",
    "gated": "the model repository is gated and the token is not accepted",
    "no-disk": "the model cache fills up during a download",
    "rank-dies": "a rank of a training run is killed without a word after a third of the steps",
    "stall": "a training run stops making steps; its collectives time out in the end",
    "nan": "the loss of a training run becomes nan",
    "wrong-interface": "RCCL finds no interface of the name it was given",
    "socket-fallback": "RCCL finds no RDMA device and moves data over TCP sockets, slowly",
    "poisoned-tokenizer": "an earlier download left an empty tokenizer folder",
    "rdma-errors": "error counters of an RDMA port and its interface grow while a training run goes on",
    "throttles": "a GPU throttles because of its temperature while the program measures",
    "power-limited": "all GPUs run at their power limit while the program measures",
    "counts-uncorrectable": "a GPU counts an uncorrectable error while the program measures",
    "counts-correctable": "a GPU counts correctable errors while the program measures",
    "logs-fault": "the kernel log tells of an uncorrectable GPU error while the program measures",
    "logs-warning": "the kernel log tells of a throttled GPU while the program measures",
}

DISTURBANCES = frozenset(
    {
        "rdma-errors",
        "throttles",
        "power-limited",
        "counts-uncorrectable",
        "counts-correctable",
        "logs-fault",
        "logs-warning",
    }
)
"""Program failures that show in the host alone: the program itself goes on and ends well."""

FABRIC_FAULTS = {
    "rail-dead": "no bytes pass on one rail of the host, though its link is up",
    "rail-small-frames": "large frames are lost on one rail of the host",
    "no-provider": "containers on the host do not know the library of its RDMA devices",
}
"""Failures that only show when bytes are moved, or devices opened."""

ALL = HOST_FAULTS | FABRIC_FAULTS | ENGINE_FAULTS | PROGRAM_FAULTS


HOW = """\
# Failures to play. A change counts from the next container or pull on, for hosts from the next `instinct lab up` on.
#   [[fault]]
#   name = "stall"           # one of the names below
#   host = "lab-mi300x-0*"   # which hosts; all of them without it
#   when = "NODE_RANK=1"     # what image, command line or environment must have in it
#   times = 1                # how often; always without it
"""


class FaultsError(ValueError):
    """A faults file that cannot be used, and why."""


@dataclass(frozen=True)
class Fault:
    """One failure. `host` is a glob; `when` must occur in the program's image, command line or
    environment (`NODE_RANK=1`); `times` 0 is always."""

    name: str
    host: str = "*"
    when: str = ""
    times: int = 0

    def matches(self, name: str, host: str, text: str) -> bool:
        """Whether this one speaks of that failure, host and command line."""
        return self.name == name and fnmatchcase(host, self.host) and self.when in text


class Faults:
    """The faults of a lab. A change of the file counts from the next container or pull on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._given: tuple[Fault, ...] = ()
        self._used: dict[Fault, int] = {}

    def write(self, faults: Sequence[Fault]) -> None:
        """Store these faults in the file, replacing what was there."""
        blocks = [
            f'[[fault]]\nname = "{one.name}"\nhost = "{one.host}"\nwhen = "{one.when}"\ntimes = {one.times}\n'
            for one in faults
        ]
        known = "".join(f"# {name}: {meaning}\n" for name, meaning in ALL.items())
        self._path.write_text(f"{HOW}\n{known}\n" + "\n".join(blocks))
        self._seen = 0

    def current(self) -> tuple[Fault, ...]:
        """The faults as the file stands. FaultsError on a bad one."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return ()
        if changed != self._seen:
            self._given = tuple(_read(self._path))
            self._used = {}
            self._seen = changed
        return self._given

    def has(self, name: str, host: str, text: str = "") -> bool:
        """Whether a fault applies, without using it up."""
        return any(one.matches(name, host, text) for one in self.current())

    def take(self, name: str, host: str, text: str = "") -> bool:
        """Whether a fault applies now; one with `times` is used up by it."""
        for one in self.current():
            if one.matches(name, host, text):
                used = self._used.get(one, 0)
                if one.times == 0 or used < one.times:
                    self._used[one] = used + 1
                    return True
        return False

    def program(self, host: str, text: str, asked: str = "") -> str:
        """The failure a program has to play: what the container itself asks for, else the file's first match."""
        if asked:
            return asked
        return next((name for name in PROGRAM_FAULTS if self.take(name, host, text)), "")


def _read(path: Path) -> Iterable[Fault]:
    try:
        given = tomllib.loads(path.read_text()).get("fault", [])
    except tomllib.TOMLDecodeError as error:
        raise FaultsError(f"{path}: {error}") from error
    for position, table in enumerate(given, 1):
        fault = Fault(**table)
        if fault.name not in ALL:
            raise FaultsError(f"{path}: fault {position}: no failure is called {fault.name!r}; known: {', '.join(ALL)}")
        yield fault
