"""Processors of a played host: /proc/cpuinfo, and what is below /sys/devices/system."""

from collections.abc import Iterator
from pathlib import Path

from console.lab.specs import Kind

CPU = "sys/devices/system/cpu"
NODE = "sys/devices/system/node"
IDLE = (("POLL", 0, 0), ("C1", 1, 0), ("C2", 800, 1))
"""Name, latency in microseconds, and whether it is disabled, of each idle state."""


def files(kind: Kind) -> Iterator[tuple[str, str]]:
    """Path and text of each file. Of the processors only the first has files, see `link`."""
    yield "proc/cpuinfo", "".join(_cpuinfo(kind))
    for name in ("online", "possible", "present"):
        yield f"{CPU}/{name}", f"0-{kind.cpus - 1}\n"
    yield f"{CPU}/smt/active", "0\n"
    yield f"{CPU}/smt/control", "off\n"
    yield f"{CPU}/cpufreq/boost", "1\n"
    yield f"{CPU}/cpu0/cpufreq/scaling_governor", "performance\n"
    yield f"{CPU}/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n"
    for number, (name, latency, disabled) in enumerate(IDLE):
        state = f"{CPU}/cpu0/cpuidle/state{number}"
        yield f"{state}/name", f"{name}\n"
        yield f"{state}/latency", f"{latency}\n"
        yield f"{state}/disable", f"{disabled}\n"
    yield from nodes(kind, kind.nodes)


def link(kind: Kind, root: Path) -> None:
    """All other processors are the first one again: hundreds of equal folders would cost every host its start."""
    for cpu in range(1, kind.cpus):
        (root / CPU / f"cpu{cpu}").symlink_to("cpu0")


def nodes(kind: Kind, count: int) -> Iterator[tuple[str, str]]:
    """NUMA nodes: processors, distances, memory."""
    yield f"{NODE}/online", f"0-{count - 1}\n"
    per, in_socket = kind.cpus // count, count // kind.sockets
    for number in range(count):
        distances = [
            10 if other == number else 12 if other // in_socket == number // in_socket else 32 for other in range(count)
        ]
        yield f"{NODE}/node{number}/cpulist", f"{number * per}-{(number + 1) * per - 1}\n"
        yield f"{NODE}/node{number}/distance", " ".join(map(str, distances)) + "\n"
        yield f"{NODE}/node{number}/meminfo", f"Node {number} MemTotal: {kind.memory_bytes // 1024 // count} kB\n"


def _cpuinfo(kind: Kind) -> Iterator[str]:
    for cpu in range(kind.cpus):
        yield (
            f"processor\t: {cpu}\nvendor_id\t: AuthenticAMD\ncpu family\t: {kind.family}\nmodel\t\t: {kind.model}\n"
            f"model name\t: {kind.cpu}\nstepping\t: 1\nphysical id\t: {cpu // kind.cores}\nsiblings\t: {kind.cores}\n"
            f"core id\t\t: {cpu % kind.cores}\ncpu cores\t: {kind.cores}\n\n"
        )
