"""The root folder of a played host: /sys, /proc, /etc, /dev stand-ins, the model cache; by documented formats.

What all hosts of a kind share is written once and hard-linked; what differs is written for each. A file is only ever
replaced (`replace`), never written in place, so that a change stays with its host.
"""

import hashlib
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.lab import hub
from console.lab.specs import MIB, Kind

MODELS = (
    "amd/Llama-3.1-8B-Instruct-FP8-KV",
    "amd/Llama-3.1-70B-Instruct-FP8-KV",
    "amd/Llama-3.1-405B-Instruct-FP8-KV",
)
"""Models in every host's cache from the start."""

MODEL_CACHE = "/data/huggingface"
SCRATCH = "/var/tmp/instinct"  # noqa: S108 - a folder below the played host's root
RENDER_GID, VIDEO_GID = 109, 44
KFD_MAJOR, DRM_MAJOR = 511, 226

BUSES = (0x05, 0x26, 0x46, 0x65, 0x85, 0xA6, 0xC6, 0xE5)
"""PCI bus of each GPU."""


def bdf(gpu: int) -> str:
    """PCI address of a GPU."""
    return f"0000:{BUSES[gpu]:02x}:00.0"


def unique_id(host: str, gpu: int) -> int:
    """A GPU's unique id: made from host and position."""
    return int(hashlib.sha256(f"lab gpu {host} {gpu}".encode()).hexdigest()[:16], 16)


def replace(root: Path, path: str, data: bytes | str) -> None:
    """Write a file of a root folder as a new file, so that hard-linked twins keep theirs."""
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    fresh.write_bytes(data.encode() if isinstance(data, str) else data)
    fresh.replace(place)


class Template:
    """A written root folder, listed once so that many hosts can be made from it cheaply."""

    def __init__(self, place: Path) -> None:
        self._place = str(place)
        self._folders: list[str] = []
        self._links: list[tuple[str, str]] = []
        self._files: list[str] = []
        for folder, folders, files in os.walk(place):
            below = os.path.relpath(folder, place)
            for name in (*folders, *files):
                path, at = f"{below}/{name}", Path(folder, name)
                if at.is_symlink():
                    self._links.append((str(at.readlink()), path))
                elif name in folders:
                    self._folders.append(path)
                else:
                    self._files.append(path)

    def spread(self, root: Path) -> None:
        """Make a root folder: folders and symbolic links anew, files as hard links. Plain strings, for speed."""
        to = str(root)
        os.mkdir(to)  # noqa: PTH102 - as above
        for path in self._folders:
            os.mkdir(f"{to}/{path}")  # noqa: PTH102 - as above
        for path in self._files:
            os.link(f"{self._place}/{path}", f"{to}/{path}")
        for target, path in self._links:
            os.symlink(target, f"{to}/{path}")  # noqa: PTH211 - as above


def write_template(kind: Kind, root: Path, models: Sequence[str] = MODELS) -> None:
    """Everything that the hosts of a kind have in common."""
    for path, text in (*_system(kind), *_nodes(kind), *_topology(kind), *_devices(kind)):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    for gpu in range(kind.gpus):
        device = root / f"sys/bus/pci/devices/{bdf(gpu)}"
        (device / "driver").symlink_to("../../drivers/amdgpu")
        card = root / f"sys/class/drm/card{gpu + 1}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(f"../../../bus/pci/devices/{bdf(gpu)}")
        render = root / f"sys/class/drm/renderD{128 + gpu}"
        render.mkdir()
        (render / "device").symlink_to(f"../../../bus/pci/devices/{bdf(gpu)}")
    for path in (
        SCRATCH,
        "/var/lib/docker",
        "/var/run",
        "/sys/class/kfd/kfd/proc",
        "/sys/bus/pci/drivers/amdgpu",
    ):
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (root / "opt/rocm").symlink_to(f"rocm-{kind.rocm}")
    for model in models:
        hub.write(root / MODEL_CACHE.lstrip("/") / "hub", model)


def write_own(kind: Kind, name: str, root: Path) -> None:
    """What only this host has: names, boot id, GPU ids, the engine's socket."""
    seed = hashlib.sha256(f"lab boot {name}".encode()).hexdigest()
    boot = f"{seed[:8]}-{seed[8:12]}-4{seed[13:16]}-a{seed[17:20]}-{seed[20:32]}"
    replace(root, "proc/sys/kernel/random/boot_id", f"{boot}\n")
    replace(root, "proc/sys/kernel/hostname", f"{name}\n")
    replace(root, "etc/hostname", f"{name}\n")
    replace(root, "etc/machine-id", f"{seed[:32]}\n")
    for gpu in range(kind.gpus):
        unique = unique_id(name, gpu)
        replace(root, f"sys/bus/pci/devices/{bdf(gpu)}/unique_id", f"{unique:016x}\n")
        node = f"sys/class/kfd/kfd/topology/nodes/{kind.nodes + gpu}"
        text = (root / node / "properties").read_text()
        replace(root, f"{node}/properties", text.replace("unique_id 0", f"unique_id {unique}"))
        replace(root, f"{node}/gpu_id", f"{unique & 0xFFFF}\n")
    _socket_inode(root / "var/run/docker.sock")
    (root / "run").mkdir(exist_ok=True)


def _socket_inode(place: Path) -> None:
    """A file of type socket, so that tests of a shell see one; nobody listens there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.mknod(place, 0o660 | stat.S_IFSOCK)
    except OSError:
        # without the right to make nodes: bind one, by a short way, because socket paths are limited
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"/proc/self/fd/{folder}/{place.name}")
        finally:
            os.close(folder)


def _system(kind: Kind) -> Iterator[tuple[str, str]]:
    dmi = "sys/devices/virtual/dmi/id"
    values = {
        "bios_vendor": "American Megatrends International, LLC.", "bios_version": kind.bios,
        "bios_date": kind.bios_date, "sys_vendor": kind.vendor, "product_name": kind.product,
        "board_name": kind.board, "board_vendor": kind.vendor, "chassis_vendor": "instinct-lab (simulated)",
    }  # fmt: skip
    for base in (dmi, "sys/class/dmi/id"):
        for key, value in values.items():
            yield f"{base}/{key}", f"{value}\n"
    yield "etc/instinct-lab", "This host is simulated by the instinct lab.\n"
    yield (
        "etc/os-release",
        f'PRETTY_NAME="{kind.os_name}"\nNAME="Ubuntu"\nVERSION_ID="{kind.os_version}"\nID=ubuntu\nID_LIKE=debian\n'
        'VARIANT="instinct-lab (simulated)"\nVARIANT_ID=instinct-lab\n',
    )
    yield "etc/group", f"root:x:0:\nvideo:x:{VIDEO_GID}:lab\nrender:x:{RENDER_GID}:lab\ndocker:x:998:lab\n"
    yield f"opt/rocm-{kind.rocm}/.info/version", f"{kind.rocm}-48\n"
    flags = "iommu=pt amd_iommu=on pci=realloc=off numa_balancing=disable"
    yield "proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-{kind.kernel} root=/dev/mapper/lab ro {flags}\n"
    yield "proc/sys/kernel/numa_balancing", "0\n"
    yield "proc/sys/kernel/osrelease", f"{kind.kernel}\n"
    yield "proc/version", f"Linux version {kind.kernel} (instinct-lab, simulated) #126-Ubuntu SMP\n"
    yield "proc/uptime", "864000.00 110000000.00\n"
    yield "proc/mounts", "/dev/mapper/lab / ext4 rw,relatime 0 0\n/dev/nvme1n1 /data xfs rw,noatime 0 0\n"
    total = kind.memory_bytes // 1024
    yield (
        "proc/meminfo",
        f"MemTotal:       {total} kB\nMemFree:        {total * 9 // 10} kB\nMemAvailable:   {total * 19 // 20} kB\n"
        "SwapTotal:             0 kB\nSwapFree:              0 kB\n",
    )
    yield "proc/cpuinfo", "".join(_cpuinfo(kind))
    yield "proc/modules", "amdgpu 16007168 0 - Live 0x0000000000000000\n"
    yield "sys/module/amdgpu/version", f"{kind.driver}\n"
    yield "sys/module/amdgpu/initstate", "live\n"
    yield "sys/module/amdgpu/srcversion", "1AB0DA517AB1E0AB51ADE00\n"
    yield "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"
    yield "sys/kernel/iommu_groups/0/type", "identity\n"
    yield "sys/class/iommu/ivhd0/devices", ""


def _cpuinfo(kind: Kind) -> Iterator[str]:
    for cpu in range(kind.cpus):
        yield (
            f"processor\t: {cpu}\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"
            f"model name\t: {kind.cpu}\nstepping\t: 1\nphysical id\t: {cpu // kind.cores}\nsiblings\t: {kind.cores}\n"
            f"core id\t\t: {cpu % kind.cores}\ncpu cores\t: {kind.cores}\n\n"
        )


def _nodes(kind: Kind) -> Iterator[tuple[str, str]]:
    cpu, node = "sys/devices/system/cpu", "sys/devices/system/node"
    for name in ("online", "possible", "present"):
        yield f"{cpu}/{name}", f"0-{kind.cpus - 1}\n"
    yield f"{cpu}/smt/active", "0\n"
    yield f"{cpu}/smt/control", "off\n"
    yield f"{cpu}/cpu0/cpufreq/scaling_governor", "performance\n"
    yield f"{cpu}/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n"
    yield f"{node}/online", f"0-{kind.nodes - 1}\n"
    per = kind.cpus // kind.nodes
    for number in range(kind.nodes):
        distances = [
            10 if other == number else 12 if other // kind.nodes_per_socket == number // kind.nodes_per_socket else 32
            for other in range(kind.nodes)
        ]
        yield f"{node}/node{number}/cpulist", f"{number * per}-{(number + 1) * per - 1}\n"
        yield f"{node}/node{number}/distance", " ".join(map(str, distances)) + "\n"
        yield f"{node}/node{number}/meminfo", f"Node {number} MemTotal: {kind.memory_bytes // 1024 // kind.nodes} kB\n"


def _topology(kind: Kind) -> Iterator[tuple[str, str]]:
    base = "sys/class/kfd/kfd/topology"
    yield f"{base}/generation_id", "2\n"
    yield f"{base}/system_properties", "platform_oem 4777524452235890003\nplatform_id 85015745549651\nplatform_rev 2\n"
    for number in range(kind.nodes):
        keys = {
            "cpu_cores_count": kind.cpus // kind.nodes, "simd_count": 0, "mem_banks_count": 1, "caches_count": 0,
            "io_links_count": kind.nodes - 1 + kind.gpus // kind.nodes, "gfx_target_version": 0, "vendor_id": 0,
            "device_id": 0, "location_id": 0, "domain": 0, "unique_id": 0,
        }  # fmt: skip
        yield f"{base}/nodes/{number}/properties", _properties(keys)
        yield f"{base}/nodes/{number}/gpu_id", "0\n"
        yield f"{base}/nodes/{number}/name", "\n"
    for gpu in range(kind.gpus):
        yield from _gpu_node(kind, f"{base}/nodes/{kind.nodes + gpu}", gpu)


def _gpu_node(kind: Kind, base: str, gpu: int) -> Iterator[tuple[str, str]]:
    keys = {
        "cpu_cores_count": 0, "simd_count": 1216, "mem_banks_count": 1, "caches_count": 0, "io_links_count": 8,
        "p2p_links_count": 0, "cpu_core_id_base": 0, "simd_id_base": 2147487744, "max_waves_per_simd": 8,
        "lds_size_in_kb": 64, "gds_size_in_kb": 0, "num_gws": 64, "wave_front_size": 64, "array_count": 32,
        "simd_arrays_per_engine": 1, "cu_per_simd_array": 10, "simd_per_cu": 4, "max_slots_scratch_cu": 32,
        "gfx_target_version": 90402, "vendor_id": 4098, "device_id": int(kind.gpu.device_id, 16),
        "location_id": BUSES[gpu] << 8, "domain": 0, "drm_render_minor": 128 + gpu, "hive_id": 7198346173951231,
        "num_sdma_engines": 2, "num_sdma_xgmi_engines": 14, "num_cp_queues": 24, "max_engine_clk_fcompute": 2100,
        "local_mem_size": 0, "fw_version": 166, "sdma_fw_version": 22, "unique_id": 0, "num_xcc": 8,
        "max_engine_clk_ccompute": 3100,
    }  # fmt: skip
    yield f"{base}/properties", _properties(keys)
    yield f"{base}/gpu_id", "0\n"
    yield f"{base}/name", "ip discovery\n"
    bank = {
        "heap_type": 1, "size_in_bytes": kind.gpu.vram_bytes, "flags": 0, "width": 8192,
        "mem_clk_max": kind.gpu.mem_clock_mhz,
    }  # fmt: skip
    yield f"{base}/mem_banks/0/properties", _properties(bank)
    yield f"{base}/mem_banks/0/used_memory", f"{283 * MIB}\n"
    own = kind.nodes + gpu
    others = [kind.nodes + other for other in range(kind.gpus) if other != gpu]
    for number, other in enumerate((gpu * kind.nodes // kind.gpus, *others)):
        xgmi = number > 0
        link = {
            "type": 11 if xgmi else 2, "version_major": 0, "version_minor": 0, "node_from": own, "node_to": other,
            "weight": 15 if xgmi else 20, "min_latency": 0, "max_latency": 0,
            "min_bandwidth": 64000 if xgmi else 312, "max_bandwidth": 64000, "recommended_transfer_size": 0,
            "flags": 1,
        }  # fmt: skip
        yield f"{base}/io_links/{number}/properties", _properties(link)


def _properties(keys: dict[str, int]) -> str:
    return "".join(f"{key} {value}\n" for key, value in keys.items())


def _devices(kind: Kind) -> Iterator[tuple[str, str]]:
    yield "dev/kfd", ""
    for port in range(8):
        card = f"sys/class/infiniband/mlx5_{port}"
        yield f"{card}/ports/1/state", "4: ACTIVE\n"
        yield f"{card}/ports/1/phys_state", "5: LinkUp\n"
        yield f"{card}/ports/1/rate", "400 Gb/sec (4X NDR)\n"
        yield f"{card}/ports/1/link_layer", "InfiniBand\n"
        yield f"{card}/node_type", "1: CA\n"
    for gpu in range(kind.gpus):
        yield f"dev/dri/renderD{128 + gpu}", ""
        yield f"dev/dri/card{gpu + 1}", ""
        yield from _gpu_device(kind, f"sys/bus/pci/devices/{bdf(gpu)}", gpu)


def _gpu_device(kind: Kind, base: str, gpu: int) -> Iterator[tuple[str, str]]:
    spec = kind.gpu
    node = gpu * kind.nodes // kind.gpus
    per = kind.cpus // kind.nodes
    values = {
        "vendor": "0x1002", "device": f"0x{spec.device_id}", "subsystem_vendor": "0x1002",
        "subsystem_device": f"0x{spec.device_id}", "revision": "0x00", "class": "0x120000",
        "serial_number": f"LAB{gpu:05d}", "product_name": spec.product, "product_number": "102-LAB", "unique_id": "0",
        "vbios_version": spec.vbios, "xgmi_physical_id": str(gpu), "numa_node": str(node),
        "local_cpulist": f"{node * per}-{(node + 1) * per - 1}", "mem_info_vram_total": str(spec.vram_bytes),
        "mem_info_vram_used": str(283 * MIB), "mem_info_vis_vram_total": str(spec.vram_bytes),
        "mem_info_vis_vram_used": str(283 * MIB), "mem_info_gtt_total": str(kind.memory_bytes // 16),
        "mem_info_gtt_used": str(24 * MIB), "mem_info_vram_vendor": "hynix", "gpu_busy_percent": "0",
        "mem_busy_percent": "0", "current_link_speed": "32.0 GT/s PCIe", "current_link_width": "16",
        "max_link_speed": "32.0 GT/s PCIe", "max_link_width": "16", "pcie_replay_count": "0",
        "current_compute_partition": "SPX", "available_compute_partition": "SPX, DPX, QPX, CPX",
        "current_memory_partition": "NPS1", "available_memory_partition": "NPS1, NPS4",
        "power_dpm_force_performance_level": "auto",
    }  # fmt: skip
    for name, value in values.items():
        yield f"{base}/{name}", f"{value}\n"
    yield f"{base}/pp_dpm_sclk", "0: 500Mhz\n1: 132Mhz *\n2: 2100Mhz\n"
    yield f"{base}/pp_dpm_mclk", f"0: 900Mhz *\n1: {spec.mem_clock_mhz}Mhz\n"
    yield f"{base}/ras/features", "feature mask: 0x3fff\n"
    for block in ("umc", "sdma", "gfx", "mmhub", "pcie_bif", "hdp", "xgmi_wafl"):
        yield f"{base}/ras/{block}_err_count", "ue: 0\nce: 0\n"
    yield f"{base}/ras/gpu_vram_bad_pages", ""
    yield (
        f"{base}/uevent",
        f"DRIVER=amdgpu\nPCI_CLASS=120000\nPCI_ID=1002:{spec.device_id.upper()}\nPCI_SLOT_NAME={bdf(gpu)}\n",
    )
    yield f"{base}/drm/renderD{128 + gpu}/dev", f"{DRM_MAJOR}:{128 + gpu}\n"
    yield f"{base}/drm/card{gpu + 1}/dev", f"{DRM_MAJOR}:{gpu + 1}\n"
    hwmon = f"{base}/hwmon/hwmon{gpu + 3}"
    sensors = {
        "name": "amdgpu", "temp2_label": "junction", "temp2_input": f"{41 + gpu % 3}000", "temp3_label": "mem",
        "temp3_input": f"{36 + gpu % 4}000", "power1_input": f"{139 + gpu}000000",
        "power1_cap": f"{spec.power_w}000000", "power1_cap_max": f"{spec.power_w}000000", "power1_cap_min": "0",
        "power1_cap_default": f"{spec.power_w}000000", "freq1_input": "132000000", "freq1_label": "sclk",
        "freq2_input": "900000000", "freq2_label": "mclk",
    }  # fmt: skip
    for name, value in sensors.items():
        yield f"{hwmon}/{name}", f"{value}\n"
