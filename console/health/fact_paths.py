"""Facts by the path that server profiles name them with."""

from typing import Any

import msgspec

from console.model.facts import Driver, Gpu, HostFacts, Known, System, Unknown


class Placed(msgspec.Struct, frozen=True):
    """One fact and what it belongs to: the PCI address of a GPU, or nothing for the host itself."""

    where: str
    fact: Known[Any] | Unknown


def known_paths() -> tuple[str, ...]:
    """Every path a profile may name."""
    return (
        *(f"system.{name}" for name in System.__struct_fields__),
        *(f"driver.{name}" for name in Driver.__struct_fields__),
        "gpu.count",
        *(f"gpu.{name}" for name in Gpu.__struct_fields__),
    )


def facts_at(facts: HostFacts, path: str) -> tuple[Placed, ...]:
    """The facts a path names: one of the host, one of each GPU, or their number.

    GPUs that could not be read are one unknown fact. A path that names nothing is unknown too, saying so.
    """
    area, _, name = path.partition(".")
    if path not in known_paths():
        return (Placed("", Unknown("no such fact", f"{path} is not a fact of a host")),)
    if area in ("system", "driver"):
        return (Placed("", getattr(getattr(facts, area), name)),)
    if isinstance(facts.gpus, Unknown):
        return (Placed("", facts.gpus),)
    if name == "count":
        return (Placed("", Known(len(facts.gpus.value), facts.gpus.source)),)
    return tuple(Placed(gpu.bdf, _of_gpu(gpu, name, facts.gpus.source)) for gpu in facts.gpus.value)


def _of_gpu(gpu: Gpu, name: str, source: str) -> Known[Any] | Unknown:
    value = getattr(gpu, name)
    return value if isinstance(value, Known | Unknown) else Known(value, source)
