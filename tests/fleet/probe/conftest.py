"""Root folders of servers, composed from the documented formats of sysfs, procfs and a few commands."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from console.fleet.host import Host
from console.fleet.local import LocalLink
from console.fleet.probe.survey import survey
from console.model.facts import HostFacts

VRAM = 206_141_652_992  # 196592 MiB, as amdgpu shows an MI300X
BUSES = ("0c", "22", "38", "5c", "9f", "af", "bf", "df")


class Machine:
    """A server's root folder: 2x EPYC 9654, 8x MI300X in SPX/NPS1, AMD's driver package, unless changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system()

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def command(self, section: str, output: str) -> None:
        self.write(f"@commands/{section}", output)

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def system(self, *, nodes_per_socket: int = 1, bios: str = "5.27", product: str = "AS -8125GS-TNMR2") -> None:
        self.write("/proc/sys/kernel/hostname", "smc300x-01\n")
        self.write("/proc/sys/kernel/random/boot_id", "3f1c2d7e-0000-4111-8222-333344445555\n")
        self.write("/proc/sys/kernel/osrelease", "5.15.0-119-generic\n")
        self.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro iommu=pt pci=realloc=off\n")
        self.write("/proc/sys/kernel/numa_balancing", "0\n")
        self.write("/etc/os-release", 'NAME="Ubuntu"\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n')
        self.write("/proc/meminfo", "MemTotal:       2377919732 kB\nMemFree: 1 kB\nMemAvailable:   2300000000 kB\n")
        cpus = []
        for cpu in range(8):
            cpus.append(
                f"processor\t: {cpu}\nmodel name\t: AMD EPYC 9654 96-Core Processor\nphysical id\t: {cpu // 4}\n"
            )
        self.write("/proc/cpuinfo", "\n".join(cpus))
        self.write("/sys/devices/system/cpu/online", "0-383\n")
        self.write("/sys/devices/system/cpu/smt/active", "1\n")
        total = nodes_per_socket * 2
        for node in range(total):
            self.write(f"/sys/devices/system/node/node{node}/cpulist", f"{node * 4}-{node * 4 + 3}\n")
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

    def driver(self, version: str | None = "6.10.5", rocm: str | None = "6.4.0-47") -> None:
        self.write("/sys/module/amdgpu/initstate", "live\n")
        if version:
            self.write("/sys/module/amdgpu/version", f"{version}\n")
        if rocm:
            self.write("/opt/rocm/.info/version", f"{rocm}\n")

    def gpus(self, count: int = 8, *, partition: str = "SPX", memory: str = "NPS1", used: int = 297_000_000) -> None:
        self.write("/sys/bus/pci/devices/0000:03:00.0/vendor", "0x1a03\n")  # the BMC's display
        self.write("/sys/class/kfd/kfd/dev", "511:0\n")
        self.write("/sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 192\nsimd_count 0\n")
        parts = {"SPX": 1, "DPX": 2, "QPX": 4, "CPX": 8}[partition]
        node = 1
        for index in range(count):
            bdf = f"0000:{BUSES[index]}:00.0"
            self._device(bdf, index, partition, memory, used)
            for part in range(parts):
                folder = f"/sys/class/kfd/kfd/topology/nodes/{node}"
                location = int(BUSES[index], 16) << 8 | part
                minor = 128 + index * parts + part
                self.write(
                    f"{folder}/properties",
                    f"cpu_cores_count 0\nsimd_count {1216 // parts}\nsimd_per_cu 4\nlocal_mem_size 0\n"
                    f"location_id {location}\ndomain 0\ndrm_render_minor {minor}\nunique_id {1000 + index}\n",
                )
                self.write(
                    f"{folder}/mem_banks/0/properties", f"heap_type 1\nsize_in_bytes {VRAM // parts}\nwidth 8192\n"
                )
                node += 1
        stats = [f"109 /dev/dri/renderD{128 + number}" for number in range(count * parts)]
        self.command("dev.stat", "\n".join(["109 /dev/kfd", *stats]) + "\n")

    def _device(self, bdf: str, index: int, partition: str, memory: str, used: int) -> None:
        device = f"/sys/bus/pci/devices/{bdf}"
        for name, value in {
            "vendor": "0x1002",
            "device": "0x74a1",
            "class": "0x120000",
            "uevent": f"DRIVER=amdgpu\nPCI_CLASS=120000\nPCI_SLOT_NAME={bdf}",
            "unique_id": f"{0xABC0 + index:x}",
            "product_name": "AMD Instinct MI300X OAM",
            "numa_node": str(index // 4),
            "mem_info_vram_total": str(VRAM),
            "mem_info_vram_used": str(used),
            "current_compute_partition": partition,
            "current_memory_partition": memory,
            "power_dpm_force_performance_level": "auto",
            "hwmon/hwmon7/power1_cap": "750000000",
        }.items():
            self.write(f"{device}/{name}", f"{value}\n")
        self.write(f"{device}/drm/card{index + 1}/dev", "226:1\n")
        self.write(f"{device}/drm/renderD{128 + index}/dev", "226:128\n")

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
