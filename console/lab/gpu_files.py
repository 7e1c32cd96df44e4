"""GPUs of a played host below /sys: PCI devices with sensors and counters, and the KFD topology."""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.lab.specs import MIB, Kind

BUSES = (0x05, 0x26, 0x46, 0x65, 0x85, 0xA6, 0xC6, 0xE5)
"""PCI bus of each GPU."""
DRM_MAJOR = 226
HIVE = 7198346173951231
IDLE_USED = 283 * MIB
IDLE_SCLK_MHZ, IDLE_MCLK_MHZ = 132, 900
TOPOLOGY = "sys/class/kfd/kfd/topology"

REASONS = ("prochot", "ppt", "socket_thermal", "vr_thermal", "hbm_thermal")
"""Why a GPU may throttle, in the order of gpu_metrics."""

RAS_BLOCKS = (
    "umc", "sdma", "gfx", "mmhub", "athub", "pcie_bif", "hdp", "xgmi_wafl", "df", "smn", "mp0", "mp1", "mca", "vcn",
    "jpeg",
)  # fmt: skip
FIRMWARE = {
    "mec": "0x000000a6", "rlc": "0x00000032", "sdma": "0x00000016", "sdma2": "0x00000016", "smc": "0x00557b00",
    "sos": "0x00366e2d", "ta_ras": "0x1b000205", "ta_xgmi": "0x20000015", "vcn": "0x09110018",
}  # fmt: skip
"""Versions by the driver's name of each firmware."""

_AER = {
    "correctable": (
        "RxErr",
        "BadTLP",
        "BadDLLP",
        "Rollover",
        "Timeout",
        "NonFatalErr",
        "CorrIntErr",
        "HeaderOF",
        "COR",
    ),
    "nonfatal": ("Undefined", "DLP", "SDES", "TLP", "FCP", "CmpltTO", "CmpltAbrt", "UnxCmplt", "MalfTLP", "NONFATAL"),
    "fatal": ("Undefined", "DLP", "SDES", "TLP", "FCP", "CmpltTO", "CmpltAbrt", "UnxCmplt", "MalfTLP", "FATAL"),
}


def bdf(gpu: int) -> str:
    """PCI address of a GPU."""
    return f"0000:{BUSES[gpu]:02x}:00.0"


def device(gpu: int) -> str:
    """The PCI device folder of a GPU."""
    return f"sys/bus/pci/devices/{bdf(gpu)}"


def sensors(gpu: int) -> str:
    """The hwmon folder of a GPU."""
    return f"{device(gpu)}/hwmon/hwmon{gpu + 3}"


def unique_id(host: str, gpu: int) -> int:
    """A GPU's unique id: made from host and position."""
    return int(hashlib.sha256(f"lab gpu {host} {gpu}".encode()).hexdigest()[:16], 16)


def idle_power_w(gpu: int) -> int:
    """Watts of an idle GPU."""
    return 139 + gpu


def aer(name: str, count: int = 0) -> str:
    """A file of PCIe errors with its total."""
    *kinds, total = _AER[name]
    lines = [f"{kind} {count if place == 0 else 0}" for place, kind in enumerate(kinds)]
    return "\n".join([*lines, f"TOTAL_ERR_{total} {count}"]) + "\n"


def files(kind: Kind) -> Iterator[tuple[str, str]]:
    """Path and text of each file; ids that only one host has are 0."""
    yield "dev/kfd", ""
    yield from topology(kind)
    for gpu in range(kind.gpus):
        yield f"dev/dri/renderD{128 + gpu}", ""
        yield f"dev/dri/card{gpu + 1}", ""
        yield from _device(kind, gpu)


def link(kind: Kind, root: Path) -> None:
    """Symbolic links between the folders."""
    (root / "sys/bus/pci/drivers/amdgpu").mkdir(parents=True, exist_ok=True)
    for gpu in range(kind.gpus):
        (root / device(gpu) / "driver").symlink_to("../../drivers/amdgpu")
        for name in (f"card{gpu + 1}", f"renderD{128 + gpu}"):
            node = root / f"sys/class/drm/{name}"
            node.mkdir(parents=True)
            (node / "device").symlink_to(f"../../../bus/pci/devices/{bdf(gpu)}")


def own_files(kind: Kind, host: str, root: Path) -> Iterator[tuple[str, str]]:
    """Files with the ids of this host's GPUs."""
    for gpu in range(kind.gpus):
        unique = unique_id(host, gpu)
        yield f"{device(gpu)}/unique_id", f"{unique:016x}\n"
        node = f"{TOPOLOGY}/nodes/{kind.nodes + gpu}"
        text = (root / node / "properties").read_text()
        yield f"{node}/properties", text.replace("unique_id 0\n", f"unique_id {unique}\n")
        yield f"{node}/gpu_id", f"{kfd_id(host, gpu)}\n"


def kfd_id(host: str, gpu: int) -> int:
    """KFD's number of a GPU."""
    return unique_id(host, gpu) & 0xFFFF or 1


# -------------------------------------------------------------------- KFD


def topology(kind: Kind) -> Iterator[tuple[str, str]]:
    """Processor nodes first, then the GPUs, each with a PCIe link to its node and xGMI links to all others."""
    yield f"{TOPOLOGY}/generation_id", "2\n"
    yield (
        f"{TOPOLOGY}/system_properties",
        "platform_oem 4777524452235890003\nplatform_id 85015745549651\nplatform_rev 2\n",
    )
    for number in range(kind.nodes):
        keys = {
            "cpu_cores_count": kind.cpus // kind.nodes, "simd_count": 0, "mem_banks_count": 1, "caches_count": 0,
            "io_links_count": kind.nodes - 1 + kind.gpus // kind.nodes, "gfx_target_version": 0, "vendor_id": 0,
            "device_id": 0, "location_id": 0, "domain": 0, "unique_id": 0,
        }  # fmt: skip
        yield f"{TOPOLOGY}/nodes/{number}/properties", properties(keys)
        yield f"{TOPOLOGY}/nodes/{number}/gpu_id", "0\n"
        yield f"{TOPOLOGY}/nodes/{number}/name", "\n"
    for gpu in range(kind.gpus):
        yield from _gpu_node(kind, f"{TOPOLOGY}/nodes/{kind.nodes + gpu}", gpu)


def gpu_keys(kind: Kind, gpu: int) -> dict[str, int]:
    """The properties of a whole GPU's node."""
    return {
        "cpu_cores_count": 0, "simd_count": 4 * kind.gpu.compute_units, "mem_banks_count": 1, "caches_count": 0,
        "io_links_count": kind.gpus, "p2p_links_count": 0, "cpu_core_id_base": 0, "simd_id_base": 2147487744,
        "max_waves_per_simd": 8, "lds_size_in_kb": 64, "gds_size_in_kb": 0, "num_gws": 64, "wave_front_size": 64,
        "array_count": 32, "simd_arrays_per_engine": 1, "cu_per_simd_array": 10, "simd_per_cu": 4,
        "max_slots_scratch_cu": 32, "gfx_target_version": kind.gpu.gfx, "vendor_id": 4098,
        "device_id": int(kind.gpu.device_id, 16), "location_id": BUSES[gpu] << 8, "domain": 0,
        "drm_render_minor": 128 + gpu, "hive_id": HIVE, "num_sdma_engines": 2, "num_sdma_xgmi_engines": 14,
        "num_cp_queues": 24, "max_engine_clk_fcompute": kind.gpu.clock_mhz, "local_mem_size": 0, "fw_version": 166,
        "sdma_fw_version": 22, "unique_id": 0, "num_xcc": 8, "max_engine_clk_ccompute": 3100,
    }  # fmt: skip


def _gpu_node(kind: Kind, base: str, gpu: int) -> Iterator[tuple[str, str]]:
    yield f"{base}/properties", properties(gpu_keys(kind, gpu))
    yield f"{base}/gpu_id", "0\n"
    yield f"{base}/name", "ip discovery\n"
    bank = {
        "heap_type": 1, "size_in_bytes": kind.gpu.vram_bytes, "flags": 0, "width": 8192,
        "mem_clk_max": kind.gpu.mem_clock_mhz,
    }  # fmt: skip
    yield f"{base}/mem_banks/0/properties", properties(bank)
    yield f"{base}/mem_banks/0/used_memory", f"{IDLE_USED}\n"
    own = kind.nodes + gpu
    others = [kind.nodes + other for other in range(kind.gpus) if other != gpu]
    for number, other in enumerate((gpu * kind.nodes // kind.gpus, *others)):
        xgmi = number > 0
        keys = {
            "type": 11 if xgmi else 2, "version_major": 0, "version_minor": 0, "node_from": own, "node_to": other,
            "weight": 15 if xgmi else 20, "min_latency": 0, "max_latency": 0,
            "min_bandwidth": 64000 if xgmi else 312, "max_bandwidth": 64000, "recommended_transfer_size": 0,
            "flags": 1,
        }  # fmt: skip
        yield f"{base}/io_links/{number}/properties", properties(keys)


def properties(keys: dict[str, int]) -> str:
    """A properties file."""
    return "".join(f"{key} {value}\n" for key, value in keys.items())


# -------------------------------------------------------------------- PCI devices


def _device(kind: Kind, gpu: int) -> Iterator[tuple[str, str]]:
    spec, base = kind.gpu, device(gpu)
    node, per = gpu * kind.nodes // kind.gpus, kind.cpus // kind.nodes
    values = {
        "vendor": "0x1002", "device": f"0x{spec.device_id}", "subsystem_vendor": "0x1002",
        "subsystem_device": f"0x{spec.device_id}", "revision": "0x00", "class": "0x120000",
        "serial_number": f"LAB{gpu:05d}", "product_name": spec.product, "product_number": "102-LAB", "unique_id": "0",
        "vbios_version": spec.vbios, "xgmi_physical_id": str(gpu), "numa_node": str(node),
        "local_cpulist": f"{node * per}-{(node + 1) * per - 1}", "mem_info_vram_total": str(spec.vram_bytes),
        "mem_info_vram_used": str(IDLE_USED), "mem_info_vis_vram_total": str(spec.vram_bytes),
        "mem_info_vis_vram_used": str(IDLE_USED), "mem_info_gtt_total": str(kind.memory_bytes // 16),
        "mem_info_gtt_used": str(24 * MIB), "mem_info_vram_vendor": "hynix", "gpu_busy_percent": "0",
        "mem_busy_percent": "0", "current_link_speed": "32.0 GT/s PCIe", "current_link_width": "16",
        "max_link_speed": "32.0 GT/s PCIe", "max_link_width": "16", "pcie_replay_count": "0",
        "current_compute_partition": "SPX", "available_compute_partition": "SPX, DPX, QPX, CPX",
        "current_memory_partition": "NPS1", "available_memory_partition": "NPS1, NPS4",
        "power_dpm_force_performance_level": "auto", "power/runtime_status": "active", "iommu_group/type": "identity",
        "xgmi_hive_info/xgmi_hive_id": str(HIVE),
    }  # fmt: skip
    for name, value in values.items():
        yield f"{base}/{name}", f"{value}\n"
    yield f"{base}/pp_dpm_sclk", pp_dpm((500, IDLE_SCLK_MHZ, spec.clock_mhz), 1)
    yield f"{base}/pp_dpm_mclk", pp_dpm((IDLE_MCLK_MHZ, spec.mem_clock_mhz), 0)
    yield f"{base}/ras/features", "feature mask: 0x3fff\n"
    for block in RAS_BLOCKS:
        yield f"{base}/ras/{block}_err_count", "ue: 0\nce: 0\n"
    yield f"{base}/ras/gpu_vram_bad_pages", ""
    for name, version in FIRMWARE.items():
        yield f"{base}/fw_version/{name}_fw_version", f"{version}\n"
    for name in _AER:
        yield f"{base}/aer_dev_{name}", aer(name)
    yield (
        f"{base}/uevent",
        f"DRIVER=amdgpu\nPCI_CLASS=120000\nPCI_ID=1002:{spec.device_id.upper()}\nPCI_SLOT_NAME={bdf(gpu)}\n",
    )
    yield f"{base}/drm/renderD{128 + gpu}/dev", f"{DRM_MAJOR}:{128 + gpu}\n"
    yield f"{base}/drm/card{gpu + 1}/dev", f"{DRM_MAJOR}:{gpu + 1}\n"
    yield f"{base}/gpu_metrics", metrics(0, (0,) * len(REASONS))
    yield from _sensors(kind, gpu)


def metrics(cycles: int, counts: Sequence[int]) -> str:
    """The head of gpu_metrics 1.6 as Latin-1: size and version, the counter of cycles, residencies by reason."""
    words = [64 | 1 << 16 | 6 << 24, *[0] * 7, cycles, *counts, 0, 0]
    return struct.pack("<16I", *words).decode("latin-1")


def pp_dpm(mhz: tuple[int, ...], current: int) -> str:
    """A file of clock levels."""
    return "".join(f"{level}: {clock}Mhz{' *' if level == current else ''}\n" for level, clock in enumerate(mhz))


def _sensors(kind: Kind, gpu: int) -> Iterator[tuple[str, str]]:
    cap = f"{kind.gpu.power_w}000000"
    values = {
        "name": "amdgpu", "temp2_label": "junction", "temp2_input": f"{idle_junction_c(gpu)}000",
        "temp2_crit": "100000", "temp2_emergency": "110000", "temp3_label": "mem",
        "temp3_input": f"{36 + gpu % 4}000", "temp3_crit": "105000", "temp3_emergency": "115000",
        "power1_input": f"{idle_power_w(gpu)}000000", "power1_label": "PPT", "power1_cap": cap, "power1_cap_max": cap,
        "power1_cap_min": "0", "power1_cap_default": cap, "freq1_input": f"{IDLE_SCLK_MHZ}000000",
        "freq1_label": "sclk", "freq2_input": f"{IDLE_MCLK_MHZ}000000", "freq2_label": "mclk", "in0_input": "742",
        "in0_label": "vddgfx",
    }  # fmt: skip
    for name, value in values.items():
        yield f"{sensors(gpu)}/{name}", f"{value}\n"


def idle_junction_c(gpu: int) -> int:
    """Junction temperature of an idle GPU."""
    return 41 + gpu % 3
