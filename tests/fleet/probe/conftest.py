"""Root folders of servers, composed from the documented formats of sysfs, procfs and a few commands."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.survey import survey
from console.model.facts import HostFacts

VRAM = 206_141_652_992  # 196592 MiB, as amdgpu shows an MI300X
BUSES = ("0c", "22", "38", "5c", "9f", "af", "bf", "df")
HIVE = 15188982192727901047
MODES = {"SPX": 1, "DPX": 2, "QPX": 4, "CPX": 8}


@dataclass(frozen=True)
class Kind:
    """A GPU model as sysfs and KFD show it. `watts` is the power cap; `power` the file that tells the power drawn."""

    device: str
    units: int
    gfx: int
    xccs: int
    vram: int
    watts: int
    clock: int = 2100
    power: str = "power1_input"
    pci_class: str = "0x120000"
    speed: str = "32.0"
    virtual: bool = False
    full_mesh: bool = True


KINDS = {
    "MI210": Kind(
        "740f", 104, 90010, 1, 68_702_699_520, 300, 1700, "power1_average", "0x038000", "16.0", full_mesh=False
    ),
    "MI250X": Kind("7408", 110, 90010, 1, 68_702_699_520, 560, 1700, "power1_average", "0x038000", "16.0"),
    "MI300A": Kind("74a0", 228, 90402, 6, 137_438_953_472, 550),
    "MI300X": Kind("74a1", 304, 90402, 8, VRAM, 750),
    "MI308X": Kind("74a2", 80, 90402, 4, VRAM, 750, 1420),
    "MI325X": Kind("74a5", 304, 90402, 8, 274_861_129_728, 1000),
    "MI355X": Kind("75a3", 256, 90500, 8, 309_220_868_096, 1400, 2400),
    "MI325X VF": Kind("74b9", 304, 90402, 8, 274_861_129_728, 1000, virtual=True),
}
"""Written from the documented formats; no capture of these servers is public."""


class Machine:
    """A server's root folder: 2x EPYC 9654, 8x MI300X in SPX/NPS1, AMD's driver package, unless changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system()

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_name(f"{file.name}.new")  # put in place as a whole: loops of the tests read meanwhile
        whole.write_bytes(text if isinstance(text, bytes) else text.encode())
        whole.replace(file)

    def command(self, section: str, output: str) -> None:
        self.write(f"@commands/{section}", output)

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def system(self, *, nodes_per_socket: int = 1, bios: str = "5.27", product: str = "AS -8125GS-TNMR2") -> None:
        self.write("/proc/sys/kernel/hostname", "smc300x-01\n")
        self.write("/sys/module/nvme/initstate", "live\n")
        self.write("/sys/bus/pci/devices/0000:00:00.0/class", "0x060000\n")
        self.write("/proc/sys/kernel/random/boot_id", "3f1c2d7e-0000-4111-8222-333344445555\n")
        self.write("/proc/sys/kernel/osrelease", "5.15.0-119-generic\n")
        self.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro iommu=pt pci=realloc=off\n")
        self.write("/proc/sys/kernel/numa_balancing", "0\n")
        self.write("/etc/os-release", 'NAME="Ubuntu"\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n')
        self.write("/proc/meminfo", "MemTotal:       2377919732 kB\nMemFree: 1 kB\nMemAvailable:   2300000000 kB\n")
        self.write("/proc/uptime", "864000.00 110000000.00\n")
        self.write("/proc/loadavg", "3.25 2.00 1.00 1/4000 123456\n")
        self.write("/proc/cpuinfo", "\n".join(self._cpus()))
        self.write(
            "/proc/self/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            "Max stack size            8388608              unlimited            bytes     \n"
            "Max open files            1048576              1048576              files     \n"
            "Max locked memory         unlimited            unlimited            bytes     \n",
        )
        self.write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        self.write("/sys/class/iommu/ivhd0/devices", "")
        for group in range(3):
            self.write(f"/sys/kernel/iommu_groups/{group}/type", "identity\n")
        for cpu in range(8):
            folder = f"/sys/devices/system/cpu/cpu{cpu}"
            self.write(f"{folder}/cpufreq/scaling_governor", "performance\n")
            for state, (name, latency, off) in enumerate((("POLL", 0, 0), ("C1", 1, 0), ("C2", 800, 1))):
                self.write(f"{folder}/cpuidle/state{state}/name", f"{name}\n")
                self.write(f"{folder}/cpuidle/state{state}/latency", f"{latency}\n")
                self.write(f"{folder}/cpuidle/state{state}/disable", f"{off}\n")
        self.write("/sys/devices/system/cpu/online", "0-383\n")
        self.write("/sys/devices/system/cpu/smt/active", "1\n")
        total = nodes_per_socket * 2
        for node in range(total):
            folder = f"/sys/devices/system/node/node{node}"
            self.write(f"{folder}/cpulist", f"{node * 4}-{node * 4 + 3}\n")
            self.write(f"{folder}/distance", " ".join("10" if other == node else "32" for other in range(total)) + "\n")
            self.write(
                f"{folder}/meminfo", f"Node {node} MemTotal: {2377919732 // total} kB\nNode {node} MemFree: 1 kB\n"
            )
        self.write(f"/sys/devices/system/node/node{total}/cpulist", "\n")  # memory only
        for name, value in {
            "bios_version": bios,
            "bios_date": "05/13/2025",
            "sys_vendor": "Supermicro",
            "product_name": product,
        }.items():
            self.write(f"/sys/class/dmi/id/{name}", f"{value}\n")
        self.write("/proc/mounts", "/dev/nvme0n1p2 / ext4 rw 0 0\nstore:/hf /data nfs4 rw,vers=4.2 0 0\n")
        header = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        self.command(
            "df", f"{header}/dev/nvme0n1p2 1000000 400000 600000 40% /\nstore:/hf 9000000 1000000 8000000 12% /data\n"
        )
        self.command("host.id", "uid=1000(ops) gid=1000(ops) groups=1000(ops),44(video),109(render),998(docker)\n")

    def _cpus(self) -> Iterator[str]:
        for cpu in range(8):
            yield (
                f"processor\t: {cpu}\ncpu family\t: 25\nmodel\t\t: 17\n"
                f"model name\t: AMD EPYC 9654 96-Core Processor\nphysical id\t: {cpu // 4}\ncpu cores\t: 96\n"
            )

    def driver(self, version: str | None = "6.10.5", rocm: str | None = "6.4.0-47") -> None:
        self.write("/sys/module/amdgpu/initstate", "live\n")
        if version:
            self.write("/sys/module/amdgpu/version", f"{version}\n")
        if rocm:
            self.write("/opt/rocm/.info/version", f"{rocm}\n")

    def gpus(
        self,
        count: int = 8,
        *,
        model: str = "MI300X",
        partition: str = "SPX",
        memory: str = "NPS1",
        used: int = 297_000_000,
    ) -> None:
        kind = KINDS[model]
        for name, value in {"vendor": "0x1a03", "device": "0x2000", "class": "0x030000"}.items():
            self.write(f"/sys/bus/pci/devices/0000:03:00.0/{name}", f"{value}\n")  # the BMC's display
        self.write("/sys/bus/pci/devices/0000:03:00.0/uevent", "DRIVER=ast\nPCI_SLOT_NAME=0000:03:00.0\n")
        self.write("/sys/class/kfd/kfd/dev", "511:0\n")
        nodes = "/sys/class/kfd/kfd/topology/nodes"
        self.write(f"{nodes}/0/properties", "cpu_cores_count 192\nsimd_count 0\n")
        self.write(f"{nodes}/0/gpu_id", "0\n")
        parts = MODES[partition]
        for index in range(count):
            for name, value in self._device(kind, index, partition, memory, used):
                self.write(f"/sys/bus/pci/devices/0000:{BUSES[index]}:00.0/{name}", f"{value}\n")
            for part in range(parts):
                self._node(kind, index, part, parts, count, used)
        stats = [f"109 /dev/dri/renderD{128 + number}" for number in range(count * parts)]
        self.command("dev.stat", "\n".join(["109 /dev/kfd", *stats]) + "\n")

    def _node(self, kind: Kind, index: int, part: int, parts: int, count: int, used: int) -> None:
        number = 1 + index * parts + part
        folder = f"/sys/class/kfd/kfd/topology/nodes/{number}"
        self.write(
            f"{folder}/properties",
            f"cpu_cores_count 0\nsimd_count {kind.units * 4 // parts}\nsimd_per_cu 4\nlocal_mem_size 0\n"
            f"gfx_target_version {kind.gfx}\nnum_xcc {kind.xccs // parts or 1}\n"
            f"max_engine_clk_fcompute {kind.clock}\nhive_id {0 if kind.virtual else HIVE}\n"
            f"location_id {int(BUSES[index], 16) << 8 | part}\ndomain 0\n"
            f"drm_render_minor {128 + index * parts + part}\nunique_id {1000 + index}\n",
        )
        self.write(f"{folder}/gpu_id", f"{40000 + number}\n")
        self.write(f"{folder}/mem_banks/0/properties", f"heap_type 1\nsize_in_bytes {kind.vram // parts}\nwidth 8192\n")
        self.write(f"{folder}/mem_banks/0/used_memory", f"{used // parts}\n")
        others = [other for other in range(1, count * parts + 1) if other != number and not kind.virtual]
        if not kind.full_mesh:
            others = [other for other in others if (other - 1) // 4 == (number - 1) // 4]
        for link, other in enumerate((0, *others)):
            kind_, weight = (11, 15) if other else (2, 20)
            if other and (other - 1) // parts == index:
                weight = 13
            self.write(
                f"{folder}/io_links/{link}/properties",
                f"type {kind_}\nversion_major 0\nnode_from {number}\nnode_to {other}\nweight {weight}\n"
                "min_bandwidth 312\nmax_bandwidth 64000\nflags 1\n",
            )

    def _device(self, kind: Kind, index: int, partition: str, memory: str, used: int) -> Iterator[tuple[str, str]]:
        bdf = f"0000:{BUSES[index]}:00.0"
        yield from {
            "vendor": "0x1002",
            "device": f"0x{kind.device}",
            "class": kind.pci_class,
            "uevent": f"DRIVER=amdgpu\nPCI_CLASS=120000\nPCI_SLOT_NAME={bdf}",
            "power/runtime_status": "active",
            "numa_node": str(index // 4),
            "mem_info_vram_total": str(kind.vram),
            "mem_info_vram_used": str(used),
            "gpu_busy_percent": "0",
            "mem_busy_percent": "0",
            "drm/renderD" + str(128 + index) + "/dev": "226:128",
            f"drm/card{index + 1}/dev": "226:1",
        }.items()
        if kind.xccs > 1:
            yield "current_compute_partition", partition
            yield "available_compute_partition", "SPX, DPX, QPX, CPX"
            yield "current_memory_partition", memory
            yield "available_memory_partition", "NPS1, NPS4"
        if kind.virtual:
            return
        yield from {
            "subsystem_device": f"0x{kind.device}",
            "revision": "0x00",
            "unique_id": f"{0xABC0 + index:016x}",
            "serial_number": f"69240300{index:04}",
            "product_name": "AMD Instinct OAM",
            "vbios_version": "113-M3000100-102",
            "xgmi_physical_id": str((index + 2) % 8),
            "mem_info_vis_vram_total": str(kind.vram),
            "mem_info_vram_vendor": "hynix",
            "power_dpm_force_performance_level": "auto",
            "pp_dpm_sclk": f"0: 500Mhz\n1: 132Mhz *\n2: {kind.clock}Mhz",
            "pp_dpm_mclk": "0: 900Mhz *\n1: 1300Mhz",
            "current_link_speed": f"{kind.speed} GT/s PCIe",
            "current_link_width": "16",
            "max_link_speed": f"{kind.speed} GT/s PCIe",
            "max_link_width": "16",
            "pcie_replay_count": "0",
            "aer_dev_correctable": "RxErr 0\nBadTLP 0\nTOTAL_ERR_COR 0",
            "aer_dev_nonfatal": "Undefined 0\nTOTAL_ERR_NONFATAL 0",
            "aer_dev_fatal": "Undefined 0\nTOTAL_ERR_FATAL 0",
            "fw_version/mec_fw_version": "0x000000a6",
            "fw_version/smc_fw_version": "0x00557700",
            "ras/features": "feature mask: 0x3fff",
            "iommu_group/type": "identity",
        }.items()
        for block in ("umc", "sdma", "gfx", "mmhub", "xgmi_wafl"):
            yield f"ras/{block}_err_count", "ue: 0\nce: 0"
        for name, value in self._sensors(kind):
            yield f"hwmon/hwmon7/{name}", value

    def _sensors(self, kind: Kind) -> Iterator[tuple[str, str]]:
        yield "name", "amdgpu"
        if kind.power == "power1_average":
            yield "temp1_label", "edge"
            yield "temp1_input", "36000"
        yield from {
            "temp2_label": "junction",
            "temp2_input": "41000",
            "temp2_crit": "100000",
            "temp2_emergency": "110000",
            "temp3_label": "mem",
            "temp3_input": "37000",
            "temp3_crit": "105000",
            "temp3_emergency": "115000",
            kind.power: "139000000",
            "power1_cap": f"{kind.watts}000000",
            "power1_cap_max": f"{kind.watts}000000",
            "power1_cap_default": f"{kind.watts}000000",
            "freq1_label": "sclk",
            "freq1_input": "132000000",
            "freq2_label": "mclk",
            "freq2_input": "900000000",
        }.items()

    def model(self, cache: str, model: str, shards: Sequence[tuple[str, int]], *, index: bytes | None = None) -> Path:
        folder = self.root / cache.lstrip("/") / "hub" / f"models--{model.replace('/', '--')}"
        revision = "0123456789abcdef0123456789abcdef01234567"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(revision, encoding="ascii")
        (folder / "blobs").mkdir()
        snapshot = folder / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}", encoding="ascii")
        for number, (name, size) in enumerate(shards):
            blob = folder / "blobs" / f"blob{number}"
            blob.write_bytes(b"x" * size)
            (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
        weights = {f"layer.{number}.weight": name for number, (name, _) in enumerate(shards)}
        text = json.dumps({"metadata": {"total_size": 1}, "weight_map": weights}).encode() if index is None else index
        (snapshot / "model.safetensors.index.json").write_bytes(text)
        return folder

    async def facts(self, *, models: Sequence[str] = (), **more: object) -> HostFacts:
        values: dict[str, object] = {"name": "node01", "address": "local", "root": str(self.root), **more}
        host = Host(**values)  # type: ignore[arg-type]  # the caller names fields of Host
        return await survey(LocalLink(host), host, models=models)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A server with nothing but its system; the test adds driver and GPUs."""
    return Machine(tmp_path / "root")


@pytest.fixture
def mi300x(machine: Machine) -> Machine:
    """A complete 8x MI300X server."""
    machine.driver()
    machine.gpus()
    return machine


@pytest.fixture
def machines(tmp_path: Path) -> Callable[[str], Machine]:
    """Servers by name."""
    return lambda name: Machine(tmp_path / name)


@pytest.fixture(scope="session")
def machine_class() -> type[Machine]:
    """For fixtures that live longer than a test."""
    return Machine
