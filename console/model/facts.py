"""What one probe read of a host. Every value is known (with its source) or unknown (with why).

Sizes are bytes, powers watts, times UTC nanoseconds since 1970 on the clock of the host unless said otherwise.
"""

import msgspec

from console.model.gpu_facts import (
    BadPages,
    Firmware,
    Gpu,
    GpuLink,
    GpuProcess,
    PciDevice,
    RasBlock,
    Throttle,
)
from console.model.host_facts import (
    UNLIMITED,
    CState,
    DkmsModule,
    Driver,
    Gid,
    KernelLine,
    KernelLog,
    Nic,
    NumaNode,
    ProviderLibrary,
    RdmaDevice,
    RdmaPort,
    RocmInstall,
    System,
)
from console.model.known import NOT_READ, Fact, Known, Unknown, first_unknown, value_or

__all__ = [
    "NOT_READ",
    "UNLIMITED",
    "BadPages",
    "CState",
    "CachedModel",
    "Clock",
    "DkmsModule",
    "DockerAccess",
    "Driver",
    "Engine",
    "Fact",
    "Firmware",
    "Gid",
    "Gpu",
    "GpuContainer",
    "GpuLink",
    "GpuProcess",
    "HostFacts",
    "KernelLine",
    "KernelLog",
    "Known",
    "Nic",
    "NumaNode",
    "PciDevice",
    "ProviderLibrary",
    "RasBlock",
    "RdmaDevice",
    "RdmaPort",
    "RocmInstall",
    "Storage",
    "System",
    "Throttle",
    "Unknown",
    "first_unknown",
    "value_or",
]


class Clock(msgspec.Struct, frozen=True):
    """Host time beside ours: offset is host minus ours, uncertainty is half the round trip. Nanoseconds."""

    offset_ns: int
    uncertainty_ns: int


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
    simulated: bool = False
    """The engine says of itself that it is the embedded lab's."""


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


class HostFacts(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
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

    rdma: Known[tuple[RdmaDevice, ...]] | Unknown = NOT_READ
    nics: Known[tuple[Nic, ...]] | Unknown = NOT_READ
    providers: Known[tuple[ProviderLibrary, ...]] | Unknown = NOT_READ
    """User-space drivers of RDMA devices; vendors install theirs beside those of the distribution."""
    listening: Known[tuple[int, ...]] | Unknown = NOT_READ
    """TCP ports that programs listen on, whatever the address."""
    other_gpus: Known[tuple[PciDevice, ...]] | Unknown = NOT_READ
    """Display and accelerator devices that are not among `gpus`."""
    kernel_log: Known[KernelLog] | Unknown = NOT_READ
    shared_memory: Known[Storage] | Unknown = NOT_READ
    """The shared memory file system (`/dev/shm`) of the host."""
    origin: str = ""
    """The bundle or folder these were read from; empty for a live host."""


def with_newest_log(facts: HostFacts, lines: int) -> HostFacts:
    """The facts with so many of the newest lines of the kernel log, which is then not complete."""
    log = facts.kernel_log
    if isinstance(log, Unknown) or len(log.value.lines) <= lines:
        return facts
    end = msgspec.structs.replace(log.value, lines=log.value.lines[-lines:], complete=False)
    return msgspec.structs.replace(facts, kernel_log=Known(end, log.source))
