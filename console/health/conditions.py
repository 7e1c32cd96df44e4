"""What a host contributes to the conditions of a figure measured on it."""

from collections.abc import Iterable
from typing import Any, TypeVar

from console.model.cell import Conditions
from console.model.facts import HostFacts, Known, Unknown
from console.model.launch import Need
from console.model.names import gpu_name

T = TypeVar("T")


def conditions(facts: HostFacts, need: Need) -> Conditions:
    """Conditions of one host for one need. A value its GPUs do not share is not known for the host as a whole.

    `gpus` counts those the cell uses. `image` is the need's; digest and engine are for whoever starts it to add.
    """
    gpus = facts.gpus.value if isinstance(facts.gpus, Known) else ()
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
        driver=_known(driver.amdgpu_version),
        host_rocm=_known(driver.rocm_version),
        cpu=_known(system.cpu),
        nodes_per_socket=_known(system.nodes_per_socket),
        bios_version=_known(system.bios_version),
        os=_known(system.os),
        kernel=_known(system.kernel),
        simulated=facts.simulated,
    )


def _known(fact: Known[T] | Unknown) -> T | None:
    return fact.value if isinstance(fact, Known) else None


def _shared(facts: Iterable[Known[T] | Unknown]) -> T | None:
    """The value all of them have; None when one is unknown or differs."""
    values: list[Any] = [_known(fact) for fact in facts]
    return values[0] if values and all(value == values[0] for value in values) else None
