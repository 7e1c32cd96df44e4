"""What one probe read of a host. Every value is known (with its source) or unknown (with why).

Sizes are bytes, powers watts, times UTC nanoseconds since 1970 on the clock of the host unless said otherwise.
"""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Known(msgspec.Struct, Generic[T], frozen=True, tag="known"):
    """A value that was read, and where: a path or a command."""

    value: T
    source: str


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A value that could not be read: why, and the command that would show it."""

    why: str
    detail: str = ""
    show: tuple[str, ...] = ()


Fact = Known[T] | Unknown

NOT_READ = Unknown("not read")


def value_or(fact: "Known[T] | Unknown", other: T) -> T:
    """The value when known, else `other`. Never use it to turn unknown into a pass."""
    return fact.value if isinstance(fact, Known) else other


class Clock(msgspec.Struct, frozen=True):
    """Host time beside ours: offset is host minus ours, uncertainty is half the round trip. Nanoseconds."""

    offset_ns: int
    uncertainty_ns: int


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Operating system, board and processor."""

    hostname: Known[str] | Unknown = NOT_READ
    boot_id: Known[str] | Unknown = NOT_READ
    os: Known[str] | Unknown = NOT_READ
    kernel: Known[str] | Unknown = NOT_READ
    cmdline: Known[str] | Unknown = NOT_READ
    cpu: Known[str] | Unknown = NOT_READ
    sockets: Known[int] | Unknown = NOT_READ
    cpus_online: Known[int] | Unknown = NOT_READ
    smt_active: Known[bool] | Unknown = NOT_READ
    numa_nodes: Known[int] | Unknown = NOT_READ
    nodes_per_socket: Known[int] | Unknown = NOT_READ
    numa_balancing: Known[int] | Unknown = NOT_READ
    bios_version: Known[str] | Unknown = NOT_READ
    bios_date: Known[str] | Unknown = NOT_READ
    product: Known[str] | Unknown = NOT_READ
    memory_bytes: Known[int] | Unknown = NOT_READ
    memory_available_bytes: Known[int] | Unknown = NOT_READ
    groups: Known[tuple[str, ...]] | Unknown = NOT_READ
    user: Known[str] | Unknown = NOT_READ


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """amdgpu, KFD and the ROCm of the host. A host without ROCm is normal when benchmarks run in containers."""

    amdgpu_loaded: Known[bool] | Unknown = NOT_READ
    amdgpu_version: Known[str] | Unknown = NOT_READ
    rocm_version: Known[str] | Unknown = NOT_READ
    kfd_present: Known[bool] | Unknown = NOT_READ
    kfd_gid: Known[int] | Unknown = NOT_READ
    kfd_process_ids: Known[tuple[int, ...]] | Unknown = NOT_READ


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU (or one partition of it), keyed by its PCI address; indexes of tools differ and are not used."""

    bdf: str
    device_id: str
    model: Known[str] | Unknown = NOT_READ
    unique_id: Known[str] | Unknown = NOT_READ
    compute_units: Known[int] | Unknown = NOT_READ
    render_node: Known[str] | Unknown = NOT_READ
    render_gid: Known[int] | Unknown = NOT_READ
    numa_node: Known[int] | Unknown = NOT_READ
    vram_total_bytes: Known[int] | Unknown = NOT_READ
    vram_used_bytes: Known[int] | Unknown = NOT_READ
    compute_partition: Known[str] | Unknown = NOT_READ
    memory_partition: Known[str] | Unknown = NOT_READ
    power_cap_w: Known[float] | Unknown = NOT_READ
    performance_level: Known[str] | Unknown = NOT_READ


class DockerAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine is reached: `socket` directly, or through `argv` (a dial-stdio bridge, perhaps with sudo)."""

    flavour: str
    socket: str
    argv: tuple[str, ...] = ()


class GpuContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container on a host that has GPUs; `owner`, `run` and `attempt` are filled for those of this product.

    `access` says how it can reach them: "devices", "device request", or "privileged" (which may well not use them).
    """

    name: str
    id: str
    image: str
    state: str
    since: str
    ours: bool = False
    owner: str = ""
    run: str = ""
    attempt: str = ""
    access: str = ""


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What the Docker engine says of itself, and what is there for a run."""

    version: str
    api: str
    storage_driver: str
    root_dir: str
    gpu_containers: tuple[GpuContainer, ...] = ()
    images: tuple[str, ...] = ()
    """References (tags and repository digests) of the images present."""


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """A place on the host: free space, and which file system it is (to see that two hosts share it)."""

    path: str
    exists: bool
    writable: bool
    free_bytes: int | None
    total_bytes: int | None
    fs_type: str
    fs_source: str

    @property
    def shared_id(self) -> str | None:
        """Equal on hosts that see the same network file system; None for a local one."""
        network = ("nfs", "nfs4", "lustre", "beegfs", "ceph", "gpfs", "wekafs", "cifs", "fuse.weka", "fuse.juicefs")
        return f"{self.fs_type}:{self.fs_source}" if self.fs_type in network else None


class CachedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the Hugging Face cache of a host: the revision its `main` points at and what is missing of it."""

    model: str
    revision: str | None
    present_bytes: int
    missing: tuple[str, ...]
    incomplete: int

    @property
    def complete(self) -> bool:
        """All files of the weight index are there and no download is half done."""
        return self.revision is not None and not self.missing and self.incomplete == 0


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One probe of one host; `read_at_ns` is our clock."""

    host: str
    read_at_ns: int
    clock: Known[Clock] | Unknown = NOT_READ
    system: System = System()
    driver: Driver = Driver()
    gpus: Known[tuple[Gpu, ...]] | Unknown = NOT_READ
    docker: Known[DockerAccess] | Unknown = NOT_READ
    engine: Known[Engine] | Unknown = NOT_READ
    docker_storage: Known[Storage] | Unknown = NOT_READ
    infiniband: Known[tuple[str, ...]] | Unknown = NOT_READ
    model_cache: Known[Storage] | Unknown = NOT_READ
    scratch: Known[Storage] | Unknown = NOT_READ
    models: Known[tuple[CachedModel, ...]] | Unknown = NOT_READ
    simulated: bool = False
