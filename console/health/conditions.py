"""What a host contributes to the conditions of a figure measured on it."""

from collections.abc import Iterable
from typing import Any, TypeVar

from console.model.cell import Conditions
from console.model.facts import HostFacts, Known, Unknown, value_or
from console.model.launch import Need
from console.model.names import gpu_name

T = TypeVar("T")


def conditions(facts: HostFacts, need: Need) -> Conditions:
    """Conditions of one host for one need. A value its GPUs do not share is not known for the host as a whole.

    `gpus` counts those the cell uses. `image` is the need's; digest and engine are for whoever starts it to add.
    """
    gpus = value_or(facts.gpus, ())
    model = _shared(gpu.model for gpu in gpus)
    system, driver = facts.system, facts.driver
    return Conditions(
        gpu=gpu_name(model) if model is not None else None,
        gpus=need.gpus,
        nodes=need.nodes,
        compute_partition=_shared(gpu.compute_partition for gpu in gpus),
        memory_partition=_shared(gpu.memory_partition for gpu in gpus),
        image=need.image or None,
        power_cap_w=_shared(gpu.power_cap_w for gpu in gpus),
        driver=value_or(driver.amdgpu_version, None),
        host_rocm=value_or(driver.rocm_version, None),
        cpu=value_or(system.cpu, None),
        nodes_per_socket=value_or(system.nodes_per_socket, None),
        bios_version=value_or(system.bios_version, None),
        os=value_or(system.os, None),
        kernel=value_or(system.kernel, None),
        simulated=facts.simulated,
    )


def _shared(facts: Iterable[Known[T] | Unknown]) -> T | None:
    """The value all of them have; None when one is unknown or differs."""
    values: list[Any] = [value_or(fact, None) for fact in facts]
    return values[0] if values and all(value == values[0] for value in values) else None
