"""Facts of a host's system, driver, network and kernel log. Bytes; CPU counts are logical unless they say cores."""

import msgspec

from console.model.gpu_facts import GpuProcess
from console.model.known import NOT_READ, Known, Unknown

UNLIMITED = 2**63 - 1
"""A limit that is not set, so that ranges can be held against it."""


class NumaNode(msgspec.Struct, frozen=True, kw_only=True):
    """One NUMA node; `cpus` 0 for memory without processors (HBM, CXL). `distances` to every node in order."""

    number: int
    cpus: int
    cpu_list: str = ""
    memory_bytes: int | None = None
    distances: tuple[int, ...] = ()


class CState(msgspec.Struct, frozen=True, kw_only=True):
    """An idle state of the processors, and on how many of them it is disabled."""

    name: str
    latency_us: int | None = None
    cpus: int = 0
    disabled: int = 0


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

    cpu_family: Known[int] | Unknown = NOT_READ
    """25 is Zen 4 (EPYC 9004), 26 is Zen 5 (EPYC 9005)."""
    cores: Known[int] | Unknown = NOT_READ
    cores_per_socket: Known[int] | Unknown = NOT_READ
    cpus_present: Known[int] | Unknown = NOT_READ
    smt_control: Known[str] | Unknown = NOT_READ
    numa: Known[tuple[NumaNode, ...]] | Unknown = NOT_READ
    vendor: Known[str] | Unknown = NOT_READ
    board: Known[str] | Unknown = NOT_READ
    bios_vendor: Known[str] | Unknown = NOT_READ
    os_id: Known[str] | Unknown = NOT_READ
    """As os-release has it: `ubuntu`, `rhel`, `sles`."""
    os_version: Known[str] | Unknown = NOT_READ
    kernel_build: Known[str] | Unknown = NOT_READ
    iommu: Known[str] | Unknown = NOT_READ
    """`off`, `passthrough`, `translating` or `mixed`: what the kernel does, whatever the command line says."""
    thp: Known[str] | Unknown = NOT_READ
    """Transparent huge pages: `always`, `madvise` or `never`."""
    governor: Known[str] | Unknown = NOT_READ
    """Of every processor when they agree; else each with its count, as `performance 380, powersave 4`."""
    cpufreq_driver: Known[str] | Unknown = NOT_READ
    boost: Known[bool] | Unknown = NOT_READ
    c_states: Known[tuple[CState, ...]] | Unknown = NOT_READ
    c2_disabled: Known[bool] | Unknown = NOT_READ
    """On every processor. Unknown where there is no state of that name."""
    memlock_bytes: Known[int] | Unknown = NOT_READ
    """Soft limit of the session; UNLIMITED where there is none. A container's limit is its own."""
    open_files: Known[int] | Unknown = NOT_READ
    stack_bytes: Known[int] | Unknown = NOT_READ
    acs_bridges: Known[int] | Unknown = NOT_READ
    """PCIe bridges with access control switched on (it slows traffic between devices); only root can see it."""
    swappiness: Known[int] | Unknown = NOT_READ
    dmesg_restricted: Known[bool] | Unknown = NOT_READ
    uptime_s: Known[float] | Unknown = NOT_READ
    load_1m: Known[float] | Unknown = NOT_READ


class DkmsModule(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `dkms status`."""

    module: str
    version: str
    kernel: str = ""
    arch: str = ""
    state: str = ""


class RocmInstall(msgspec.Struct, frozen=True):
    """A ROCm found on the host: the folder, and its version as its own file says (empty when it has none)."""

    path: str
    version: str


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """amdgpu, KFD and the ROCm of the host. A host without ROCm is normal when benchmarks run in containers."""

    amdgpu_loaded: Known[bool] | Unknown = NOT_READ
    amdgpu_version: Known[str] | Unknown = NOT_READ
    rocm_version: Known[str] | Unknown = NOT_READ
    kfd_present: Known[bool] | Unknown = NOT_READ
    kfd_gid: Known[int] | Unknown = NOT_READ
    kfd_process_ids: Known[tuple[int, ...]] | Unknown = NOT_READ

    amdgpu_flavour: Known[str] | Unknown = NOT_READ
    """`package` (AMD's own driver, by DKMS) or `kernel` (the one the kernel came with)."""
    amdgpu_srcversion: Known[str] | Unknown = NOT_READ
    amdgpu_initstate: Known[str] | Unknown = NOT_READ
    dkms: Known[tuple[DkmsModule, ...]] | Unknown = NOT_READ
    dkms_state: Known[str] | Unknown = NOT_READ
    """Of amdgpu for the kernel that runs: `installed`, `built`, `added`, or `absent`."""
    rocm_installs: Known[tuple[RocmInstall, ...]] | Unknown = NOT_READ
    amd_smi_version: Known[str] | Unknown = NOT_READ
    amd_smi_rocm: Known[str] | Unknown = NOT_READ
    kfd_accessible: Known[bool] | Unknown = NOT_READ
    """Whether the account may open /dev/kfd for reading and writing."""
    processes: Known[tuple[GpuProcess, ...]] | Unknown = NOT_READ


class Gid(msgspec.Struct, frozen=True):
    """An entry of a port's GID table that is in use; `kind` as the kernel has it (`RoCE v2`, `IB/RoCE v1`)."""

    index: int
    gid: str
    kind: str = ""


class RdmaPort(msgspec.Struct, frozen=True, kw_only=True):
    """One port; `state` and `phys_state` without the kernel's number (`ACTIVE`, `LinkUp`), rate in Gb/s.

    `gids` are the first entries of its GID table. `counters` are those that count trouble (symbol_error, link_downed,
    …) by the kernel's name; None: not readable.
    """

    number: int
    state: str = ""
    phys_state: str = ""
    rate_gbps: float | None = None
    rate: str = ""
    link_layer: str = ""
    gid3: str = ""
    gids: tuple[Gid, ...] = ()
    counters: tuple[tuple[str, int | None], ...] = ()


class RdmaDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One RDMA device with its ports; empty text where the kernel does not tell."""

    name: str
    ports: tuple[RdmaPort, ...] = ()
    firmware: str = ""
    board_id: str = ""
    kind: str = ""
    node_guid: str = ""
    numa_node: int | None = None
    netdevs: tuple[str, ...] = ()


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """One network interface that has hardware behind it, or an address. Speed is Mb/s, None when it has none (down)."""

    name: str
    operstate: str = ""
    speed_mbps: int | None = None
    mtu: int | None = None
    driver: str = ""
    mac: str = ""
    physical: bool = False
    numa_node: int | None = None
    addresses: tuple[str, ...] = ()
    """With prefix length, as `10.0.0.4/24`."""


class ProviderLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """A user-space driver of RDMA devices on a host: `name` as libibverbs knows it (`bnxt_re`), and its file.

    `config` is the file that makes libibverbs look for it; empty where the host has none.
    """

    name: str
    path: str
    config: str = ""


class KernelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the kernel log. `at_ns` is UTC on the host's clock, None where the line has no time that can be told.

    `text` is the message alone; `raw` the whole line as it was printed, clean.
    """

    text: str
    raw: str
    at_ns: int | None = None
    level: str = ""


class KernelLog(msgspec.Struct, frozen=True, kw_only=True):
    """The newest part of the kernel's log, oldest line first.

    `source` is the command or file it came from. `complete` is false when older lines were left out (or the ring
    buffer had lost them): then what is not in it may still have happened. `this_boot` is false for a log that may hold
    earlier boots.
    """

    source: str
    lines: tuple[KernelLine, ...]
    complete: bool
    this_boot: bool = True

    @property
    def oldest_ns(self) -> int | None:
        """Time of the oldest line that has one."""
        return next((line.at_ns for line in self.lines if line.at_ns is not None), None)

    @property
    def newest_ns(self) -> int | None:
        """Time of the newest line that has one."""
        return next((line.at_ns for line in reversed(self.lines) if line.at_ns is not None), None)
