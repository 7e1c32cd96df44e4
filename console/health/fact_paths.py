"""Facts by the path that server profiles name them with."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from console.health.expectation import shown
from console.model.facts import Driver, Gpu, HostFacts, Known, System, Unknown


class Placed(msgspec.Struct, frozen=True):
    """One fact and what it belongs to: the PCI address of a GPU, or nothing for the host itself."""

    where: str
    fact: Known[Any] | Unknown


@cache
def known_paths() -> tuple[str, ...]:
    """Every path a profile may name."""
    return (
        *(f"system.{name}" for name in System.__struct_fields__),
        *(f"driver.{name}" for name in Driver.__struct_fields__),
        "gpu.count",
        "rdma.count",
        "rdma.active",
        "shared_memory.total_bytes",
        *(f"gpu.{name}" for name in Gpu.__struct_fields__),
    )


def facts_at(facts: HostFacts, path: str) -> tuple[Placed, ...]:
    """The facts a path names: one of the host, one of each GPU, or their number (of devices, however partitioned).

    `cmdline.NAME` is the value of a parameter of the kernel's command line, `absent` when it is not there. GPUs that
    could not be read are one unknown fact. A path that names nothing is unknown too, saying so.
    """
    area, _, name = path.partition(".")
    if area == "cmdline" and name:
        return (Placed("", _parameter(facts.system.cmdline, name)),)
    if path not in known_paths():
        return (Placed("", Unknown("no such fact", f"{path} is not a fact of a host")),)
    if area in ("system", "driver"):
        return (Placed("", getattr(getattr(facts, area), name)),)
    if area == "rdma":
        return (Placed("", _ports(facts, name)),)
    if area == "shared_memory":
        return (Placed("", _size(facts)),)
    if isinstance(facts.gpus, Unknown):
        return (Placed("", facts.gpus),)
    if name == "count":
        count = len({gpu.device_bdf or gpu.bdf for gpu in facts.gpus.value})
        return (Placed("", Known(count, facts.gpus.source)),)
    return tuple(Placed(gpu.bdf, _of_gpu(gpu, name, facts.gpus.source)) for gpu in facts.gpus.value)


def values_shown(path: str, placed: Iterable[Placed]) -> str:
    """The values that are known, each once, for people."""
    return ", ".join(dict.fromkeys(shown(path, item.fact.value) for item in placed if isinstance(item.fact, Known)))


def _of_gpu(gpu: Gpu, name: str, source: str) -> Known[Any] | Unknown:
    value = getattr(gpu, name)
    return value if isinstance(value, Known | Unknown) else Known(value, source)


def _parameter(cmdline: Known[str] | Unknown, name: str) -> Known[Any] | Unknown:
    """The last one wins; a parameter without a value is `set`."""
    if isinstance(cmdline, Unknown):
        return cmdline
    value = "absent"
    for word in cmdline.value.split():
        key, equals, text = word.partition("=")
        if key == name:
            value = text if equals else "set"
    return Known(value, cmdline.source)


def _ports(facts: HostFacts, name: str) -> Known[Any] | Unknown:
    if isinstance(facts.rdma, Unknown):
        return facts.rdma
    ports = [port for device in facts.rdma.value for port in device.ports]
    active = [port for port in ports if port.state == "ACTIVE"]
    return Known(len(ports if name == "count" else active), facts.rdma.source)


def _size(facts: HostFacts) -> Known[Any] | Unknown:
    place = facts.shared_memory
    if isinstance(place, Unknown):
        return place
    if place.value.total_bytes is None:
        return Unknown("size not read", place.value.path, ("df", "-h", place.value.path))
    return Known(place.value.total_bytes, place.source)
