"""Which user-space drivers of RDMA devices a container needs from its host. Pure.

A vendor's kernel driver and its library must fit each other, and images carry the library of their own distribution:
Broadcom's is therefore brought from the host (AMD's Megatron-LM Slurm script mounts it, so does ROCm/cvs), and AMD's
for Pensando, which older distributions do not have at all.
"""

from collections.abc import Mapping, Sequence

from console.model.facts import HostFacts, ProviderLibrary, value_or
from console.model.host_facts import RdmaDevice
from console.model.launch import Mount

PROVIDER_FOLDER = "/usr/lib/x86_64-linux-gnu/libibverbs"
"""Where libibverbs of AMD's images (Ubuntu) looks for providers."""

_OF_DRIVER: Mapping[str, str] = {
    "bnxt_en": "bnxt_re",
    "bnxt_re": "bnxt_re",
    "ionic": "ionic",
    "mlx5_core": "mlx5",
    "ice": "irdma",
    "irdma": "irdma",
    "efa": "efa",
    "cxgb4": "cxgb4",
    "qede": "qedr",
}
"""Provider by the kernel driver of the interface behind an RDMA device."""

FROM_HOST = frozenset({"bnxt_re", "ionic"})
"""Providers that are brought from the host unless a row says otherwise; images have working ones of the others."""


def providers_of(facts: HostFacts, devices: Sequence[RdmaDevice]) -> tuple[str, ...]:
    """Names of the providers that a host's RDMA devices need, each once."""
    nics = value_or(facts.nics, ())
    drivers = {nic.name: nic.driver for nic in nics}
    found = [_OF_DRIVER.get(drivers.get(netdev, "")) for device in devices for netdev in device.netdevs]
    return tuple(dict.fromkeys(name for name in found if name is not None))


def provider_mounts(facts: HostFacts, devices: Sequence[RdmaDevice], wish: str | None) -> tuple[Mount, ...]:
    """What is mounted from the host: the library in place of the image's own, and what makes libibverbs look for it.

    `wish`: None takes those of FROM_HOST, `none` none, and names with commas those and no others.
    """
    wanted = FROM_HOST if wish is None else frozenset(name.strip() for name in wish.split(","))
    there = value_or(facts.providers, ())
    mounts: list[Mount] = []
    for name in providers_of(facts, devices):
        library = next((one for one in there if one.name == name), None)
        if name in wanted and library is not None:
            mounts += _mounts(library)
    return tuple(mounts)


def _mounts(library: ProviderLibrary) -> list[Mount]:
    inside = f"{PROVIDER_FOLDER}/{library.path.rpartition('/')[2]}"
    config = [Mount(library.config, library.config, read_only=True)] if library.config else []
    return [Mount(library.path, inside, read_only=True), *config]
