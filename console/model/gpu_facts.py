"""Facts of the GPUs of a host. Bytes, watts, Celsius, MHz, per cent; link speeds GT/s a lane, bandwidths MB/s."""

from typing import Literal

import msgspec

from console.model.known import NOT_READ, Known, Unknown

LinkKind = Literal["pcie", "xgmi", "other"]


class GpuLink(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the KFD topology from a GPU: to another GPU (`to_bdf`), or to a processor's node (`to_bdf` empty).

    `weight` is the driver's own figure; read the kind from `kind`. `max_mb_per_s` is 0 where the driver tells none.
    """

    kind: LinkKind
    to_node: int
    to_bdf: str = ""
    weight: int = 0
    max_mb_per_s: int = 0
    same_device: bool = False
    """Between two partitions of one GPU."""


class RasBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Error counters of one block of a GPU since the driver was loaded. `deferred` is None on older drivers."""

    block: str
    uncorrectable: int
    correctable: int
    deferred: int | None = None


class BadPages(msgspec.Struct, frozen=True, kw_only=True):
    """Memory pages taken out of use: retired for good, pending until the next reset, or not reservable."""

    retired: int
    pending: int
    unreservable: int


class Firmware(msgspec.Struct, frozen=True):
    """One firmware of a GPU by the driver's name of it, lower case (`mec`, `rlc`, `sdma`, `smc`)."""

    name: str
    version: str


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to throttle, as of now (never a lifetime total): `prochot`, `ppt`, `socket_thermal`, …

    `active` is None where the tool has no answer for it. `percent`: of the last interval, where told.
    """

    reason: str
    active: bool | None
    percent: float | None = None


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds a GPU. `container` is the id it runs in, as its cgroup says, or empty."""

    pid: int
    name: str = ""
    user: str = ""
    container: str = ""
    vram_bytes: int | None = None
    gpus: tuple[str, ...] = ()
    """PCI addresses, where it can be told which."""


class PciDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A display or accelerator device that is no GPU of ours: a BMC's VGA, another maker's, or one without amdgpu."""

    bdf: str
    vendor_id: str
    device_id: str
    class_id: str
    driver: str = ""
    name: str = ""
    """The model, when it is an AMD Instinct."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU (or one partition of it), keyed by its PCI address; indexes of tools differ and are only for show.

    Partitions of one GPU share what belongs to the device: links, counters, power, temperatures, unique id.
    """

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

    # what it is
    device_bdf: str = ""
    """PCI address of the whole device; `bdf` of a partition has another function number."""
    partition: int = 0
    """Number of the partition on its device, 0 for a whole GPU."""
    virtual_function: Known[bool] | Unknown = NOT_READ
    runtime_status: Known[str] | Unknown = NOT_READ
    """`active`, or `suspended`: then nothing is read that would wake it."""
    product_name: Known[str] | Unknown = NOT_READ
    serial_number: Known[str] | Unknown = NOT_READ
    product_number: Known[str] | Unknown = NOT_READ
    subsystem_id: Known[str] | Unknown = NOT_READ
    revision: Known[str] | Unknown = NOT_READ
    vbios_version: Known[str] | Unknown = NOT_READ
    gfx: Known[str] | Unknown = NOT_READ
    xccs: Known[int] | Unknown = NOT_READ
    kfd_node: Known[int] | Unknown = NOT_READ
    oam_id: Known[int] | Unknown = NOT_READ
    hip_id: Known[int] | Unknown = NOT_READ
    smi_index: Known[int] | Unknown = NOT_READ
    available_compute_partitions: Known[tuple[str, ...]] | Unknown = NOT_READ
    available_memory_partitions: Known[tuple[str, ...]] | Unknown = NOT_READ
    memory_vendor: Known[str] | Unknown = NOT_READ
    visible_vram_bytes: Known[int] | Unknown = NOT_READ
    firmware: Known[tuple[Firmware, ...]] | Unknown = NOT_READ

    # what it does
    busy_percent: Known[float] | Unknown = NOT_READ
    memory_busy_percent: Known[float] | Unknown = NOT_READ
    power_w: Known[float] | Unknown = NOT_READ
    power_cap_default_w: Known[float] | Unknown = NOT_READ
    power_cap_max_w: Known[float] | Unknown = NOT_READ
    edge_c: Known[float] | Unknown = NOT_READ
    junction_c: Known[float] | Unknown = NOT_READ
    memory_c: Known[float] | Unknown = NOT_READ
    junction_slowdown_c: Known[float] | Unknown = NOT_READ
    junction_shutdown_c: Known[float] | Unknown = NOT_READ
    memory_slowdown_c: Known[float] | Unknown = NOT_READ
    memory_shutdown_c: Known[float] | Unknown = NOT_READ
    sclk_mhz: Known[int] | Unknown = NOT_READ
    sclk_max_mhz: Known[int] | Unknown = NOT_READ
    mclk_mhz: Known[int] | Unknown = NOT_READ
    mclk_max_mhz: Known[int] | Unknown = NOT_READ
    throttle: Known[tuple[Throttle, ...]] | Unknown = NOT_READ

    # how it is connected
    pcie_width: Known[int] | Unknown = NOT_READ
    pcie_max_width: Known[int] | Unknown = NOT_READ
    pcie_speed_gts: Known[float] | Unknown = NOT_READ
    pcie_max_speed_gts: Known[float] | Unknown = NOT_READ
    hive_id: Known[str] | Unknown = NOT_READ
    links: Known[tuple[GpuLink, ...]] | Unknown = NOT_READ
    xgmi_peers: Known[int] | Unknown = NOT_READ
    """Other devices reached over xGMI; 7 in a full mesh of eight."""
    xgmi_link_states: Known[tuple[str, ...]] | Unknown = NOT_READ
    """By link, as amd-smi prints them: up, down, disabled."""

    # what went wrong
    ras: Known[tuple[RasBlock, ...]] | Unknown = NOT_READ
    bad_pages: Known[BadPages] | Unknown = NOT_READ
    bad_page_threshold: Known[int] | Unknown = NOT_READ
    pcie_replay_count: Known[int] | Unknown = NOT_READ
    pcie_nak_sent: Known[int] | Unknown = NOT_READ
    pcie_nak_received: Known[int] | Unknown = NOT_READ
    aer_correctable: Known[int] | Unknown = NOT_READ
    aer_nonfatal: Known[int] | Unknown = NOT_READ
    aer_fatal: Known[int] | Unknown = NOT_READ
